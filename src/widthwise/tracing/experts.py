"""Mixtures of experts: values that hold several experts, and values whose tokens a router chose."""

from dataclasses import dataclass
from itertools import takewhile

import torch

from widthwise.tracing.flow import Carried, Flow
from widthwise.tracing.functions import MATRIX_PRODUCTS
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import CallSite, Operation
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
    if carried.labels is None or carried.product.name not in MATRIX_PRODUCTS:
        return []
    along = _along_two_dimensions(carried.labels)
    if along is None:
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


@dataclass(frozen=True)
class Routing:
    """What a router does in a run.

    values: the values whose rows are tokens that it chose, and not examples.
    choices: the operations that take those tokens.
    """

    values: set[Slot]
    choices: list[Operation]


def find_routing(graph: Graph, flow: Flow) -> Routing:
    """Find the values whose rows are tokens that a router chose.

    They are taken from a value at indices that depend on what a dense layer or convolution computed. Taking them back
    by such indices, or putting them into a value with a row for each token, ends it.
    """
    routing = Routing(set(), [])
    for operation in graph.tape.operations:
        given = _data(graph, operation)
        if operation.name in SCATTERS:
            continue
        through = not routing.values.isdisjoint(given)
        if operation.name in GATHERS and _by_router(graph, flow, operation):
            through = not through and any(slot not in graph.constants for slot in given)
            if through:
                routing.choices.append(operation)
        if through:
            routing.values.update(operation.outputs)
    return routing


def is_of_one_expert(graph: Graph, routing: Routing, site: CallSite, product: Operation) -> bool:
    """Whether a call for tokens that a router chose is of the same expert in every run.

    It is if it is the only one, and a module that holds both the call and the product before it is called once for
    these tokens, as are all modules beside it. Otherwise calls are numbered as they come, and a run that skips an
    expert shifts the numbers.
    """
    if len(_calls_like(graph, site)) != 1:
        return False
    module = _common(site.path, product.call_site.path)
    beside = [call for call in graph.tape.calls if call.path and holder(call.path) == holder(module)]
    calls = [call for call in graph.tape.calls if call.path == module]
    if len(calls) != 1 or any(call.number for call in beside):
        return False
    inside = {id(graph.tape.operations[index]) for index in calls[0].operations}
    return id(product) in inside and all(id(choice) not in inside for choice in routing.choices)


def may_be_shifted(graph: Graph, routing: Routing, site: CallSite) -> bool:
    """Whether a call is numbered after one for tokens that a router chose, or is one; another run may skip that."""
    earlier = [slots for number, slots in _calls_like(graph, site) if number <= site.number]
    return any(not routing.values.isdisjoint(slots) for slots in earlier)


def _calls_like(graph: Graph, site: CallSite) -> list[tuple[int, list[Slot]]]:
    """The calls of the same function in the same module, or of the same module: their numbers, and their values."""
    if not site.function:
        return [(call.number, list(call.outputs)) for call in graph.tape.calls if call.path == site.path]
    return [
        (each.call_site.number, each.inputs + each.outputs)
        for each in graph.tape.operations
        if each.call_site[:2] == site[:2]
    ]


def holder(path: str) -> str:
    """The path of the module that holds another."""
    return path.rpartition(".")[0]


def _common(path: str, other: str) -> str:
    """The path of the innermost module that holds two others."""
    pairs = zip(path.split("."), other.split("."), strict=False)
    return ".".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _data(graph: Graph, operation: Operation) -> list[Slot]:
    """The values of floating point that an operation computes from; of one that gathers, only what it takes from."""
    given = [slot for slot in operation.inputs if graph.tape.values[slot].is_floating_point()]
    return given[:1] if operation.name in GATHERS else given


def _by_router(graph: Graph, flow: Flow, operation: Operation) -> bool:
    """Whether an operation takes entries at indices, several of them, that depend on what the network computed."""
    values = [(slot, graph.tape.values[slot]) for slot in operation.inputs[1:]]
    return any(slot in flow.downstream and index.dim() > 0 and not index.is_floating_point() for slot, index in values)


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
