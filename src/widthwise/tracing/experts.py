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

    It is if it is the only one, and a module that holds both the call and the weight of the product before it is called
    for these tokens. Otherwise calls are numbered as they come, and a run that skips an expert shifts the numbers.
    """
    alone = sum(_is_of(each.call_site, site) for each in graph.tape.operations)
    alone = alone if site.function else sum(call.path == site.path for call in graph.tape.calls)
    module = _common(site.path, product.call_site.path)
    calls = [call for call in graph.tape.calls if call.path == module]
    if alone != 1 or len(calls) != 1:
        return False
    inside = {id(graph.tape.operations[index]) for index in calls[0].operations}
    return id(product) in inside and all(id(choice) not in inside for choice in routing.choices)


def follows_skipped(graph: Graph, routing: Routing, site: CallSite) -> bool:
    """Whether a call is numbered after one for tokens that a router chose, which another run may skip."""
    operations = [each for each in graph.tape.operations if site.function and _is_of(each.call_site, site)]
    calls = [call for call in graph.tape.calls if not site.function and call.path == site.path]
    before = [slot for each in operations if each.call_site.number < site.number for slot in each.outputs]
    before += [slot for call in calls if call.number < site.number for slot in call.outputs]
    return not routing.values.isdisjoint(before)


def _is_of(site: CallSite, other: CallSite) -> bool:
    return site[:2] == other[:2]


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
