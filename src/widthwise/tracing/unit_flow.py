"""The position of units after an operation whose effect is known by its name, along one dimension of a value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from widthwise.tracing.functions import (
    CELLWISE,
    DROPOUTS,
    EXPANSIONS,
    JOINS,
    NORMALIZATIONS,
    POOLINGS,
    REDUCTIONS,
    RESHAPES,
    SOFTMAXES,
    SPLITS,
)
from widthwise.tracing.structure import Slot, slots_in
from widthwise.tracing.tape import Operation, Tape

ORDERING = RESHAPES | JOINS | SPLITS | {"glu"}
"""Functions whose rules do not know units that are repeated."""


@dataclass(frozen=True)
class Units:
    """Units along `dimension` of a value, from index `offset` on, each `width` entries wide.

    Where only some of the units are in the value, `offset` is where the first would be, and may be negative. With a
    `period`, all units are repeated after that many entries, such as the features of several positions in a row.
    """

    dimension: int
    offset: int = 0
    width: int = 1
    period: int = 0

    def count(self, size: int) -> int:
        """The number of units along a dimension of that size."""
        return self.period or size // self.width


Moved = list[tuple[Slot, Units]]
"""The positions of units in the values that an operation returns; an input joined to itself has several in one."""


def units_after(tape: Tape, operation: Operation, slot: Slot, units: Units) -> Moved | None:
    """The positions of the units of an operation's input in its outputs.

    Returns: an empty list if the units are mixed or gone; None if the operation's name does not say.
    """
    name = operation.name
    if not operation.outputs or (units.period and name in ORDERING):
        return None
    before, after = tape.values[slot].shape, tape.values[operation.outputs[0]].shape
    if name in ("chunk", "split", "split_with_sizes", "tensor_split"):
        return _split(tape, operation, slot, units)
    if name in JOINS:
        return [(operation.outputs[0], each) for each in _joined(tape, operation, slot, units)]
    moved: Units | None
    if name in ("max", "min") and len(operation.inputs) > 1:
        moved = _broadcast(before, after, units)
    elif name in REDUCTIONS:
        reduced = _reduced(operation, before, after, units)
        if reduced is None:
            return None
        return [(output, each) for output in operation.outputs for each in reduced]
    elif name in CELLWISE | SOFTMAXES | NORMALIZATIONS | DROPOUTS:
        if name == "__setitem__" and slot != operation.inputs[0]:
            return None
        moved = _broadcast(before, after, units)
        if moved is None:
            return [] if name not in EXPANSIONS else None
    elif name in POOLINGS:
        pooled = int(name[-2]) if name[-1] == "d" else len(before) - 2
        inside = units.dimension >= len(before) - pooled
        moved = None if inside else _broadcast(before, after, units)
    elif name == "pad" and not _is_padded(operation, units.dimension, len(before)):
        moved = units
    elif name == "glu":  # a unit is what enters the next weight: one value of a half, gated by one of the other
        moved = replace(units, offset=0) if units.width == 1 else None
    elif name in RESHAPES:
        moved = _reshaped(before, after, units)
    else:
        moved = _rearranged(operation, before, after, units)
    return None if moved is None else [(output, moved) for output in dict.fromkeys(operation.outputs)]


def _broadcast(before: Sequence[int], after: Sequence[int], units: Units) -> Units | None:
    here = units.dimension - len(before)  # counted from the end, as values of fewer dimensions are broadcast
    fits = -here <= len(after) and after[here] == before[here]
    return replace(units, dimension=here % len(after)) if fits else None


def _rearranged(operation: Operation, before: Sequence[int], after: Sequence[int], units: Units) -> Units | None:
    name, dimension = operation.name, units.dimension
    arguments = [argument for argument in operation.args[1:] if not isinstance(argument, Slot)]
    if name == "permute":
        order = _dimensions(arguments or [operation.kwargs.get("dims")], len(before))
        return replace(units, dimension=order.index(dimension)) if len(order) == len(before) else None
    if name in ("transpose", "swapaxes", "swapdims", "t", "mT"):
        arguments = [-2, -1] if name in ("t", "mT") and len(before) > 1 else arguments
        order = _dimensions(arguments, len(before))
        if len(order) != 2:
            return None
        return replace(units, dimension={order[0]: order[1], order[1]: order[0]}.get(dimension, dimension))
    if name == "squeeze":
        given = arguments[:1] or [operation.kwargs.get("dim")]
        gone = [each for each in _dimensions(given, len(before)) if before[each] == 1]
        if not gone or dimension in gone:
            return None
        return replace(units, dimension=dimension - sum(each < dimension for each in gone))
    if name == "unsqueeze":
        (added,) = _dimensions(arguments or [operation.kwargs.get("dim")], len(after)) or [len(after)]
        return replace(units, dimension=dimension + (added <= dimension))
    if name == "__getitem__":
        return _indexed(operation.args[1], units)
    return None


def reduced_dimensions(operation: Operation, count: int) -> list[int] | None:
    """The dimensions over which an operation reduces a value of `count` dimensions; None: its arguments do not say."""
    arguments = [argument for argument in operation.args[1:] if not isinstance(argument, Slot)]
    first = 1 if operation.name in ("norm", "linalg_vector_norm", "linalg_norm") else 0  # after the norm's order
    given = arguments[first : first + 1] or [operation.kwargs.get("dim", operation.kwargs.get("axis"))]
    return list(range(count)) if given == [None] else _dimensions(given, count) or None


def _reduced(operation: Operation, before: Sequence[int], after: Sequence[int], units: Units) -> list[Units] | None:
    gone = reduced_dimensions(operation, len(before))
    if gone is None:
        return None
    if units.dimension in gone:
        return []
    kept = len(after) == len(before)
    return [replace(units, dimension=units.dimension - (0 if kept else sum(g < units.dimension for g in gone)))]


def _split(tape: Tape, operation: Operation, slot: Slot, units: Units) -> Moved | None:
    given = operation.args[2] if len(operation.args) > 2 else operation.kwargs.get("dim", 0)
    found = _dimensions([given], tape.values[slot].dim())
    if not found:
        return None
    moved, start = [], 0
    for output in operation.outputs:
        if found[0] == units.dimension:
            moved.append((output, replace(units, offset=units.offset - start)))
            start += tape.values[output].shape[units.dimension]
        else:
            moved.append((output, units))
    return moved


def _joined(tape: Tape, operation: Operation, slot: Slot, units: Units) -> list[Units]:
    dimension = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim", 0)
    if not isinstance(dimension, int):
        return []
    parts = list(slots_in(operation.args[0] if operation.args else list(operation.kwargs.values())))
    if units.dimension != dimension % tape.values[slot].dim():
        return [units]
    found, start = [], 0
    for part in parts:
        if part == slot:
            found.append(replace(units, offset=start + units.offset))
        start += tape.values[part].shape[dimension]
    return found


def _reshaped(before: Sequence[int], after: Sequence[int], units: Units) -> Units | None:
    size = before[units.dimension]
    outer = math.prod(before[: units.dimension])
    places = [place for place in range(len(after)) if math.prod(after[:place]) == outer]
    for place in places:
        if after[place] == size:
            return replace(units, dimension=place)
    for place in places:
        if after[place] > size > 0 and after[place] % size == 0:
            factor = after[place] // size
            return Units(place, units.offset * factor, units.width * factor)
        if units.width > 1 and not units.offset % units.width and after[place] * units.width == size:
            return Units(place, units.offset // units.width)
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


def _is_padded(operation: Operation, dimension: int, count: int) -> bool:
    """Whether `pad` changes the size of a dimension, or may do so."""
    pads = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("pad")
    if not isinstance(pads, (tuple, list)):
        return True
    start = 2 * (count - 1 - dimension)  # the last dimension comes first
    return any(each != 0 for each in pads[start : start + 2])


def _dimensions(arguments: Sequence[object], count: int) -> list[int]:
    """Dimensions of `count`, given one by one or as one sequence, as indices from 0; empty if they are not integers."""
    given = list(arguments)
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = list(given[0])
    whole = [each for each in given if isinstance(each, int) and not isinstance(each, (bool, Tensor))]
    return [each % count for each in whole] if len(whole) == len(given) else []
