"""Mixtures of experts: values that hold several experts, and values whose tokens a router chose."""

from dataclasses import dataclass

import torch
from torch import Tensor

from widthwise.tracing.flow import Carried, Flow
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation
from widthwise.tracing.unit_flow import Units
from widthwise.tracing.unit_labels import Labels

GATHERS = {"__getitem__", "index_select", "gather", "take_along_dim", "take"}
"""Functions that take entries of a value at indices."""
SCATTERS = {
    *("index_add", "index_copy", "index_put", "scatter", "scatter_add", "scatter_reduce", "index_reduce"),
    *("__setitem__", "masked_scatter", "put"),
}
"""Functions that put entries into a value at indices; what they return has that value's rows."""


@dataclass(frozen=True)
class Expert:
    """One expert's part of a value, and its units there.

    dimension: the value's dimension along which its experts lie.
    units: where the units are once that dimension is taken away.
    """

    dimension: int
    index: int
    units: Units


def experts_side_by_side(carried: Carried) -> list[Expert]:
    """The experts of a value whose weight has a dimension of experts: their units are those of one product.

    Its units lie along two dimensions of it, of which the first tells the expert; empty if they do not.
    """
    along = None if carried.labels is None else _along_two_dimensions(carried.labels)
    if along is None or carried.labels is None:
        return []
    dimension, units = along
    place = Units(units - (dimension < units))
    return [Expert(dimension, index, place) for index in range(carried.labels.codes.shape[dimension])]


def _along_two_dimensions(labels: Labels) -> tuple[int, int] | None:
    """The two dimensions whose indices tell the unit, the one whose units lie further apart first."""
    codes = labels.codes.cpu()
    if not (codes > 0).all():
        return None
    moving = [each for each in range(codes.dim()) if (codes != codes.narrow(each, 0, 1)).any()]
    if len(moving) != 2:
        return None
    first, last = moving
    plane = codes.movedim((first, last), (0, 1)).flatten(2)[:, :, 0]
    if torch.equal(plane.flatten(), torch.arange(1, labels.count + 1)):
        return first, last
    if torch.equal(plane.T.flatten(), torch.arange(1, labels.count + 1)):
        return last, first
    return None


def routed_values(graph: Graph, flow: Flow) -> set[Slot]:
    """The values whose rows are tokens that a router chose, and not examples.

    They are taken from a value at indices that depend on what a dense layer or convolution computed. Taking them back
    by such indices, or putting them into a value with a row for each token, ends it.
    """
    routed = set[Slot]()
    for operation in graph.tape.operations:
        given = _data(graph, operation)
        if operation.name in SCATTERS:
            continue
        through = not routed.isdisjoint(given)
        if operation.name in GATHERS and _by_router(graph, flow, operation):
            through = not through and any(slot not in graph.constants for slot in given)
        if through:
            routed.update(operation.outputs)
    return routed


def _data(graph: Graph, operation: Operation) -> list[Slot]:
    """The values of floating point that an operation computes from; of one that gathers, only what it takes from."""
    given = [slot for slot in operation.inputs if graph.tape.values[slot].is_floating_point()]
    return given[:1] if operation.name in GATHERS else given


def _by_router(graph: Graph, flow: Flow, operation: Operation) -> bool:
    """Whether an operation takes entries at indices, several of them, that depend on what the network computed."""
    indices = [slot for slot in operation.inputs[1:] if not graph.tape.values[slot].is_floating_point()]
    return any(slot in flow.downstream and _several(graph.tape.values[slot]) for slot in indices)


def _several(index: Tensor) -> bool:
    return index.dim() > 0


def is_chosen_by_data(graph: Graph, product: Operation) -> bool:
    """Whether the weight of a product is taken from several by an index that depends on the data.

    The same call may then be of another expert in another run.
    """
    for slot in product.inputs[1:2]:
        producer = graph.producers.get(slot)
        while producer is not None and slot not in graph.constants:
            taken = producer.inputs[0] if producer.inputs else slot
            if producer.name in GATHERS and taken in graph.constants:
                return True
            slot, producer = taken, graph.producers.get(taken)
    return False
