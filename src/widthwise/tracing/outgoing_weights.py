"""The weights by which a layer's units act on what comes after it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.tracing.functions import CONVOLUTIONS, COUPLING_NORMALIZATIONS, JOINS, MOVING, UNIT_PRESERVING
from widthwise.tracing.layer import Layer, slot_at
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape
from widthwise.tracing.unit_flow import Units, units_after

WEIGHT_LAST = {"addmm", "matmul", "mm", "__matmul__"}
"""Products whose last factor is a weight with a row for each of the units."""


@dataclass(frozen=True)
class OutgoingWeights:
    """The strength with which each unit acts on what comes after its layer.

    norms: Euclidean norm of each unit's weights in the dense layers and convolutions that read the layer's value, past
        normalization, pooling, sums and joins but no other nonlinearity; NaN where they cannot be found.
    only: whether nothing else reads the value, so that a unit of norm 0 has no effect at all.
    """

    norms: Float[Tensor, " units"]
    only: bool


def outgoing_weights(tape: Tape, layer: Layer) -> OutgoingWeights:
    """The outgoing weights of a layer's units, from a tape that has all its values."""
    consumers: dict[Slot, list[Operation]] = {}
    for operation in tape.operations:
        for slot in set(operation.inputs):
            consumers.setdefault(slot, []).append(operation)
    squares = torch.zeros(layer.units, dtype=torch.float64)
    only, known, reached = True, True, False
    waiting = [(slot_at(tape, layer), Units(layer.unit_dimension))]
    seen: set[tuple[Slot, Units]] = set()
    while waiting:
        slot, units = waiting.pop()
        if (slot, units) in seen:
            continue
        seen.add((slot, units))
        only &= slot not in tape.results
        for operation in consumers.get(slot, ()):
            name = operation.name
            found = _weight_squares(tape, operation, slot, units)
            if found is not None:
                part = found[units.offset : units.offset + layer.units * units.width]
                squares += part.view(layer.units, units.width).sum(1).cpu()
                reached = True
            elif name in UNIT_PRESERVING | MOVING | JOINS:
                moved = units_after(tape, operation, slot, units)
                known &= bool(moved)
                only &= name not in COUPLING_NORMALIZATIONS
                waiting += [(operation.outputs[0], each) for each in moved]
            else:
                only = False
    norms = squares.sqrt() if known and reached else torch.full_like(squares, torch.nan)
    return OutgoingWeights(norms, only and known)


def _weight_squares(tape: Tape, operation: Operation, slot: Slot, units: Units) -> Float[Tensor, " inputs"] | None:
    """The sum of squared weights of each input of a dense layer or convolution; None: another operation."""
    name = operation.name
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
    if name in WEIGHT_LAST and units.dimension == value.dim() - 1:
        factor = operands.index(slot) + 1
        if factor < len(operands) and tape.values[operands[factor]].dim() == 2:
            return tape.values[operands[factor]].double().square().sum(1)
    return None
