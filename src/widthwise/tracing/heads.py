"""Attention heads: the value of each attention before its heads are joined, and where the heads lie in it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from widthwise.tracing.flow import Flow
from widthwise.tracing.functions import ATTENTION, MATRIX_PRODUCTS, SOFTMAXES
from widthwise.tracing.graph import Graph
from widthwise.tracing.nonlinearities import PRODUCTS
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation
from widthwise.tracing.unit_flow import Units
from widthwise.tracing.unit_labels import Labels, along_one_dimension, labelled, labels_after


@dataclass(frozen=True)
class Heads:
    """The heads in the value of one attention.

    operation: returns the value.
    units: the dimension along which they lie; None if that is not known.
    """

    operation: Operation
    units: Units | None


def attention_heads(graph: Graph, flow: Flow) -> list[Heads]:
    """The heads of every attention that has several, in order.

    They are found from the features of the projection that gives the attended values: those of one head are together.
    """
    found = []
    for operation in graph.tape.operations:
        attended = _attended(graph, operation)
        if attended is None:
            continue
        value = graph.tape.values[operation.outputs[0]]
        heads = _heads(graph, flow, operation, attended)
        if heads is None and value.dim() == 4 and flow.at(attended) is None:
            heads = Heads(operation, Units(1))  # as scaled_dot_product_attention's are, by its definition
        if heads is not None:
            found.append(heads)
    return found


def _attended(graph: Graph, operation: Operation) -> Slot | None:
    """The values that an attention weights and sums; None: the operation is none."""
    if operation.name in ATTENTION and len(operation.inputs) > 2:
        return operation.inputs[2]
    data = [slot for slot in operation.inputs if slot not in graph.constants]
    if operation.name not in MATRIX_PRODUCTS or len(data) != 2:
        return None
    weights = [slot for slot in data if is_softmax(graph, slot)]
    return next(slot for slot in data if slot not in weights) if len(weights) == 1 else None


def is_softmax(graph: Graph, slot: Slot) -> bool:
    """Whether a value is a softmax's, past everything but products."""
    waiting, seen = [slot], set[Slot]()
    while waiting:
        one = waiting.pop()
        operation = graph.producers.get(one)
        if one in seen or operation is None or one in graph.constants or operation.name in PRODUCTS:
            continue
        seen.add(one)
        if operation.name in SOFTMAXES:
            return True
        waiting += operation.inputs
    return False


def _heads(graph: Graph, flow: Flow, operation: Operation, attended: Slot) -> Heads | None:
    carried, value = flow.at(attended), graph.tape.values[operation.outputs[0]]
    if carried is None:
        return None
    labels = carried.labels
    if carried.units is not None:
        labels = labelled(graph.tape.values[attended], carried.units)
    after = labels_after(graph.tape, operation, attended, labels)[operation.outputs[0]] if labels else ""
    if isinstance(after, str):
        return Heads(operation, None)
    features = value.shape[-1]
    first = after.codes.cpu()[..., 0]
    expected = first.unsqueeze(-1) + torch.arange(features)
    if not torch.equal(after.codes.cpu(), expected) or ((first - 1) % features).any():
        return Heads(operation, None)
    heads = Labels((first - 1) // features + 1, after.count // features)
    if heads.count < 2:
        return Heads(operation, Units(1)) if value.dim() == 4 else None
    along = along_one_dimension(heads)
    if not isinstance(along, Units):
        return Heads(operation, None)
    row = heads.codes.movedim(along.dimension, 0).flatten(1)[:, 0]
    if (row.diff() >= 0).all():
        return Heads(operation, Units(along.dimension))
    return Heads(operation, Units(along.dimension, period=_period(row)))


def _period(codes: Tensor) -> int:
    """The number of heads in a row before they are repeated for the next example."""
    whole = (n for n in range(1, len(codes) + 1) if len(codes) % n == 0)
    return next(n for n in whole if torch.equal(codes, codes[:n].repeat(len(codes) // n)))
