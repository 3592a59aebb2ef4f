"""Settings in layers, each overriding those below it: from the paper's recipe for a network up to the values of an
axis.

Resolving a trial and explaining where one of its fields comes from read the same list of layers.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from widthwise.experiments.overlay import overlaid
from widthwise.experiments.trial import Trial
from widthwise.experiments.validation import validated

SET = "set for this run"
"""The layer of values that are set outside of any file."""


class Layer(NamedTuple):
    """Fields of a trial, section by section, and the layer that sets them, in words such as `scale quick`."""

    name: str
    content: dict[str, Any]


def resolved(content: dict[str, Any], source: str) -> Trial:
    """The trial that `content` describes, with what it leaves out from the paper's recipe for its network.

    Raises:
        RequestError: a field is unknown or ill-typed, or fields do not go together; the message names `source`.
    """
    return validated(Trial, content, source)


def combined(layers: Iterable[Layer]) -> dict[str, Any]:
    """The content of `layers`, the lowest first, each overriding those before it."""
    return functools.reduce(overlaid, (layer.content for layer in layers), {})


def by_path(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested fields by their paths, such as `training.epochs`."""
    fields: dict[str, Any] = {}
    for name, value in content.items():
        fields |= by_path(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return fields
