"""A run of a model as a tape: every PyTorch function that it called, with its arguments and results.

The tape of a batch can be replayed from any value on: only what is downstream of that value is computed again; all else
is taken from the run. A tape belongs to one run, with its shapes and branches, so it needs no cooperation from the
model's code: any control flow is fine as long as it does not depend on the replaced value.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from widthwise.tracing.functions import plain
from widthwise.tracing.structure import Slot, filled, slots_in, tensors_in

Change = Callable[[Slot, Tensor], Tensor]
"""A function that gives the other value of a slot, from its value."""


class CallSite(NamedTuple):
    """The call in a network that returns a value.

    path: the path of the module in whose `forward` a function is called; for a value that a module returns, its own.
    function: the function's name; empty for a value that a module returns.
    number: the number of earlier calls of that function in that module, or of that module.
    output: the index of the value among the tensors that the call returns.
    """

    path: str
    function: str
    number: int
    output: int = 0


@dataclass(frozen=True)
class Operation:
    """One call of a PyTorch function.

    function: the function that was called.
    args, kwargs, result: its arguments and result, with a `Slot` in place of each tensor.
    call_site: the position of the call in the network.
    overwritten: if the function writes in place, the values of its first argument before and after.
    owns_result: whether the result has memory of its own, and does not share that of an argument.
    """

    function: Callable[..., object]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    result: object
    call_site: CallSite
    overwritten: tuple[Slot, Slot] | None
    owns_result: bool

    @property
    def name(self) -> str:
        """The function's name, the same whether it writes in place or not; of an attribute such as `mT`, its own."""
        if self.call_site.function == "__get__":
            return getattr(getattr(self.function, "__self__", None), "__name__", "__get__")
        return plain(self.call_site.function)

    @property
    def inputs(self) -> list[Slot]:
        """The values that it is computed from."""
        return list(slots_in((self.args, self.kwargs)))

    @property
    def outputs(self) -> list[Slot]:
        """The values that it returns."""
        return [*slots_in(self.result), *(self.overwritten[1:] if self.overwritten else ())]


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module: its number, the operations on the tape that it made, and the values that it returned.

    output: the value, if it returned one tensor and nothing else; outputs: every tensor in what it returned.
    """

    path: str
    number: int
    operations: range
    output: Slot | None
    outputs: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Escape:
    """A value that left the tape: the model's Python code read the content of a tensor.

    slot: the value. reader: the function that read it. path: the path of the module in whose `forward` it did.
    """

    slot: Slot
    reader: str
    path: str


@dataclass
class Tape:
    """The recorded run.

    values: the tensor of each slot.
    results: the slots of the tensors that the run returned.
    sources: the tensors that no recorded function returned: inputs, parameters, and those from elsewhere.
    """

    operations: list[Operation] = field(default_factory=list)
    calls: list[ModuleCall] = field(default_factory=list)
    escapes: list[Escape] = field(default_factory=list)
    values: dict[Slot, Tensor] = field(default_factory=dict)
    results: tuple[Slot, ...] = ()
    sources: list[Tensor] = field(default_factory=list)

    def producers(self) -> dict[Slot, Operation]:
        """The operation that returned each value; inputs, parameters and constants have none."""
        return {output: operation for operation in self.operations for output in operation.outputs}

    def computed(self, operation: Operation, changed: dict[Slot, Tensor]) -> dict[Slot, Tensor]:
        """The outputs of an operation for other values of some of its inputs. No value of the tape is overwritten."""

        def current(slot: Slot) -> Tensor:
            found = changed[slot] if slot in changed else self.values[slot]
            return found.clone() if operation.overwritten and slot == operation.overwritten[0] else found

        args, kwargs = filled(operation.args, current), filled(operation.kwargs, current)
        result = operation.function(*args, **kwargs)
        outputs = dict(zip(slots_in(operation.result), tensors_in(result), strict=True))
        if operation.overwritten:
            written = args[0]
            assert isinstance(written, Tensor)
            outputs[operation.overwritten[1]] = written
        return outputs

    def replay_plan(self, starts: Collection[Slot], target: Slot) -> "ReplayPlan":
        """The plan to compute `target` from other values of `starts`, of which some may be computed from others."""
        producers = self.producers()
        reached = {start for start in starts if start not in producers}
        downstream = []
        for operation in self.operations:
            if not reached.isdisjoint(operation.inputs):
                reached.update(operation.outputs)
                downstream.append(operation)
            else:
                reached.update(start for start in starts if producers.get(start) is operation)
        wanted, needed = {target}, []
        for operation in reversed(downstream):  # skips what does not lead to the target
            if not wanted.isdisjoint(operation.outputs):
                wanted.update(operation.inputs)
                needed.append(operation)
        needed.reverse()
        last_use: dict[Slot, int] = {}
        for number, operation in enumerate(needed):
            last_use.update(dict.fromkeys(operation.inputs, number))
        frees: list[list[Slot]] = [[] for _ in needed]
        for slot, number in last_use.items():
            if slot in reached and slot != target:
                frees[number].append(slot)
        computed = {output for operation in needed for output in operation.outputs}
        frontier = {slot for slot in wanted if slot not in computed}
        used = frozenset(start for start in starts if start in wanted)
        return ReplayPlan(used, target, needed, frees, frontier, self._escape_from(reached))

    def _escape_from(self, reached: set[Slot]) -> Escape | None:
        """The first of the escapes of these values."""
        return next((escape for escape in self.escapes if escape.slot in reached), None)

    def keep(self, slots: set[Slot]) -> None:
        """Forget all other values."""
        self.values = {slot: value for slot, value in self.values.items() if slot in slots}
        self.sources = []

    def keep_shapes(self) -> None:
        """Forget the content of all values but the results, and keep their shapes and types."""
        for slot, value in self.values.items():
            if slot not in self.results and value.layout is torch.strided and not value.is_nested:
                self.values[slot] = torch.empty(value.shape, dtype=value.dtype, device="meta")

    def replay(self, plan: "ReplayPlan", change: Change) -> Tensor:
        """Compute the plan's target as if each of its starts had another value.

        Args:
            plan: a plan of this tape.
            change: gives the other value of a start, in memory that may be overwritten, from the value that it has
                after the changes of the starts before it.
        """
        changed = {slot: change(slot, self.values[slot]) for slot in plan.starts & plan.frontier}
        owned = set(changed)
        for operation, frees in zip(plan.operations, plan.frees, strict=True):

            def current(slot: Slot, operation: Operation = operation, frees: list[Slot] = frees) -> Tensor:
                found = changed.get(slot)
                if found is None:
                    found = self.values[slot]
                if operation.overwritten and slot == operation.overwritten[0] and not (slot in owned and slot in frees):
                    return found.clone()
                return found

            args, kwargs = filled(operation.args, current), filled(operation.kwargs, current)
            result = operation.function(*args, **kwargs)
            changed.update(zip(slots_in(operation.result), tensors_in(result), strict=True))
            if operation.overwritten:
                written = args[0]
                assert isinstance(written, Tensor)
                changed[operation.overwritten[1]] = written
                owned.add(operation.overwritten[1])
                del written
            elif operation.owns_result:
                owned.update(operation.outputs)
            del args, kwargs, result
            for slot in plan.starts.intersection(operation.outputs):
                changed[slot] = change(slot, changed[slot])
                owned.add(slot)
            for slot in frees:
                changed.pop(slot, None)
        return changed[plan.target] if plan.target in changed else self.values[plan.target]


@dataclass(frozen=True)
class ReplayPlan:
    """The operations that lead from some values to another.

    starts, target: the values. Starts that do not lead to the target are left out.
    operations: the operations to run, in order.
    frees: for each operation, the values that nothing needs after it.
    frontier: the values that are taken from the recorded run.
    escape: a value on the way that the model's Python code read. Another start might then take another branch,
        so the plan must not be used.
    """

    starts: frozenset[Slot]
    target: Slot
    operations: list[Operation]
    frees: list[list[Slot]]
    frontier: set[Slot]
    escape: Escape | None
