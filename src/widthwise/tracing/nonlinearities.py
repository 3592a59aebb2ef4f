"""The nonlinearities of a run: activation functions, gates, and modules that are one as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from widthwise.tracing.entrywise import is_nonlinearity
from widthwise.tracing.flow import Flow
from widthwise.tracing.functions import (
    ADDITIONS,
    ATTENTION,
    CASTS,
    CELLWISE,
    CHOICES,
    COMPARISONS,
    CONVOLUTIONS,
    DENSE,
    DROPOUTS,
    EMBEDDINGS,
    EXPANSIONS,
    GROUPED_PRODUCTS,
    IDENTITIES,
    JOINS,
    MATRIX_PRODUCTS,
    MOVING,
    MULTIPLICATIONS,
    NONLINEARITIES,
    NORMALIZATIONS,
    POOLINGS,
    RECURRENT,
    REDUCTIONS,
    SOFTMAXES,
)
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import ModuleCall, Operation

PRODUCTS = CONVOLUTIONS | DENSE | EMBEDDINGS | RECURRENT | MATRIX_PRODUCTS | GROUPED_PRODUCTS | ATTENTION
LINEAR = ADDITIONS | COMPARISONS | IDENTITIES | DROPOUTS | EXPANSIONS | MOVING | JOINS | NORMALIZATIONS | POOLINGS
KNOWN = LINEAR | CHOICES | MULTIPLICATIONS | REDUCTIONS | PRODUCTS | {"pad", "multi_head_attention_forward"}
"""Functions that are tried by no call: what they are is known by their names and arguments."""
POWERS = {"pow", "float_power", "__pow__", "__ipow__"}
JOINT = REDUCTIONS | PRODUCTS | NORMALIZATIONS | SOFTMAXES
"""Functions that do not act entry by entry."""


@dataclass(frozen=True)
class Nonlinearity:
    """A nonlinearity: one function, or a module of several that acts as one.

    slot: its value.
    operations: its operations, by their index on the tape.
    call: the module, if it is one.
    entrywise: whether each entry of the value depends on the entries at its own position alone.
    """

    slot: Slot
    operations: tuple[int, ...]
    call: ModuleCall | None
    entrywise: bool


class NonlinearitySearch:
    """Finds the nonlinearities of a run, in order.

    Args:
        modules: the model's modules, by their paths.
        graph: the run.
        flow: the units of its values.
    """

    def __init__(self, modules: dict[str, nn.Module], graph: Graph, flow: Flow):
        self._modules, self._graph, self._flow = modules, graph, flow

    def found(self) -> list[Nonlinearity]:
        """All nonlinearities whose values depend on the model's inputs."""
        graph = self._graph
        single = {depth for depth, operation in enumerate(graph.tape.operations) if self._is_nonlinear(operation)}
        inside: dict[int, Nonlinearity] = {}
        for call in graph.tape.calls:
            if single.isdisjoint(call.operations):
                continue
            whole = self._as_whole(call)
            if whole is not None:
                inside.update(dict.fromkeys(call.operations, whole))
        found: dict[int, Nonlinearity] = {}
        for depth in sorted(single):
            operation = graph.tape.operations[depth]
            entrywise = operation.name not in SOFTMAXES | {"glu"}
            plain = Nonlinearity(operation.outputs[0], (depth,), None, entrywise)
            one = inside.get(depth, plain)
            found.setdefault(one.operations[0] if one.call else depth, one)
        return [found[depth] for depth in sorted(found)]

    def _is_nonlinear(self, operation: Operation) -> bool:
        graph, name = self._graph, operation.name
        if not operation.outputs or not operation.inputs:
            return False
        value = graph.tape.values[operation.outputs[0]]
        if not value.is_floating_point() or operation.outputs[0] in graph.constants:
            return False
        if name in NONLINEARITIES:
            if name in SOFTMAXES:
                return not self._is_attentions(operation)
            data = [slot for slot in operation.inputs if slot not in graph.constants]
            if name in POWERS and len(operation.args) > 1 and operation.args[1] == 1:
                return False
            return any(graph.tape.values[slot].is_floating_point() for slot in data)
        carrying = [slot for slot in dict.fromkeys(operation.inputs) if slot in self._flow.downstream]
        if name in ("max", "min"):
            return len(operation.inputs) > 1 and bool(carrying)
        if name in CASTS:
            return any(not graph.tape.values[slot].is_floating_point() for slot in carrying)
        if name in CHOICES:
            return any(not graph.tape.values[slot].is_floating_point() for slot in carrying)
        if name in MULTIPLICATIONS:
            return self._is_gate(operation, carrying)
        return name not in KNOWN and self._acts_nonlinearly(operation, carrying)

    def _is_gate(self, operation: Operation, carrying: list[Slot]) -> bool:
        """Whether two factors carry units along the same dimension."""
        values = self._graph.tape.values
        factors = [slot for slot in operation.inputs if slot in carrying]
        if len(factors) < 2:
            return False
        result = values[operation.outputs[0]].shape
        places = []
        for slot in factors:
            carried = self._flow.at(slot)
            if carried is None:
                continue
            if carried.units is not None:
                here = carried.units.dimension - values[slot].dim()
                if values[slot].shape[here] == result[here]:
                    places.append(here)
            elif carried.labels is not None and values[slot].shape == result:
                places.append(0)
        return len(places) != len(set(places))

    def _acts_nonlinearly(self, operation: Operation, carrying: list[Slot]) -> bool:
        tape = self._graph.tape
        data = carrying or [slot for slot in dict.fromkeys(operation.inputs) if slot not in self._graph.constants]
        arguments = [slot for slot in data if _varies(tape.values[slot])]
        if not any(tape.values[slot].is_floating_point() for slot in arguments):
            return False
        output = operation.outputs[0]

        def part(changed: dict[int, Tensor]) -> Tensor:
            return tape.computed(operation, {arguments[number]: value for number, value in changed.items()})[output]

        given = {number: tape.values[slot] for number, slot in enumerate(arguments)}
        return is_nonlinearity(part, given, tape.values[output].shape)

    def _as_whole(self, call: ModuleCall) -> Nonlinearity | None:
        """A module that is one nonlinearity; None: only its functions, or the modules in it, are."""
        if call.output is None or not call.path:
            return None
        tape = self._graph.tape
        operations = [tape.operations[depth] for depth in call.operations]
        own = any(operation.call_site.path == call.path for operation in operations)
        if list(self._modules[call.path].children()) and (len(operations) == 1 or not own):
            return None
        value = tape.values[call.output]
        given = self._given(operations)
        if not given:
            return None
        if len(operations) == 1:
            same = tape.values[given[0]].shape == value.shape and operations[0].outputs[0] == call.output
            entrywise = operations[0].name in CELLWISE or operations[0].name not in KNOWN | SOFTMAXES
            return Nonlinearity(call.output, tuple(call.operations), call, entrywise) if same else None
        if any(operation.name in JOINT for operation in operations):
            return None
        output = call.output

        def part(changed: dict[int, Tensor]) -> Tensor:
            current = {given[number]: value for number, value in changed.items()}
            for operation in operations:
                if any(slot in current for slot in operation.inputs):
                    inputs = {slot: current[slot] for slot in operation.inputs if slot in current}
                    current.update(tape.computed(operation, inputs))
            return current[output]

        arguments = {number: tape.values[slot] for number, slot in enumerate(given)}
        if not is_nonlinearity(part, arguments, value.shape):
            return None
        return Nonlinearity(call.output, tuple(call.operations), call, True)

    def _given(self, operations: Sequence[Operation]) -> list[Slot]:
        """The values from outside, depending on the model's inputs, that some operations read."""
        inside = {slot for operation in operations for slot in operation.outputs}
        read = dict.fromkeys(slot for operation in operations for slot in operation.inputs)
        outside = [slot for slot in read if slot not in inside and slot not in self._graph.constants]
        return [slot for slot in outside if _varies(self._graph.tape.values[slot])]

    def _is_attentions(self, softmax: Operation) -> bool:
        """Whether a softmax is over products of two values that both come from the data, as attention's is."""
        graph = self._graph
        waiting, seen = list(softmax.inputs), set[Slot]()
        while waiting:
            slot = waiting.pop()
            operation = graph.producers.get(slot)
            if slot in seen or slot in graph.constants or operation is None:
                continue
            seen.add(slot)
            if operation.name in PRODUCTS:
                data = [each for each in operation.inputs if each not in graph.constants]
                if operation.name in MATRIX_PRODUCTS and len(data) > 1:
                    return True
            else:
                waiting += operation.inputs
        return False


def _varies(value: Tensor) -> bool:
    return value.is_floating_point() or value.dtype == torch.bool
