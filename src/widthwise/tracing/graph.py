"""A tape as a graph: what each value is computed from, and what it leads to."""

from collections.abc import Iterable

from torch import nn

from widthwise.tracing.functions import (
    ATTENTION,
    CONVOLUTIONS,
    DENSE,
    FRESH,
    GROUPED_PRODUCTS,
    MATRIX_PRODUCTS,
    RECURRENT,
)
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape

PRODUCTS = CONVOLUTIONS | DENSE | MATRIX_PRODUCTS | GROUPED_PRODUCTS | RECURRENT | ATTENTION
EXIT = -1
"""The node that stands for the labels, in `passes_through`."""


class Graph:
    """The operations of a tape, by their index, and the values between them.

    tape: the run, with all its values.
    depth: the index of each operation, by its `id`.
    producers: the operation that returned each value.
    consumers: the operations that read each value.
    weights: values that are computed from parameters, buffers and constants alone, with a parameter among them.
    constants: values that are computed from parameters, buffers and constants alone.
    buffered: constants with a buffer among what they are computed from, but no parameter.

    Args:
        model: the model.
        tape: the run.
        constants: the `id` of every tensor that is the same in every run.
        whole: whether all that the model computes is on the tape; if not, every value may lead to a label.
    """

    def __init__(self, model: nn.Module, tape: Tape, constants: Iterable[int], whole: bool):
        self.tape, self._whole = tape, whole
        self.producers = tape.producers()
        self.depth = {id(operation): depth for depth, operation in enumerate(tape.operations)}
        self.consumers: dict[Slot, list[Operation]] = {}
        for operation in tape.operations:
            for slot in dict.fromkeys(_read(operation)):
                self.consumers.setdefault(slot, []).append(operation)
        parameters = {id(parameter) for parameter in model.parameters()}
        buffers = {id(buffer) for buffer in model.buffers()}
        self.constants = self._from({*constants, *parameters, *buffers})
        self.weights = self._with(parameters)
        self.buffered = self._with(buffers) - self.weights
        self._final = {*tape.results, *(escape.slot for escape in tape.escapes)}
        self._leading = self._lead_to_labels()
        self._before_product = self._lead_through_products()
        self._next_common: list[int] | None = None

    def leads_to_label(self, slot: Slot) -> bool:
        """Whether a label may depend on a value."""
        return not self._whole or slot in self._leading

    def leads_to_product(self, slot: Slot) -> bool:
        """Whether there is a dense layer, a convolution or another product on a path from a value to a label."""
        return not self._whole or slot in self._before_product

    def readers(self, slot: Slot) -> list[Operation]:
        """The operations that read a value and lead to a label."""
        return [each for each in self.consumers.get(slot, ()) if any(map(self.leads_to_label, each.outputs))]

    def is_final(self, slot: Slot) -> bool:
        """Whether a value is a result of the run, or is read by what is not on the tape."""
        return slot in self._final

    def passes_through(self, start: Slot, slot: Slot) -> bool:
        """Whether every path from a value to a label passes through another value."""
        if self._next_common is None:
            self._next_common = self._common_successors()
        producer, goal = self.producers.get(start), self.producers.get(slot)
        if producer is None or goal is None or start in self._final:
            return False
        node, last = self.depth[id(producer)], self.depth[id(goal)]
        while node != EXIT and node < last:
            node = self._next_common[node]
        return node == last

    def _from(self, known: set[int]) -> set[Slot]:
        """The values that are computed from tensors with these `id` alone."""
        values = self.tape.values.items()
        found = {slot for slot, value in values if slot not in self.producers and id(value) in known}
        for operation in self.tape.operations:
            if found.issuperset(_read(operation)):
                found.update(operation.outputs)
        return found

    def _with(self, wanted: set[int]) -> set[Slot]:
        """The constants with one of the tensors with these `id` among what they are computed from."""
        found = {slot for slot in self.constants if id(self.tape.values[slot]) in wanted}
        for operation in self.tape.operations:
            if not found.isdisjoint(operation.inputs):
                found.update(slot for slot in operation.outputs if slot in self.constants)
        return found

    def _lead_to_labels(self) -> set[Slot]:
        leading = set(self._final)
        for operation in reversed(self.tape.operations):
            if not leading.isdisjoint(operation.outputs):
                leading.update(_read(operation))
        return leading

    def _lead_through_products(self) -> set[Slot]:
        found = {escape.slot for escape in self.tape.escapes}
        for operation in reversed(self.tape.operations):
            leads = not self._leading.isdisjoint(operation.outputs)
            product = operation.name in PRODUCTS
            if leads and (product or not found.isdisjoint(operation.outputs)):
                found.update(operation.inputs)
        return found

    def _common_successors(self) -> list[int]:
        """For each operation, the next one through which every path from it to a label passes."""
        following = [EXIT] * len(self.tape.operations)
        length = [0] * len(self.tape.operations)  # of the chain of such operations to the exit
        for depth in range(len(self.tape.operations) - 1, -1, -1):
            outputs = self.tape.operations[depth].outputs
            nodes = [EXIT] if any(slot in self._final for slot in outputs) else []
            nodes += [self.depth[id(reader)] for slot in outputs for reader in self.readers(slot)]
            common = nodes[0] if nodes else EXIT
            for node in nodes[1:]:
                while common != node:
                    if common == EXIT or (node != EXIT and length[node] > length[common]):
                        node = following[node]
                    else:
                        common = following[common]
            following[depth] = common
            length[depth] = 1 + (length[common] if common != EXIT else 0)
        return following


def _read(operation: Operation) -> list[Slot]:
    """The values on which an operation's own value depends, and not only its shape or type."""
    return [] if operation.name in FRESH else operation.inputs
