"""Where the units of every value of a run lie: from each dense layer and convolution on, operation by operation."""

from collections.abc import Container
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from widthwise.tracing.functions import (
    CONVOLUTIONS,
    DENSE,
    EMBEDDINGS,
    GROUPED_PRODUCTS,
    JOINS,
    MATRIX_PRODUCTS,
    RECURRENT,
    REDUCTIONS,
)
from widthwise.tracing.graph import Graph
from widthwise.tracing.products import PLAIN_PRODUCTS, product_units
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation
from widthwise.tracing.unit_flow import Units, units_after
from widthwise.tracing.unit_labels import NOT_ALONG, Labels, along_one_dimension, labelled, labels_after


@dataclass(frozen=True)
class Carried:
    """The units that a value carries.

    units: their dimension; None: they do not lie along one dimension.
    labels: the unit of each entry, where they do not lie along one dimension but each entry is known.
    product: the dense layer or convolution whose units they are.
    products: all those that the value was computed from, without another one in between, by their index on the tape.
    note: why the units are not known; empty if they are.
    reduced: whether they were summed over, or reduced in another way, so that the value has none.
    ends: where each expert's rows end, if the rows of several follow each other; None: they do not.
    plain: whether each unit is one output of `product`, and neither gated by nor added to anything else from the data.
    """

    units: Units | None
    labels: Labels | None
    product: Operation
    products: frozenset[int]
    note: str = ""
    reduced: bool = False
    ends: Operation | None = None
    plain: bool = True


class Flow:
    """The units that the values of a run carry. They are computed when they are asked for.

    downstream: the values that carry units of any product, known or not.
    """

    def __init__(self, graph: Graph):
        self._graph = graph
        self._found: dict[Slot, Carried | None] = {}
        self._starts = set[int]()
        self.downstream = set[Slot]()
        for operation in graph.tape.operations:
            dense = operation.name in CONVOLUTIONS | DENSE | EMBEDDINGS | RECURRENT | GROUPED_PRODUCTS
            product = operation.name in MATRIX_PRODUCTS
            weighted = product and not graph.weights.isdisjoint(operation.inputs)
            if dense or (weighted and operation.name in PLAIN_PRODUCTS):
                self._starts.add(id(operation))
            buffered = product and not graph.buffered.isdisjoint(operation.inputs)
            if dense or weighted or buffered or not self.downstream.isdisjoint(operation.inputs):
                self.downstream.update(slot for slot in operation.outputs if slot not in graph.constants)

    def at(self, slot: Slot) -> Carried | None:
        """The units that a value carries; None: no dense layer or convolution is before it."""
        needed, waiting, seen = list[Operation](), [slot], {slot}
        while waiting:
            operation = self._graph.producers.get(waiting.pop())
            if operation is None or any(output in self._found for output in operation.outputs):
                continue
            needed.append(operation)
            if id(operation) in self._starts:  # what is before it does not matter
                continue
            fresh = [each for each in operation.inputs if each not in seen and each not in self._graph.constants]
            seen.update(fresh)
            waiting += fresh
        for operation in sorted(set(map(id, needed)), key=lambda each: self._graph.depth[each]):
            self._follow(self._graph.tape.operations[self._graph.depth[operation]])
        return self._found.get(slot)

    def _follow(self, operation: Operation) -> None:
        graph = self._graph
        self._found.update(dict.fromkeys(operation.outputs))
        if all(slot in graph.constants for slot in operation.inputs):
            return
        own = product_units(graph, operation)
        if own is not None and graph.weights.isdisjoint(operation.inputs) and operation.name in MATRIX_PRODUCTS:
            own = None if self._passed_by_buffer(operation) else own
        if own is not None:
            ends = operation if operation.name in GROUPED_PRODUCTS else None
            carried = Carried(None, None, operation, frozenset({graph.depth[id(operation)]}), ends=ends)
            if isinstance(own, str):
                carried = replace(carried, note=own)
            elif isinstance(own, Units):
                carried = replace(carried, units=own)
            else:
                carried = _with_labels(carried, own, graph.tape.values[operation.outputs[0]])
            self._found.update(dict.fromkeys(operation.outputs, carried))
            return
        before = {slot: carried for slot in dict.fromkeys(operation.inputs) if (carried := self._found.get(slot))}
        if not before:
            return
        after = [self.after(operation, slot, carried) for slot, carried in before.items()]
        for output in dict.fromkeys(operation.outputs):
            together = self._together(operation, output, [each[output] for each in after if output in each])
            if together is not None and self._takes_other_data(operation, before):
                together = replace(together, plain=False)
            self._found[output] = together

    def _takes_other_data(self, operation: Operation, carrying: Container[Slot]) -> bool:
        """Whether an operation also takes numbers that come from the data past every product."""
        others = [slot for slot in operation.inputs if slot not in carrying and slot not in self._graph.constants]
        return any(self._graph.tape.values[slot].is_floating_point() for slot in others)

    def _passed_by_buffer(self, operation: Operation) -> bool:
        """Whether a product with a buffer leaves the units where they are, as an adjacency matrix does."""
        slots = [slot for slot in dict.fromkeys(operation.inputs) if self._found.get(slot)]
        before = [(slot, carried) for slot in slots if (carried := self._found[slot]) is not None]
        after = [self.after(operation, slot, carried) for slot, carried in before]
        return any(carried.units is not None for each in after for carried in each.values())

    def after(self, operation: Operation, slot: Slot, carried: Carried) -> dict[Slot, Carried]:
        """The units that an operation's outputs carry because one of its inputs does."""
        outputs = list(dict.fromkeys(operation.outputs))
        tape, labels = self._graph.tape, carried.labels
        if operation.name == "glu":  # one half of the units gates the other
            carried = replace(carried, plain=False)
        if carried.units is not None:
            moved = units_after(tape, operation, slot, carried.units)
            if moved is not None:
                found = {output: replace(carried, units=units) for output, units in reversed(moved)}
                return {output: found.get(output) or _without(carried, operation) for output in outputs}
            labels = labelled(tape.values[slot], carried.units)
        if labels is None:
            return dict.fromkeys(outputs, carried)
        placed = labels_after(tape, operation, slot, labels)
        found = {}
        for output in outputs:
            one = placed.get(output, f"{operation.name} mixes them")
            if isinstance(one, str):
                found[output] = replace(_without(carried, operation), note=one)
            else:
                found[output] = _with_labels(carried, one, tape.values[output])
        return found

    def _together(self, operation: Operation, output: Slot, found: list[Carried]) -> Carried | None:
        """The units that a value carries because several inputs of its operation do."""
        if not found:
            return None
        products = frozenset[int]().union(*(each.products for each in found))
        known = [each for each in found if each.units is not None]
        partly = [each for each in found if each.labels is not None]
        if known and partly and operation.name in JOINS:
            value = self._graph.tape.values[operation.outputs[0]]
            partly = [
                each if each.units is None else replace(each, units=None, labels=labelled(value, each.units))
                for each in found
                if each.units is not None or each.labels is not None
            ]
            known = []
        chosen = (known or partly or found)[0]
        if known:
            places = [each.units for each in known if each.units is not None]
            if len({units.dimension for units in places}) > 1:
                note = f"{operation.name} takes values with units along different dimensions"
                chosen = replace(chosen, units=None, note=note)
            elif len({(units.width, units.period) for units in places}) > 1:
                chosen = replace(chosen, units=None, note="they take different numbers of entries")
        elif partly:
            labels = _merged([each.labels for each in partly if each.labels is not None])
            chosen = _with_labels(chosen, labels, self._graph.tape.values[output])
        one = len(products) == 1 and len({each.units for each in known}) <= 1 and not partly
        return replace(chosen, products=products, plain=one and all(each.plain for each in found))


def _with_labels(carried: Carried, labels: Labels, value: Tensor) -> Carried:
    """The same product's units, given for each entry; along one dimension if they lie along one."""
    if not (labels.codes > 0).any():
        return replace(carried, units=None, labels=None, note="none of its units is there")
    along = along_one_dimension(labels)
    if isinstance(along, Units) and along.dimension < value.dim():
        in_order = bool((labelled(value, along).codes.cpu() == labels.codes.cpu()).all())
        return replace(carried, units=along, labels=None, note="", plain=carried.plain and in_order)
    return replace(carried, units=None, labels=labels, note=along if isinstance(along, str) else NOT_ALONG)


def _without(carried: Carried, operation: Operation) -> Carried:
    reduced = operation.name in REDUCTIONS
    note = f"{operation.name} {'sums over them or takes one of them' if reduced else 'mixes them'}"
    return replace(carried, units=None, labels=None, note=note, reduced=carried.reduced or reduced)


def _merged(labels: list[Labels]) -> Labels:
    """The labels of entries that come from different values; where several have one, that of the first."""
    codes, count = labels[0].codes.cpu(), labels[0].count
    for other in labels[1:]:
        further = other.codes.cpu()
        codes = torch.where((codes == 0) & (further > 0), further + count, codes)
        count += other.count
    return Labels(codes, count)
