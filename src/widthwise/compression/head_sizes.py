"""The projections of attention, whose units are heads: several outputs together."""

from torch import Tensor

from widthwise.compression.products import product_of
from widthwise.tracing.functions import ATTENTION, MATRIX_PRODUCTS
from widthwise.tracing.graph import PRODUCTS, Graph
from widthwise.tracing.heads import is_softmax
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation


def head_sizes(graph: Graph) -> dict[int, int]:
    """How many outputs of each projection of an attention make up a head, by the `id` of its operation."""
    found: dict[int, set[int]] = {}
    values = graph.tape.values
    for operation in graph.tape.operations:
        for slot, size in _attended(graph, operation):
            for projection in _products_before(graph, slot):
                product = product_of(graph, projection)
                if product is not None and _is_divided(values[product.output], product.outputs, size):
                    found.setdefault(id(projection), set()).add(size)
    return {key: min(sizes) for key, sizes in found.items() if len(sizes) == 1}


def _attended(graph: Graph, operation: Operation) -> list[tuple[Slot, int]]:
    """Queries, keys and values of an attention, with the size of a head in each."""
    values = graph.tape.values
    if operation.name in ATTENTION:
        return [(slot, values[slot].shape[-1]) for slot in operation.inputs[:3]]
    data = [slot for slot in operation.inputs if slot not in graph.constants]
    if operation.name not in MATRIX_PRODUCTS or len(data) != 2:
        return []
    weights = [slot for slot in data if is_softmax(graph, slot)]
    if len(weights) != 1:
        return []
    attended = next(slot for slot in data if slot not in weights)
    found = [(attended, values[attended].shape[-1])]
    for scores in _products_before(graph, weights[0]):
        factors = [slot for slot in scores.inputs if slot not in graph.constants]
        if scores.name in MATRIX_PRODUCTS and len(factors) == 2:
            found += [(slot, values[factors[0]].shape[-1]) for slot in factors]
    return found


def _products_before(graph: Graph, slot: Slot) -> list[Operation]:
    """The last products on every path to a value."""
    waiting, seen, found = [slot], set[Slot](), dict[int, Operation]()
    while waiting:
        one = waiting.pop()
        operation = graph.producers.get(one)
        if one in seen or operation is None or one in graph.constants:
            continue
        seen.add(one)
        if operation.name in PRODUCTS:
            found[id(operation)] = operation
        else:
            waiting += operation.inputs
    return list(found.values())


def _is_divided(value: Tensor, dimension: int, size: int) -> bool:
    return 1 < size < value.shape[dimension] and value.shape[dimension] % size == 0
