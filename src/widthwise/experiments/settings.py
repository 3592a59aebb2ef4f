"""Settings in layers, each laid over those below it: from the paper's recipe for a network up to the values of an axis.

Resolving a trial and explaining where one of its fields comes from read the same list of layers.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from widthwise.errors import RequestError
from widthwise.experiments.overlay import overlaid
from widthwise.experiments.trial import Trial
from widthwise.experiments.validation import validated
from widthwise.networks.catalogue import network_name, paper_recipe
from widthwise.wording import suggestion

DEFAULT = "the program's default"
SET = "set for this run"
"""The layers of what nothing sets, and of values from outside: `--set` on the command line."""


class Layer(NamedTuple):
    """Fields of a trial, section by section, and where they are set, in words such as `scale quick`."""

    name: str
    content: dict[str, Any]


@dataclass(frozen=True)
class FieldOrigin:
    """The value of a field of a trial, and the layer that set it.

    path: such as `training.epochs`.
    """

    path: str
    value: object
    layer: str


def resolved(content: dict[str, Any], source: str) -> Trial:
    """The trial that `content` describes, laid over the paper's recipe for its network.

    Raises:
        RequestError: a field is unknown or ill-typed, or fields do not go together; `source` says where.
    """
    return validated(Trial, content, source)


def combined(layers: Iterable[Layer]) -> dict[str, Any]:
    """The content of `layers`, the lowest first, laid over each other."""
    return functools.reduce(overlaid, (layer.content for layer in layers), {})


def origins(layers: Sequence[Layer], path: str, source: str) -> list[FieldOrigin]:
    """The layer that set a field of the trial that `layers` describe; of a section, of each of its fields.

    Args:
        layers: the lowest first, without the paper's recipe, which is below them all.
        path: such as `training.epochs`, or `training`.
        source: the file or call that they come from, for messages.

    Raises:
        RequestError: the trial has no such field, or the layers describe no trial.
    """
    values = by_path(resolved(combined(layers), source).model_dump(mode="json"))
    marked = combined(Layer(name, _marked(content, name)) for name, content in layers)
    given = by_path(_over_recipe(marked, _marked))
    found = [name for name in values if name == path or name.startswith(f"{path}.")]
    if not found:
        raise RequestError(f"there is no field {path}; {suggestion(path, _paths(values))}")
    return [
        FieldOrigin(name, values[name], given[name].layer if isinstance(given.get(name), _Given) else DEFAULT)
        for name in found
    ]


def by_path(content: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested fields by their paths, such as `training.epochs`."""
    fields: dict[str, Any] = {}
    for name, value in content.items():
        fields |= by_path(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return fields


class _Given:
    """A value that knows its layer; equal to whatever equals its value, so that it can be laid over that."""

    def __init__(self, value: object, layer: str):
        self.value, self.layer = value, layer

    def __eq__(self, other: object) -> bool:
        return self.value == (other.value if isinstance(other, _Given) else other)

    def __hash__(self) -> int:
        return hash(repr(self.value))


def _marked(content: dict[str, Any], layer: str) -> dict[str, Any]:
    """`content` with each value marked by the layer that set it."""
    return {
        name: _marked(value, layer) if isinstance(value, dict) else _Given(value, layer)
        for name, value in content.items()
    }


def _unmarked(content: dict[str, Any], layer: str) -> dict[str, Any]:
    return content


def _over_recipe(
    content: dict[str, Any], mark: Callable[[dict[str, Any], str], dict[str, Any]] = _unmarked
) -> dict[str, Any]:
    """`content` laid over the recipe for its network, the lowest layer of all."""
    network = content.get("network")
    name = network_name(network if isinstance(network, Mapping) else {})
    name = str(name.value if isinstance(name, _Given) else name)
    return overlaid(mark(paper_recipe(name), f"the paper's recipe for {name}"), content)


def _paths(values: dict[str, Any]) -> list[str]:
    """Paths of fields and of the sections that they are in."""
    sections = [path.rpartition(".")[0] for path in values]
    return [*values, *dict.fromkeys(filter(None, sections))]
