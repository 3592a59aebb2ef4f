"""The weights by which a layer's units act on what follows."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.measurement.layers import (
    CONVOLUTIONS,
    DROPOUTS,
    JOINS,
    KEEPING,
    MATRIX_PRODUCTS,
    MOVING,
    NORMALIZATIONS,
    POOLINGS,
    SUMS,
    Layer,
    plain,
    slot_at,
)
from widthwise.measurement.structure import Slot
from widthwise.measurement.tape import Operation, Tape

PRODUCTS_BY_ELEMENT = {"mul", "__mul__", "__rmul__", "__imul__", "div", "__truediv__"}
SAME_PLACES = NORMALIZATIONS | DROPOUTS | POOLINGS | SUMS | PRODUCTS_BY_ELEMENT | (KEEPING - {"chunk", "split", "pad"})


@dataclass(frozen=True)
class _Units:
    """Where the units of a layer lie in a value: along `dimension`, from `offset` on, each `width` places wide."""

    dimension: int
    offset: int
    width: int


@dataclass(frozen=True)
class Outgoing:
    """norms: of each unit's weights in the dense layers and convolutions that take the layer's value, past
    normalization, pooling, sums and joins but no other nonlinearity; NaN where they cannot be told.
    only: whether nothing else takes the value, so that a unit of norm 0 has no effect at all.
    """

    norms: Float[Tensor, " units"]
    only: bool


def outgoing_weights(tape: Tape, layer: Layer) -> Outgoing:
    """The outgoing weights of a layer's units, from a tape that has all its values."""
    consumers: dict[Slot, list[Operation]] = {}
    for operation in tape.operations:
        for slot in set(operation.inputs):
            consumers.setdefault(slot, []).append(operation)
    squares = torch.zeros(layer.units, dtype=torch.float64)
    only, known, reached = True, True, False
    waiting = [(slot_at(tape, layer), _Units(layer.unit_dimension, 0, 1))]
    seen = set()
    while waiting:
        slot, units = waiting.pop()
        if slot in seen:
            continue
        seen.add(slot)
        only &= slot not in tape.results
        for operation in consumers.get(slot, ()):
            found = _weight_squares(tape, operation, slot, units)
            if found is not None:
                part = found[units.offset : units.offset + layer.units * units.width]
                if len(part) == layer.units * units.width:
                    squares += part.view(layer.units, units.width).sum(1).cpu()
                    reached = True
                    continue
                known = False
            elif plain(operation.place[1]) not in SAME_PLACES | MOVING | JOINS:
                only = False
            elif (moved := _moved(tape, operation, slot, units)) is not None:
                waiting.append((operation.outputs[0], moved))
            else:
                known = False
    norms = squares.sqrt() if known and reached else torch.full_like(squares, torch.nan)
    return Outgoing(norms, only and known)


def _weight_squares(tape: Tape, operation: Operation, slot: Slot, units: _Units) -> Float[Tensor, " inputs"] | None:
    """The sum of squared weights of each input of a dense layer or convolution; None where it is no such thing."""
    name = plain(operation.place[1])
    value = tape.values[slot]
    operands = operation.inputs
    if name in CONVOLUTIONS or name == "linear":
        if operands[0] != slot or len(operands) < 2:
            return None
        weight = tape.values[operands[1]].double()
        if name == "linear":
            return weight.square().sum(0) if units.dimension == value.dim() - 1 else None
        if units.dimension != 1:
            return None
        if name.startswith("conv_transpose"):
            return weight.square().flatten(1).sum(1)
        groups = value.shape[1] // weight.shape[1]
        return weight.square().flatten(2).sum(2).view(groups, -1, weight.shape[1]).sum(1).flatten()
    if name in MATRIX_PRODUCTS and units.dimension == value.dim() - 1:
        factor = operands.index(slot) + 1
        if factor < len(operands) and tape.values[operands[factor]].dim() == 2:
            return tape.values[operands[factor]].double().square().sum(1)
    return None


def _moved(tape: Tape, operation: Operation, slot: Slot, units: _Units) -> _Units | None:
    """Where the units lie in what an operation gives; None where that cannot be told."""
    name = plain(operation.place[1])
    before, after = tape.values[slot].shape, tape.values[operation.outputs[0]].shape
    dimension = units.dimension
    if name in JOINS:
        joined: Any = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim", 0)
        if not isinstance(joined, int) or dimension not in (joined, joined + len(before)):
            return units
        parts = list(operation.inputs)
        offset = sum(tape.values[part].shape[dimension] for part in parts[: parts.index(slot)])
        return replace(units, offset=units.offset + offset)
    if name in ("permute", "transpose", "swapaxes"):
        return _permuted(name, operation, len(before), units)
    if name in SAME_PLACES:
        fits = len(after) == len(before) and after[dimension] == before[dimension]
        return units if fits else None
    if len(after) > dimension and after[: dimension + 1] == before[: dimension + 1]:
        return units
    behind = math.prod(before[dimension + 1 :])
    merged = (*before[:dimension], before[dimension] * behind)
    if tuple(after) == merged:
        return _Units(dimension, units.offset * behind, units.width * behind)
    if dimension == len(before) - 1 and len(after) > 1 and after[-1] == before[-1]:
        return replace(units, dimension=len(after) - 1)
    return None


def _permuted(name: str, operation: Operation, dimensions: int, units: _Units) -> _Units | None:
    given: list[Any] = [argument for argument in operation.args[1:] if isinstance(argument, (int, tuple, list))]
    order: list[Any] = list(given[0]) if len(given) == 1 and not isinstance(given[0], int) else given
    if not all(isinstance(each, int) for each in order):
        return None
    order = [each % dimensions for each in order]
    if name == "permute" and len(order) == dimensions:
        return replace(units, dimension=order.index(units.dimension))
    if name != "permute" and len(order) == 2:
        one, other = order
        swapped = {one: other, other: one}
        return replace(units, dimension=swapped.get(units.dimension, units.dimension))
    return None
