"""Dense layers, convolutions and all other products of data with a weight, and where their units lie."""

import torch
from torch import Tensor

from widthwise.tracing.functions import CONVOLUTIONS, DENSE, EMBEDDINGS, MATRIX_PRODUCTS, RECURRENT
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation
from widthwise.tracing.unit_flow import Units
from widthwise.tracing.unit_labels import Labels, codes_by_bits

FIRST_FACTOR = {"addmm": 1, "addmv": 1, "baddbmm": 1, "addbmm": 1}
"""Index of the first factor, for products to which something is added."""
PLAIN_PRODUCTS = {"matmul", "linalg_matmul", "mm", "__matmul__", "addmm"}


def product_units(graph: Graph, operation: Operation) -> Units | Labels | str | None:
    """The units of the value of a product with a weight; a reason if they are not known; None for another operation.

    A unit is an index of the weight that is not summed over. For a product whose name does not say which these are, the
    weight is changed along one dimension after the other, to see what moves.
    """
    name = operation.name
    value = graph.tape.values[operation.outputs[0]] if operation.outputs else None
    if value is None or value.dim() == 0:
        return None
    last = value.dim() - 1
    if name in CONVOLUTIONS:
        return Units(value.dim() - 1 - int(name[-2]))
    if name in DENSE | EMBEDDINGS | RECURRENT:
        return Units(last)
    if name not in MATRIX_PRODUCTS:
        return None
    factors = operation.inputs[FIRST_FACTOR.get(name, 0) :]
    weights = [slot for slot in factors if slot in graph.weights or slot in graph.buffered]
    if not weights or all(slot in graph.constants for slot in factors):
        return None
    if name in PLAIN_PRODUCTS and len(factors) == 2 and graph.tape.values[weights[0]].dim() == 2:
        if weights[0] == factors[1]:
            return Units(last)
        if graph.tape.values[factors[1]].dim() > 1:
            return Units(last - 1)
    return _of_weight(graph, operation, weights[0])


def _of_weight(graph: Graph, operation: Operation, weight: Slot) -> Labels | str | None:
    """The units of a product's value, along all dimensions of a weight that are not summed over."""
    value, output = graph.tape.values[weight], operation.outputs[0]
    generator = torch.Generator().manual_seed(0)
    others = {
        slot: _random(graph.tape.values[slot], generator)
        for slot in operation.inputs
        if slot != weight and graph.tape.values[slot].is_floating_point()
    }
    codes: Tensor | None = None
    count, summed = 1, False
    for dimension in _own_dimensions(value):
        size = value.shape[dimension]
        shape = [size if each == dimension else 1 for each in range(value.dim())]
        index = torch.arange(1, size + 1).view(shape).expand(value.shape)
        found = codes_by_bits(
            lambda changed: graph.tape.computed(operation, {**others, weight: changed}), value, index, size
        )
        if found is None:
            return f"{operation.name} cannot be computed again"
        moved = found[output]
        if moved is None:
            summed = True
        else:
            codes = moved if codes is None else torch.where((codes > 0) & (moved > 0), (codes - 1) * size + moved, 0)
            count *= size
    if not summed:
        return None
    return "its weight has one unit" if codes is None else Labels(codes, count)


def _own_dimensions(weight: Tensor) -> list[int]:
    """The dimensions along which a weight has several slices that are not copies of one, as those of a batch are."""
    several = [each for each in range(weight.dim()) if weight.shape[each] > 1 and weight.stride(each)]
    different = [each for each in several if (weight != weight.narrow(each, 0, 1)).any()]
    return different or several


def _random(value: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(value.shape, generator=generator)
    return torch.empty_like(value).copy_(drawn)
