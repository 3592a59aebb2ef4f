"""The position of a layer's units after an operation that only moves, scales or pools values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from widthwise.tracing.functions import JOINS, UNIT_PRESERVING
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape


@dataclass(frozen=True)
class Units:
    """Units along `dimension` of a value, from index `offset` on, each `width` entries wide."""

    dimension: int
    offset: int = 0
    width: int = 1


def units_after(tape: Tape, operation: Operation, slot: Slot, units: Units) -> list[Units]:
    """The positions of the units of an operation's input in its output; empty if they cannot be determined.

    An input that is joined to itself lies at several offsets.
    """
    name = operation.name
    before, after = tape.values[slot].shape, tape.values[operation.outputs[0]].shape
    if name in JOINS:
        return _joined(tape, operation, slot, units)
    if name in UNIT_PRESERVING:
        here = units.dimension - len(before)  # counted from the end, as values of fewer dimensions are broadcast
        fits = -here <= len(after) and after[here] == before[here]
        return [replace(units, dimension=here % len(after))] if fits else []
    arguments = [argument for argument in operation.args[1:] if not isinstance(argument, Slot)]
    moved = None
    if name in ("view", "reshape", "flatten"):
        moved = _reshaped(before, after, units)
    elif name == "permute":
        order = _dimensions(arguments, len(before))
        moved = replace(units, dimension=order.index(units.dimension)) if len(order) == len(before) else None
    elif name in ("transpose", "swapaxes"):
        order = _dimensions(arguments, len(before))
        if len(order) == 2:
            swapped = {order[0]: order[1], order[1]: order[0]}
            moved = replace(units, dimension=swapped.get(units.dimension, units.dimension))
    elif name in ("mean", "squeeze"):
        given = arguments[:1] or [operation.kwargs.get("dim")]
        gone = [each for each in _dimensions(given, len(before)) if name == "mean" or before[each] == 1]
        if gone and units.dimension not in gone:
            kept = len(after) == len(before)
            moved = replace(units, dimension=units.dimension - (0 if kept else sum(g < units.dimension for g in gone)))
    elif name == "unsqueeze":
        (added,) = _dimensions(arguments, len(after)) or [len(after)]
        moved = replace(units, dimension=units.dimension + (added <= units.dimension))
    elif name == "__getitem__":
        moved = _indexed(operation.args[1], units)
    return [] if moved is None else [moved]


def _joined(tape: Tape, operation: Operation, slot: Slot, units: Units) -> list[Units]:
    dimension = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim", 0)
    if not isinstance(dimension, int):
        return []
    parts = list(operation.inputs)
    if units.dimension != dimension % tape.values[slot].dim():
        return [units]
    found, start = [], 0
    for part in parts:
        if part == slot:
            found.append(replace(units, offset=start + units.offset))
        start += tape.values[part].shape[dimension]
    return found


def _reshaped(before: Sequence[int], after: Sequence[int], units: Units) -> Units | None:
    dimension = units.dimension
    if tuple(after[: dimension + 1]) == tuple(before[: dimension + 1]):
        return units
    behind = math.prod(before[dimension + 1 :])
    if tuple(after) == (*before[:dimension], before[dimension] * behind):
        return Units(dimension, units.offset * behind, units.width * behind)
    if dimension == len(before) - 1 and after and after[-1] == before[-1]:
        return replace(units, dimension=len(after) - 1)
    return None


def _indexed(index: object, units: Units) -> Units | None:
    """The units after indexing by integers and slices; None: the index affects their dimension."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) > units.dimension and not all(part == slice(None) for part in parts[units.dimension :]):
        return None
    if not all(isinstance(part, (int, slice)) and not isinstance(part, bool) for part in parts):
        return None
    gone = sum(isinstance(part, int) for part in parts[: units.dimension])
    return replace(units, dimension=units.dimension - gone)


def _dimensions(arguments: Sequence[object], count: int) -> list[int]:
    """Dimensions of `count`, given one by one or as one sequence, as indices from 0; empty if they are not integers."""
    given = list(arguments)
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = list(given[0])
    whole = [each for each in given if isinstance(each, int) and not isinstance(each, bool)]
    return [each % count for each in whole] if len(whole) == len(given) else []
