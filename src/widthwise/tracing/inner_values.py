"""Which nonlinearities are only steps on the way to another one: a gate, a swish by hand, the statistics of a norm."""

from dataclasses import dataclass

from widthwise.tracing.flow import Carried, Flow
from widthwise.tracing.functions import (
    ADDITIONS,
    CHOICES,
    COMPARISONS,
    DROPOUTS,
    EXPANSIONS,
    IDENTITIES,
    JOINS,
    MATRIX_PRODUCTS,
    MOVING,
    MULTIPLICATIONS,
    REDUCTIONS,
)
from widthwise.tracing.graph import Graph
from widthwise.tracing.nonlinearities import Nonlinearity
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation

UNARY = IDENTITIES | DROPOUTS | EXPANSIONS | COMPARISONS | MOVING
STEPS = UNARY | JOINS | ADDITIONS | MULTIPLICATIONS | CHOICES | MATRIX_PRODUCTS


@dataclass
class _Uses:
    """What reads a value, past steps entry by entry: other nonlinearities, reductions over its units, all else."""

    nonlinearities: list[Nonlinearity]
    reduced: bool = False
    other: bool = False


class InnerValues:
    """Tells the values that are layers from those that are inside of one.

    A value is inside if all of it goes into later nonlinearities with the same units, entry by entry. On the way it may
    be multiplied by constants and added to constants and to values of the same dense layer or convolution, but to no
    other value, which would be a residual's; unless all that is added is gated, as in the cell of an LSTM.
    """

    def __init__(self, graph: Graph, flow: Flow, nonlinearities: list[Nonlinearity]):
        self._graph, self._flow = graph, flow
        self._of = {depth: one for one in nonlinearities for depth in one.operations}
        self._slots = {one.slot for one in nonlinearities}
        self._known: dict[Slot, _Uses] = {}

    def is_inner(self, one: Nonlinearity) -> bool:
        """Whether a nonlinearity's value is inside of another one, or only read for a statistic over its units."""
        uses = self._uses(one)
        into = self._into(one, uses)
        if not uses.other and len(into) == len(uses.nonlinearities) and bool(into) != uses.reduced:
            return True
        waiting, seen = list(into), {each.slot for each in into}
        while waiting:  # a value may also go through several of them on its way
            each = waiting.pop()
            if self._graph.passes_through(one.slot, each.slot):
                return True
            fresh = [later for later in self._into(each, self._uses(each)) if later.slot not in seen]
            seen.update(later.slot for later in fresh)
            waiting += fresh
        return False

    def _into(self, one: Nonlinearity, uses: _Uses) -> list[Nonlinearity]:
        """The nonlinearities of the same units, entry by entry, that a value goes into."""
        first = self._flow.at(one.slot)
        return [
            each
            for each in uses.nonlinearities
            if each.entrywise and self._same_units(one.slot, first, each.slot, self._flow.at(each.slot))
        ]

    def _uses(self, one: Nonlinearity) -> _Uses:
        if one.slot in self._known:
            return self._known[one.slot]
        graph, found = self._graph, _Uses([])
        waiting, seen = [(one.slot, self._flow.at(one.slot))], {one.slot}
        while waiting:
            slot, carried = waiting.pop()
            found.other |= graph.is_final(slot)
            for operation in graph.readers(slot):
                into = self._of.get(graph.depth[id(operation)])
                if into is not None:
                    if into is not one and into not in found.nonlinearities:
                        found.nonlinearities.append(into)
                    continue
                weighted = not graph.weights.isdisjoint(operation.inputs)
                if operation.name not in STEPS | REDUCTIONS or (weighted and operation.name in MATRIX_PRODUCTS):
                    found.other = True
                    continue
                after = {output: self._flow.at(output) for output in operation.outputs}
                if carried is not None and (carried.units or carried.labels):  # of this value alone
                    after = {**after, **self._flow.after(operation, slot, carried)}
                if self._is_step(operation, slot, carried, after):
                    waiting += [(output, after[output]) for output in after if output not in seen]
                    seen.update(after)
                elif operation.name in REDUCTIONS and any(each and each.reduced for each in after.values()):
                    found.reduced = True
                else:
                    found.other = True
        self._known[one.slot] = found
        return found

    def _is_step(
        self, operation: Operation, slot: Slot, carried: Carried | None, after: dict[Slot, Carried | None]
    ) -> bool:
        """Whether an operation's value is still the same units, and may be the next step to a nonlinearity.

        A product of two values from the data may be one, as in a selective scan, but none with a weight.
        """
        if operation.name not in STEPS:
            return False
        others = [each for each in operation.inputs if each != slot and each in self._flow.downstream]
        if not others:
            return operation.name not in MATRIX_PRODUCTS
        if operation.name in MULTIPLICATIONS | MATRIX_PRODUCTS:
            kept = all(self._same_units(slot, carried, output, each) for output, each in after.items())
            return kept and not any(map(self._is_statistic, others))
        if operation.name not in ADDITIONS | CHOICES | JOINS | {"stack"}:
            return False
        products = self._products(slot)
        same = all(self._products(each) & products for each in others)
        return same or all(map(self._is_gated, [slot, *others]))

    def _is_statistic(self, slot: Slot) -> bool:
        carried = self._flow.at(slot)
        return carried is not None and carried.reduced

    def _products(self, slot: Slot) -> frozenset[int]:
        carried = self._flow.at(slot)
        return frozenset() if carried is None else carried.products

    def _is_gated(self, slot: Slot) -> bool:
        """Whether a value is the product of a nonlinearity's and another value, or a sum of such products."""
        operation = self._graph.producers.get(slot)
        if operation is None:
            return False
        if operation.name in MULTIPLICATIONS:
            return len(operation.inputs) > 1 and bool(self._slots.intersection([*operation.inputs, slot]))
        carrying = [each for each in dict.fromkeys(operation.inputs) if each in self._flow.downstream]
        passed = operation.name in ADDITIONS | IDENTITIES | MOVING
        return passed and bool(carrying) and all(map(self._is_gated, carrying))

    def _same_units(self, one: Slot, first: Carried | None, other: Slot, second: Carried | None) -> bool:
        """Whether two values carry the same number of units; where that is not known, whether their shapes agree."""
        values = self._graph.tape.values
        if first is None or second is None or first.units is None or second.units is None:
            return (first is None) == (second is None) and values[one].shape == values[other].shape
        count = first.units.count(values[one].shape[first.units.dimension])
        return count == second.units.count(values[other].shape[second.units.dimension])
