"""Nested tuples, lists, dicts and slices that hold tensors, or slots instead of tensors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar, overload

from torch import Tensor

Leaf = TypeVar("Leaf")


@dataclass(frozen=True)
class Slot:
    """The index of one value on a tape."""

    index: int


@overload
def mapped(structure: tuple[object, ...], function: Callable[[Tensor], object]) -> tuple[object, ...]: ...
@overload
def mapped(structure: dict[str, object], function: Callable[[Tensor], object]) -> dict[str, object]: ...
@overload
def mapped(structure: object, function: Callable[[Tensor], object]) -> object: ...


def mapped(structure: object, function: Callable[[Tensor], object]) -> object:
    """The structure with `function` applied to its tensors."""
    return _replaced(structure, Tensor, function)


@overload
def filled(template: tuple[object, ...], function: Callable[[Slot], Tensor]) -> tuple[object, ...]: ...
@overload
def filled(template: dict[str, object], function: Callable[[Slot], Tensor]) -> dict[str, object]: ...


def filled(template: object, function: Callable[[Slot], Tensor]) -> object:
    """The template with values in place of its slots."""
    return _replaced(template, Slot, function)


def _replaced(structure: object, kind: type[Leaf], function: Callable[[Leaf], object]) -> object:
    if isinstance(structure, kind):
        return function(structure)
    if isinstance(structure, (tuple, list)):
        parts = [_replaced(part, kind, function) for part in structure]
        if isinstance(structure, list):
            return parts
        named = getattr(structure, "_make", None)
        return tuple(parts) if named is None else named(parts)
    if isinstance(structure, dict):
        return {key: _replaced(part, kind, function) for key, part in structure.items()}
    if isinstance(structure, slice):
        bounds = (structure.start, structure.stop, structure.step)
        return slice(*(_replaced(bound, kind, function) for bound in bounds))
    return structure


def _found(structure: object, kind: type[Leaf]) -> Iterator[Leaf]:
    if isinstance(structure, kind):
        yield structure
    elif isinstance(structure, (tuple, list)):
        for part in structure:
            yield from _found(part, kind)
    elif isinstance(structure, dict):
        yield from _found(list(structure.values()), kind)
    elif isinstance(structure, slice):
        yield from _found((structure.start, structure.stop, structure.step), kind)


def tensors_in(structure: object) -> Iterator[Tensor]:
    """The tensors of a nested structure, in order."""
    return _found(structure, Tensor)


def slots_in(structure: object) -> Iterator[Slot]:
    """The slots of a nested structure, in order."""
    return _found(structure, Slot)
