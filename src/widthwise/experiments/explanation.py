"""The layer of settings that gave a field of a trial its value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from widthwise.errors import RequestError
from widthwise.experiments.overlay import overlaid
from widthwise.experiments.settings import Layer, by_path, combined, resolved
from widthwise.networks.catalogue import network_name, paper_recipe
from widthwise.wording import suggestion

DEFAULT = "the program's default"
"""The layer of fields that nothing sets."""


@dataclass(frozen=True)
class FieldOrigin:
    """The value of a field of a trial, and the layer that set it.

    path: such as `training.epochs`.
    """

    path: str
    value: object
    layer: str


@dataclass(frozen=True)
class Explanation:
    """The value of a field in some series of a sweep, and the layer of settings that set it.

    path: such as `training.epochs`.
    values: one, or those of an axis.
    layer: such as `the program's default` or `scale quick`.
    series: the series for which this is true; empty: all of them.
    """

    path: str
    values: tuple[object, ...]
    layer: str
    series: tuple[str, ...]


def origins(layers: Sequence[Layer], path: str, source: str) -> list[FieldOrigin]:
    """The layer that set a field of the trial that `layers` describe; for a section, of each of its fields.

    Args:
        layers: the lowest first, without the paper's recipe, which is below them all.
        path: such as `training.epochs`, or `training`.
        source: the file or call that the layers come from, for messages.

    Raises:
        RequestError: the trial has no such field, or the layers describe no trial.
    """
    content = combined(layers)
    values = by_path(resolved(content, source).model_dump(mode="json"))
    network = str(network_name(content.get("network", {})))
    of_recipe = by_path(overlaid(paper_recipe(network), content))
    latest = {name: layer.name for layer in layers for name in by_path(layer.content)}
    origin = dict.fromkeys(of_recipe, f"the paper's recipe for {network}") | {
        name: latest[name] for name in by_path(content)
    }
    found = [name for name in values if name == path or name.startswith(f"{path}.")]
    if not found:
        raise RequestError(f"there is no field {path}; {suggestion(path, _paths(values))}")
    return [FieldOrigin(name, values[name], origin.get(name, DEFAULT)) for name in found]


def explained(
    series: Sequence[tuple[str, Sequence[Layer]]], varied: Mapping[str, Sequence[object]], path: str, source: str
) -> list[Explanation]:
    """The values of a field in the series of a sweep, or of each field of a section, and the layers that set them.

    Args:
        series: the name of each, and the layers of one of its trials.
        varied: the values of fields that an axis varies within a series, by path.
        path, source: as in `origins`.

    Raises:
        RequestError: no series has such a field.
    """
    found: dict[str, tuple[Explanation, list[str]]] = {}
    refused: RequestError | None = None
    for name, layers in series:
        try:
            fields = origins(layers, path, source)
        except RequestError as error:  # the network of another series may have this field
            refused = error
            continue
        for field in fields:
            each = Explanation(field.path, tuple(varied.get(field.path, [field.value])), field.layer, ())
            found.setdefault(repr(each), (each, []))[1].append(name)
    if refused and not found:
        raise refused
    return [
        Explanation(each.path, each.values, each.layer, () if len(names) == len(series) else tuple(names))
        for each, names in sorted(found.values(), key=lambda pair: pair[0].path)
    ]


def _paths(values: dict[str, Any]) -> list[str]:
    """Paths of fields and of the sections that they are in."""
    sections = [path.rpartition(".")[0] for path in values]
    return [*values, *dict.fromkeys(filter(None, sections))]
