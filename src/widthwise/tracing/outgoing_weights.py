"""The weights by which a layer's units act on what comes after it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from widthwise.tracing.functions import (
    ARITHMETIC,
    CONVOLUTIONS,
    COUPLING_NORMALIZATIONS,
    DENSE,
    DROPOUTS,
    EXPANSIONS,
    IDENTITIES,
    JOINS,
    MATRIX_PRODUCTS,
    MIXTURES,
    MOVING,
    NORMALIZATIONS,
    POOLINGS,
)
from widthwise.tracing.layer import Layer, slot_at
from widthwise.tracing.products import FIRST_FACTOR, PLAIN_PRODUCTS
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape
from widthwise.tracing.unit_flow import Units, units_after
from widthwise.tracing.unit_labels import Labels, labelled, labels_after

SCALINGS = NORMALIZATIONS | POOLINGS | ARITHMETIC | MIXTURES
PASSED = SCALINGS | DROPOUTS | IDENTITIES | EXPANSIONS | MOVING | JOINS | {"mean", "sum", "pad"}
"""Functions between a value and the weights that read it."""


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
    """The outgoing weights of a layer's units, from a tape that has all its values; not known of a part of a value."""
    if layer.part is not None:
        return OutgoingWeights(torch.full((layer.units,), torch.nan, dtype=torch.float64), False)
    consumers: dict[Slot, list[Operation]] = {}
    for operation in tape.operations:
        for slot in set(operation.inputs):
            consumers.setdefault(slot, []).append(operation)
    squares = torch.zeros(layer.units, dtype=torch.float64)
    only, known, reached = True, True, False
    start = slot_at(tape, layer)
    waiting: list[tuple[Slot, Units | Labels]] = [(start, _first_place(tape.values[start], layer))]
    seen: set[tuple[Slot, Units]] = set()
    while waiting:
        slot, units = waiting.pop()
        if isinstance(units, Units):
            if (slot, units) in seen:
                continue
            seen.add((slot, units))
        only &= slot not in tape.results
        for operation in consumers.get(slot, ()):
            name = operation.name
            factor = _factor(tape, operation, slot)
            if factor is not None:
                codes = codes_along(tape.values[slot], units, factor.dimension)
                if codes is None:
                    known = False
                    continue
                inside = (codes > 0) & (codes <= layer.units)
                squares.index_add_(0, codes[inside] - 1, factor.squares.cpu()[inside])
                reached = True
            elif name in PASSED:
                moved = moved_units(tape, operation, slot, units)
                known &= bool(moved)
                only &= name not in COUPLING_NORMALIZATIONS
                waiting += moved
            else:
                only = False
                known &= not _has_weight(tape, operation, slot)
    norms = squares.sqrt() if known and reached else torch.full_like(squares, torch.nan)
    return OutgoingWeights(norms, only and known)


@dataclass(frozen=True)
class _Factor:
    """A product's weights: the sum of their squares for each index of a dimension of the other factor."""

    dimension: int
    squares: Float[Tensor, " inputs"]


def _first_place(value: Tensor, layer: Layer) -> Units:
    """Where the units lie in the layer's own value."""
    if layer.split is None:
        return Units(layer.unit_dimension)
    dimension = layer.split[0]
    if dimension == layer.unit_dimension:
        return Units(dimension, 0, value.shape[dimension] // layer.units)
    return Units(dimension, period=layer.units)


def moved_units(
    tape: Tape, operation: Operation, slot: Slot, units: Units | Labels
) -> list[tuple[Slot, Units | Labels]]:
    """Where the units are in what an operation returns; empty if that is not known."""
    if isinstance(units, Units):
        after = units_after(tape, operation, slot, units)
        if after is not None:
            return [*after]
        units = labelled(tape.values[slot], units)
    placed = labels_after(tape, operation, slot, units)
    known: list[tuple[Slot, Units | Labels]] = [
        (output, one) for output, one in placed.items() if isinstance(one, Labels)
    ]
    return known if len(known) == len(placed) else []


def codes_along(value: Tensor, units: Units | Labels, dimension: int) -> Int[Tensor, " indices"] | None:
    """The code of the unit at each index of a dimension; None: the units lie along another."""
    if isinstance(units, Units):
        if units.dimension != dimension:
            return None
        units = labelled(value, units)
    rows = units.codes.cpu().movedim(dimension, 0).reshape(value.shape[dimension], -1)
    return rows[:, 0] if rows.numel() and bool((rows == rows[:, :1]).all()) else None


def _has_weight(tape: Tape, operation: Operation, slot: Slot) -> bool:
    """Whether an operation multiplies a value by a weight in a way that `_factor` does not know."""
    others = (tape.values[other] for other in operation.inputs if other != slot)
    weighted = operation.name in MATRIX_PRODUCTS | DENSE | CONVOLUTIONS
    return weighted and any(isinstance(other, nn.Parameter) for other in others)


def _factor(tape: Tape, operation: Operation, slot: Slot) -> _Factor | None:
    """The weights of a dense layer or convolution that reads a value; None: another operation."""
    name = operation.name
    value = tape.values[slot]
    operands = operation.inputs
    if name in CONVOLUTIONS or name == "linear":
        if operands[0] != slot or len(operands) < 2:
            return None
        weight = tape.values[operands[1]].double()
        if name == "linear":
            return _Factor(value.dim() - 1, weight.square().sum(0))
        channels = value.dim() - 1 - int(name[-2])
        if name.startswith("conv_transpose"):
            return _Factor(channels, weight.square().flatten(1).sum(1))
        groups = value.shape[channels] // weight.shape[1]
        squares = weight.square().flatten(2).sum(2).view(groups, -1, weight.shape[1]).sum(1).flatten()
        return _Factor(channels, squares)
    factors = operands[FIRST_FACTOR.get(name, 0) :]
    if name in PLAIN_PRODUCTS and len(factors) == 2 and slot in factors and factors[0] != factors[1]:
        other = factors[1 - factors.index(slot)]
        weight = tape.values[other]
        if weight.dim() == 2 and factors[0] == slot:
            return _Factor(value.dim() - 1, weight.double().square().sum(1))
        if weight.dim() == 2 and value.dim() > 1:
            return _Factor(value.dim() - 2, weight.double().square().sum(0))
    return None
