"""Settings in layers, each laid over those below it: from the paper's recipe for a network up to the values of an axis.

Resolving a trial and explaining where one of its fields comes from read the same list of layers.
"""

import functools
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, NamedTuple

import yaml

from widthwise.errors import RequestError
from widthwise.experiments.overlay import overlaid
from widthwise.experiments.trial import Trial
from widthwise.experiments.validation import validated
from widthwise.experiments.yaml_files import read_yaml

SET = "set for this run"
"""The layer of values from outside: `--set` on the command line."""


class Layer(NamedTuple):
    """Fields of a trial, section by section, and where they are set, in words such as `scale quick`."""

    name: str
    content: dict[str, Any]


def resolved(content: dict[str, Any], source: str) -> Trial:
    """The trial that `content` describes, laid over the paper's recipe for its network.

    Raises:
        RequestError: a field is unknown or ill-typed, or fields do not go together; `source` says where.
    """
    return validated(Trial, over_recipe(content), source)


def combined(layers: Iterable[Layer]) -> dict[str, Any]:
    """The content of `layers`, the lowest first, laid over each other."""
    return functools.reduce(overlaid, (layer.content for layer in layers), {})


@functools.lru_cache
def paper_recipe(network: str) -> dict[str, Any]:
    """The paper's recipe for a network, section by section; empty for the perceptron, whose are the defaults."""
    file = resources.files("widthwise.experiments") / "recipes" / f"{network}.yaml"
    return read_yaml(file.read_text(encoding="utf-8")) if file.is_file() else {}


def assigned(assignments: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Values by path, or from `PATH=VALUE`.

    Raises:
        RequestError: an assignment is malformed.
    """
    if isinstance(assignments, Mapping):
        return dict(assignments)
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise RequestError(f"--set {assignment} must be PATH=VALUE, such as training.epochs=20")
        try:
            values[path] = read_yaml(text)
        except yaml.YAMLError:
            raise RequestError(f"--set {assignment}: {text!r} is not a value in YAML") from None
    return values


def by_path(content: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested fields by their paths, such as `training.epochs`."""
    fields: dict[str, Any] = {}
    for name, value in content.items():
        fields |= by_path(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return fields


def over_recipe(content: dict[str, Any]) -> dict[str, Any]:
    """`content` laid over the paper's recipe for its network, the lowest layer of all."""
    return overlaid(paper_recipe(network_name(content)), content)


def network_name(content: dict[str, Any]) -> str:
    """The name of the network that the content of a trial asks for."""
    network = content.get("network")
    return str(network.get("name", "mlp") if isinstance(network, dict) else "mlp")
