"""Nested tuples, lists and dicts, with tensors in them or slots in their place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """A place on the tape for one value."""

    index: int


def mapped(structure: Any, function: Callable[[Tensor], Any]) -> Any:
    """The structure with `function` applied to its tensors."""
    return _replaced(structure, Tensor, function)


def filled(template: Any, function: Callable[[Slot], Any]) -> Any:
    """The template with values in place of its slots."""
    return _replaced(template, Slot, function)


def _replaced(structure: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    if isinstance(structure, kind):
        return function(structure)
    if isinstance(structure, (tuple, list)):
        parts = [_replaced(part, kind, function) for part in structure]
        return parts if isinstance(structure, list) else tuple(parts)
    if isinstance(structure, dict):
        return {key: _replaced(part, kind, function) for key, part in structure.items()}
    if isinstance(structure, slice):
        bounds = (structure.start, structure.stop, structure.step)
        return slice(*(_replaced(bound, kind, function) for bound in bounds))
    return structure


def _found(structure: Any, kind: type) -> Iterator[Any]:
    if isinstance(structure, kind):
        yield structure
    elif isinstance(structure, (tuple, list)):
        for part in structure:
            yield from _found(part, kind)
    elif isinstance(structure, dict):
        yield from _found(list(structure.values()), kind)
    elif isinstance(structure, slice):
        yield from _found((structure.start, structure.stop, structure.step), kind)


def tensors_in(structure: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples, lists and dicts, in order."""
    return _found(structure, Tensor)


def slots_in(structure: Any) -> Iterator[Slot]:
    """The slots of nested tuples, lists and dicts, in order."""
    return _found(structure, Slot)
