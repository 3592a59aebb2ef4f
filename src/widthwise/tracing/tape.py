"""A run of a model as a tape: every PyTorch function that it called, on what, and what came of it.

The tape of a batch can be replayed from any value on: what does not depend on that value is taken from the run, and
only what is downstream of it is computed again. Because a tape is of one run, with its shapes and its choices, it needs
no cooperation from the model's code: any control flow goes, so long as it does not hang on the replaced value.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from widthwise.tracing.structure import Slot, filled, slots_in, tensors_in

Place = tuple[str, str, int]
"""Where a value comes from: of a function, as `Operation.place`; of a module, its path, "" and the call's number."""


@dataclass(frozen=True)
class Operation:
    """One call of a PyTorch function.

    args, kwargs, result: as they were, with `Slot`s in place of tensors. place: the path of the module in whose
    `forward` the call stands, the function's name, and how many calls of it in that module came before.
    overwritten: the values that its first argument had before and after, where the function writes in place.
    owns_result: whether the result lies in memory of its own, and not in that of an argument.
    """

    function: Callable
    args: tuple
    kwargs: dict[str, Any]
    result: Any
    place: tuple[str, str, int]
    overwritten: tuple[Slot, Slot] | None
    owns_result: bool

    @property
    def inputs(self) -> list[Slot]:
        """The values that it is computed from."""
        return list(slots_in((self.args, self.kwargs)))

    @property
    def outputs(self) -> list[Slot]:
        """The values that it gives."""
        return [*slots_in(self.result), *(self.overwritten[1:] if self.overwritten else ())]


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module: which of the tape's operations it made, and the value that it returned."""

    path: str
    number: int
    operations: range
    output: Slot | None


@dataclass(frozen=True)
class Escape:
    """A value that left the tape: the model's Python code looked at what a tensor holds."""

    slot: Slot
    reader: str
    path: str


@dataclass
class Tape:
    """The recorded run.

    values: those of the slots. results: the slots of what the run returned. sources: the tensors that no recorded
    function gave: inputs, parameters, and what comes from elsewhere.
    """

    operations: list[Operation] = field(default_factory=list)
    calls: list[ModuleCall] = field(default_factory=list)
    escapes: list[Escape] = field(default_factory=list)
    values: dict[Slot, Tensor] = field(default_factory=dict)
    results: tuple[Slot, ...] = ()
    sources: list[Tensor] = field(default_factory=list)

    def producers(self) -> dict[Slot, Operation]:
        """The operation that gave each value; inputs, parameters and constants have none."""
        return {output: operation for operation in self.operations for output in operation.outputs}

    def replay_plan(self, start: Slot, target: Slot) -> "ReplayPlan":
        """How to get `target` from another value of `start`."""
        reached, downstream = {start}, []
        for operation in self.operations:
            if not reached.isdisjoint(operation.inputs) and start not in operation.outputs:
                reached.update(operation.outputs)
                downstream.append(operation)
        wanted, needed = {target}, []
        for operation in reversed(downstream):  # what does not lead to the target is not computed
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
        frontier = {slot for slot in wanted if slot not in reached}
        return ReplayPlan(start, target, needed, frees, frontier, self._escape_from(reached))

    def _escape_from(self, reached: set[Slot]) -> Escape | None:
        """Where the model's Python code looked at one of these values."""
        return next((escape for escape in self.escapes if escape.slot in reached), None)

    def keep(self, slots: set[Slot]) -> None:
        """Forget all other values."""
        self.values = {slot: value for slot, value in self.values.items() if slot in slots}
        self.sources = []

    def replay(self, plan: "ReplayPlan", value: Tensor) -> Tensor:
        """What the run would have given for the plan's target if its start had been `value`, which is used up."""
        changed = {plan.start: value}
        owned = {plan.start}
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
                changed[operation.overwritten[1]] = args[0]
                owned.add(operation.overwritten[1])
            elif operation.owns_result:
                owned.update(operation.outputs)
            del args, kwargs, result
            for slot in frees:
                changed.pop(slot, None)
        return changed[plan.target] if plan.target in changed else self.values[plan.target]


@dataclass(frozen=True)
class ReplayPlan:
    """The operations from one value to another, what each is the last to use, and the other values that they need.

    Where a value on the way escaped, another start might have taken another way, and the plan must not be used.
    """

    start: Slot
    target: Slot
    operations: list[Operation]
    frees: list[list[Slot]]
    frontier: set[Slot]
    escape: Escape | None
