"""The unit of each entry of a value, found from the data: by calling an operation again with some entries changed.

Every entry of a value has a code: 0 if it belongs to no unit, u + 1 if it belongs to unit u. To see where the units
are after an operation, its input's entries are changed according to the bits of their unit's index: for each bit, once
all units whose bit is 1, once all whose bit is 0. An entry of the result that both of the two move mixes units; of an
entry that always only one moves, the bits say which unit it belongs to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from widthwise.tracing.functions import (
    CELLWISE,
    DROPOUTS,
    EXPANSIONS,
    JOINS,
    MOVING,
    NORMALIZATIONS,
    REDUCTIONS,
    SOFTMAXES,
)
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape
from widthwise.tracing.unit_flow import Units, reduced_dimensions

ROUNDS = 3
"""Number of times that entries are changed, so that a maximum or a threshold cannot hide all changes."""
TOLERANCE = 1e-5
"""Change, relative to the largest entry, from which on an entry counts as moved."""

NOT_ALONG = "they lie along no dimension of their own"


@dataclass(frozen=True)
class Labels:
    """The code of every entry of a value, and the number of units.

    A complex value has one for each real and imaginary part, in a last dimension of its own.
    """

    codes: Tensor
    count: int


def labelled(value: Tensor, units: Units) -> Labels:
    """The labels of a value whose units lie along one dimension."""
    size = value.shape[units.dimension]
    index = torch.arange(size, device=value.device) - units.offset
    if units.period:
        index = index % units.period
    unit = torch.div(index, units.width, rounding_mode="floor")
    codes = torch.where(unit >= 0, unit + 1, 0)
    shape = [size if dimension == units.dimension else 1 for dimension in range(value.dim())]
    codes = codes.view([*shape, 1] if value.is_complex() else shape)
    return Labels(codes.expand(real(value).shape), int(codes.max()) if size else 0)


def real(value: Tensor) -> Tensor:
    """A complex value as its real and imaginary parts, in a last dimension; any other as it is."""
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def labels_after(tape: Tape, operation: Operation, slot: Slot, labels: Labels) -> dict[Slot, Labels | str]:
    """The labels of an operation's outputs; a reason for one whose entries' units are not known."""
    name = operation.name
    outputs = list(dict.fromkeys(operation.outputs))
    if name in ("view_as_real", "view_as_complex"):
        return dict.fromkeys(outputs, labels)
    cellwise = name in CELLWISE | SOFTMAXES | NORMALIZATIONS | DROPOUTS and name not in ("__setitem__", *EXPANSIONS)
    whole = any(tape.values[each].is_complex() for each in (slot, *outputs))
    if cellwise and not whole:
        spread = {output: _broadcast(labels, tape.values[output].shape) for output in outputs}
        return {output: f"{name} mixes them" if one is None else one for output, one in spread.items()}
    if name in REDUCTIONS and len(operation.inputs) == 1 and not whole:
        gone = reduced_dimensions(operation, tape.values[slot].dim())
        if gone is not None:
            one = _codes_reduced(labels, gone, tape.values[outputs[0]].dim())
            return dict.fromkeys(outputs, f"{name} sums over them or takes one of them" if one is None else one)
    if name in MOVING | JOINS | EXPANSIONS and not whole:
        moved = _codes_moved(tape, operation, slot, labels)
        if moved is not None:
            return {output: Labels(codes, labels.count) for output, codes in moved.items()}
    value = tape.values[slot]
    codes = codes_by_bits(lambda changed: tape.computed(operation, {slot: changed}), value, labels.codes, labels.count)
    if codes is None:
        return dict.fromkeys(outputs, f"{name} cannot be called with other numbers")
    return {output: f"{name} mixes them" if one is None else Labels(one, labels.count) for output, one in codes.items()}


def _broadcast(labels: Labels, shape: torch.Size) -> Labels | None:
    try:
        return replace(labels, codes=torch.broadcast_to(labels.codes, shape))
    except RuntimeError:
        return None


def _codes_reduced(labels: Labels, gone: list[int], left: int) -> Labels | None:
    """The labels after a reduction; None: it is over entries of different units."""
    codes = labels.codes
    first, last = codes.amin(gone, keepdim=left == codes.dim()), codes.amax(gone, keepdim=left == codes.dim())
    return replace(labels, codes=last) if torch.equal(first, last) else None


def _codes_moved(tape: Tape, operation: Operation, slot: Slot, labels: Labels) -> dict[Slot, Tensor] | None:
    """The codes after an operation that only moves entries, by moving the codes themselves."""
    changed: dict[Slot, Tensor] = {}
    for other in operation.inputs:
        value = tape.values[other]
        if value.is_floating_point() or value.is_complex():
            changed[other] = torch.zeros_like(value, dtype=torch.float64)
    changed[slot] = torch.empty_like(tape.values[slot], dtype=torch.float64).copy_(labels.codes)
    try:
        moved = tape.computed(operation, changed)
    except Exception:  # whatever a function raises at another type of numbers
        return None
    return {output: codes.round().long().cpu() for output, codes in moved.items()}


def codes_by_bits(
    call: Callable[[Tensor], dict[Slot, Tensor]], value: Tensor, codes: Tensor, count: int
) -> dict[Slot, Tensor | None] | None:
    """The codes of all results of `call`, a function of the value; None if it cannot be called."""
    if not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool):
        return None
    generator = torch.Generator().manual_seed(0)
    codes = codes.to(value.device)
    unit = codes - 1
    bits = max(1, (count - 1).bit_length())
    found: dict[Slot, list[Tensor]] = {}
    try:
        for _ in range(ROUNDS):
            start, other = _alternatives(value, generator)
            intact = call(start.clone())
            for bit in range(bits):
                for level in (0, 1):
                    chosen = (codes > 0) & ((unit >> bit) % 2 == level)
                    mixed = torch.where(chosen, real(other), real(start))
                    mixed = torch.view_as_complex(mixed) if value.is_complex() else mixed
                    results = call(torch.empty_like(value).copy_(mixed))  # in the value's own layout in memory
                    for slot, result in results.items():
                        differs = _differs(real(intact[slot]), real(result)).cpu()
                        moved = found.setdefault(slot, [torch.zeros(differs.shape, dtype=torch.bool)] * 2 * bits)
                        moved[2 * bit + level] = moved[2 * bit + level] | differs
    except Exception:  # whatever a function raises at other numbers
        return None
    return {slot: _decoded(moved, count) for slot, moved in found.items()}


def _alternatives(value: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two values that differ in every entry, of the same type and layout in memory."""
    if value.dtype == torch.bool:
        first = (torch.rand(value.shape, generator=generator) < 0.5).to(value.device)
        return torch.empty_like(value).copy_(first), torch.empty_like(value).copy_(~first)
    dtype = value.dtype if value.is_complex() else torch.float32
    first, second = (torch.randn(value.shape, dtype=dtype, generator=generator) for _ in range(2))
    return torch.empty_like(value).copy_(first), torch.empty_like(value).copy_(second)


def _differs(one: Tensor, other: Tensor) -> Tensor:
    """Entries that are not the same, apart from rounding."""
    if not one.is_floating_point():
        return one != other
    scale = one.abs().nan_to_num(0, 0, 0).max() if one.numel() else 0
    return ((one - other).abs() > TOLERANCE * scale) | (one.isnan() != other.isnan())


def _decoded(moved: list[Tensor], count: int) -> Tensor | None:
    """The code of each entry, from whether units with a bit of 0 or of 1 move it; None: units are mixed."""
    code = torch.zeros(moved[0].shape, dtype=torch.long)
    known = torch.ones(moved[0].shape, dtype=torch.bool)
    for bit in range(len(moved) // 2):
        zero, one = moved[2 * bit : 2 * bit + 2]
        if (zero & one).any():
            return None
        code += one.long() << bit
        known &= zero | one
    return torch.where(known & (code < count), code + 1, 0)


def along_one_dimension(labels: Labels) -> Units | str:
    """The dimension along which the units lie, or the reason why they lie along none.

    It is the only dimension whose index tells the unit, or is told by it: one unit may have several indices, next to
    each other or at equal distances; neighbouring units may share one, as after pixel shuffling: these groups count.
    """
    codes, found = _varying(labels.codes).cpu(), list[Units | str]()
    for dimension in range(codes.dim()):
        size = codes.shape[dimension]
        rows = codes.movedim(dimension, 0).reshape(size, -1)
        highest = rows.amax(1)
        lowest = torch.where(rows > 0, rows, labels.count + 1).amin(1)
        if size < 2 or not (highest > 0).any():
            continue
        tells_unit = bool(((highest == lowest) | (highest == 0)).all()) and len(highest[highest > 0].unique()) > 1
        if tells_unit:
            found.append(_in_a_row(highest, dimension))
        elif labels.count > 1 and _told_by_unit(rows, labels.count):
            grouped = bool((highest[1:] > highest[:-1]).all() and (lowest[1:] > highest[:-1]).all())
            found.append(Units(dimension) if grouped else NOT_ALONG)
    if len(found) > 1:
        return "they lie along more than one dimension"
    return found[0] if found else NOT_ALONG


def _varying(codes: Tensor) -> Tensor:
    """The codes at the first index of every dimension along which they are all the same."""
    for dimension in range(codes.dim()):
        first = codes.narrow(dimension, 0, min(1, codes.shape[dimension]))
        if codes.stride(dimension) == 0 or torch.equal(codes, first.expand_as(codes)):
            codes = first
    return codes


def _told_by_unit(rows: Tensor, count: int) -> bool:
    """Whether all entries of a unit are in one row, and not all in the same one."""
    index = torch.arange(len(rows)).view(-1, 1).expand_as(rows)[rows > 0]
    unit = rows[rows > 0] - 1
    first = torch.full((count,), len(rows)).scatter_reduce(0, unit, index, "amin")
    last = torch.full((count,), -1).scatter_reduce(0, unit, index, "amax")
    there = last >= 0
    return bool((first == last)[there].all()) and len(last[there].unique()) == int((rows > 0).any(1).sum()) > 1


def _in_a_row(codes: Tensor, dimension: int) -> Units | str:
    """The units along a dimension, from the code at each index; a reason if they are in no order."""
    changes = torch.nonzero(codes[1:] != codes[:-1]).flatten() + 1
    bounds = torch.cat([torch.zeros(1, dtype=torch.long), changes, torch.tensor([len(codes)])])
    lengths, unlabelled = bounds.diff(), codes[bounds[:-1]] == 0
    widths = lengths[~unlabelled].unique()
    if len(widths) != 1 or (lengths[unlabelled] % widths[0]).any():
        return "they take different numbers of entries"
    width, there = int(widths[0]), codes[codes > 0]
    period = len(there.unique()) * width
    if period == len(there):
        return Units(dimension, 0, width)
    again = len(codes) % period == 0 and torch.equal(codes, codes[:period].repeat(len(codes) // period))
    return Units(dimension, period=period) if again and width == 1 else "they are repeated in no order"
