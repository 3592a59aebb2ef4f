"""Values whose rows are tokens that a router chose, as in a mixture of experts, and not examples."""

from widthwise.tracing.flow import Flow
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation

GATHERS = {"__getitem__", "index_select", "gather", "take_along_dim", "take"}
"""Functions that take entries of a value at indices."""
SCATTERS = {
    *("index_add", "index_copy", "index_put", "scatter", "scatter_add", "scatter_reduce", "index_reduce"),
    *("__setitem__", "masked_scatter", "put"),
}
"""Functions that put entries into a value at indices; what they return has that value's rows."""


def routed_values(graph: Graph, flow: Flow) -> set[Slot]:
    """The values whose rows were taken at indices that depend on what a dense layer or convolution computed.

    Taking rows back by such indices, or putting them into a value with a row for each token, ends it.
    """
    routed = set[Slot]()
    for operation in graph.tape.operations:
        if operation.name in SCATTERS:
            continue
        given = [slot for slot in operation.inputs if graph.tape.values[slot].is_floating_point()]
        if operation.name in GATHERS:
            given = given[:1]
        chosen = not routed.isdisjoint(given)
        if operation.name in GATHERS and _by_router(graph, flow, operation):
            chosen = not chosen and any(slot not in graph.constants for slot in given)
        if chosen:
            routed.update(operation.outputs)
    return routed


def _by_router(graph: Graph, flow: Flow, operation: Operation) -> bool:
    """Whether an operation takes entries at several indices that depend on what the network computed."""
    values = [(slot, graph.tape.values[slot]) for slot in operation.inputs[1:]]
    return any(slot in flow.downstream and index.dim() > 0 and not index.is_floating_point() for slot, index in values)
