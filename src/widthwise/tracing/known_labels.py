"""Labels that follow from a layer's value alone, found once for all batches."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from widthwise.tracing.in_place import write_counts
from widthwise.tracing.layer import Layer
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, ReplayPlan, Tape


@dataclass(frozen=True)
class _Replay:
    """A replay of a batch; others: the tensors that it takes besides the layer's value, and the writes to each."""

    shape: torch.Size
    operations: list[Operation]
    others: dict[Slot, tuple["weakref.ref[Tensor]", int]]
    labels: Tensor

    def serves(self, shape: torch.Size, plan: ReplayPlan, tape: Tape) -> bool:
        """Whether another batch's replay would compute the same: the same functions, of the same tensors."""
        others = plan.frontier - plan.starts
        if shape != self.shape or others != set(self.others):
            return False
        return all(self._unchanged(slot, tape.values[slot]) for slot in others) and self._same(plan.operations)

    def _unchanged(self, slot: Slot, tensor: Tensor) -> bool:
        known, writes = self.others[slot]
        countable = not tensor.is_inference()  # others may be written to without a trace
        return known() is tensor and countable and write_counts([tensor])[0] == writes

    def _same(self, operations: list[Operation]) -> bool:
        try:
            return operations == self.operations
        except ValueError:  # from arrays among their arguments, which cannot be compared as a whole
            return False


class KnownLabels:
    """The labels of replays from a value that is the same in every batch, by the name of the layer that has it."""

    def __init__(self) -> None:
        self._replays: dict[str, _Replay] = {}

    def get(self, layer: Layer, value: Tensor, plan: ReplayPlan, tape: Tape, replay: Callable[[], Tensor]) -> Tensor:
        """The labels of a batch: those of an earlier one, if its replay would compute the same, or by replaying.

        Args:
            layer: the layer whose value is replaced, in every call by the same, for values of one shape.
            value: its value in the batch.
            plan, tape: the plan to replay the batch's tape.
            replay: computes the labels.
        """
        known = self._replays.get(layer.name)
        if known is None or not known.serves(value.shape, plan, tape):
            taken = {slot: tape.values[slot] for slot in plan.frontier - plan.starts}
            others = {slot: (weakref.ref(tensor), write_counts([tensor])[0]) for slot, tensor in taken.items()}
            known = self._replays[layer.name] = _Replay(value.shape, plan.operations, others, replay())
        return known.labels
