"""A run of a batch, operation by operation, in which parameters can be exchanged for those of the smaller network."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from torch import Tensor

from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape


class Run:
    """Computes the values of a tape anew, each when it is needed, and forgets those that nothing needs any more.

    Args:
        tape: the batch's run; the values that no operation gives must be there.
        names: the names of parameters and buffers, by their `id`.
        kept: values that are not forgotten.
        watched: indices of operations whose results have a gradient, if they are computed while gradients are.
    """

    def __init__(self, tape: Tape, names: Mapping[int, str], kept: Collection[Slot], watched: Collection[int] = ()):
        self._tape, self._kept = tape, {*kept, *tape.results}
        self._producers = {
            output: index for index, operation in enumerate(tape.operations) for output in operation.outputs
        }
        self._sources = {slot: value for slot, value in tape.values.items() if slot not in self._producers}
        self.slots = {names[id(value)]: slot for slot, value in self._sources.items() if id(value) in names}
        self._values = dict(self._sources)
        self._waiting = Counter(slot for operation in tape.operations for slot in set(operation.inputs))
        self._done: set[int] = set()
        self._biases: dict[int, Tensor] = {}
        self._watched = watched
        self._silenced: dict[int, tuple[Slot, Tensor]] = {}
        self._replaced: dict[int, tuple[range, Slot, Callable[[Tensor], Tensor]]] = {}

    def exchange(self, name: str, value: Tensor) -> None:
        """Compute with another value of a parameter or buffer from now on."""
        self._sources[self.slots[name]] = self._values[self.slots[name]] = value

    def add(self, index: int, bias: Tensor) -> None:
        """Add a bias, shaped to be broadcast, to what an operation gives."""
        self._biases[index] = bias

    def silence(self, index: int, slot: Slot, mask: Tensor) -> None:
        """Let an operation see a value times a mask, shaped to be broadcast."""
        self._silenced[index] = slot, mask

    def replace(self, operations: range, given: Slot, returned: Slot, function: Callable[[Tensor], Tensor]) -> None:
        """Compute one value from another by a function, in place of the operations that do so."""
        self._replaced[self._producers[returned]] = operations, given, function

    def value(self, slot: Slot) -> Tensor:
        """A value, computed if it has not been."""
        if slot not in self._values:
            self.compute(self._producers[slot])
        return self._values[slot]

    def keep(self, slot: Slot) -> None:
        """Do not forget a value until it is released."""
        self._kept.add(slot)

    def release(self, slot: Slot) -> None:
        """Forget a value that was kept, when nothing needs it any more."""
        self._kept.discard(slot)
        if not self._waiting[slot] and slot not in self._sources:
            self._values.pop(slot, None)

    def compute(self, index: int) -> None:
        """Compute an operation if it has not been, after those that it needs."""
        pending = [index]
        while pending:
            here = pending[-1]
            if here in self._done:
                pending.pop()
                continue
            operation = self._tape.operations[here]
            needed = [self._replaced[here][1]] if here in self._replaced else operation.inputs
            missing = [self._producers[slot] for slot in needed if slot not in self._values]
            if missing:
                pending += missing
                continue
            self._run(here, operation)
            pending.pop()

    def _run(self, index: int, operation: Operation) -> None:
        if index in self._replaced:
            self._run_replaced(index, operation)
            return
        seen = self._values
        if index in self._silenced:
            slot, mask = self._silenced[index]
            seen = {**seen, slot: seen[slot] * mask}
        outputs = self._tape.computed(operation, seen)
        if index in self._biases:
            outputs = {slot: value + self._biases[index] for slot, value in outputs.items()}
        if index in self._watched:
            outputs = {slot: _differentiable(value) for slot, value in outputs.items()}
        self._note(outputs)
        self._forget([index])

    def _run_replaced(self, index: int, operation: Operation) -> None:
        operations, given, function = self._replaced[index]
        self._note(dict.fromkeys(operation.outputs, function(self._values[given])))
        self._forget([each for each in operations if each not in self._done])

    def _note(self, outputs: Mapping[Slot, Tensor]) -> None:
        """Keep the values that are needed."""
        for slot, value in outputs.items():
            if self._waiting[slot] or slot in self._kept:
                self._values[slot] = value

    def _forget(self, operations: Iterable[int]) -> None:
        """Some operations are done: forget what only these needed."""
        for index in operations:
            self._done.add(index)
            for slot in set(self._tape.operations[index].inputs):
                self._waiting[slot] -= 1
                if not self._waiting[slot] and slot not in self._kept and slot not in self._sources:
                    self._values.pop(slot, None)


def _differentiable(value: Tensor) -> Tensor:
    """A value that has a gradient, also where nothing that it is computed from has one."""
    return value if value.requires_grad or not value.is_floating_point() else value.detach().requires_grad_()
