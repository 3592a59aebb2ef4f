"""How often each label was predicted."""

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.measurement.accumulator import State


class LabelFrequencies:
    """Counts of the labels that the intact network predicted.

    values: the labels that occurred, in ascending order.
    counts: how often each did.
    """

    def __init__(self) -> None:
        self.values = torch.zeros(0, dtype=torch.long)
        self.counts = torch.zeros(0, dtype=torch.long)

    def update(self, labels: Int[Tensor, "*labels"]) -> None:
        """Add the labels of more examples."""
        values, counts = labels.flatten().cpu().unique(return_counts=True)
        self._add(values, counts)

    def merge(self, other: "LabelFrequencies") -> None:
        """Add the labels that another one counted."""
        self._add(other.values, other.counts)

    def compute(self) -> Int[Tensor, " labels"]:
        """How often each label that occurred was predicted."""
        return self.counts

    def state_dict(self) -> State:
        """The labels that occurred, and their counts."""
        return {"values": self.values, "counts": self.counts}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what another one counted."""
        self.values, self.counts = state["values"], state["counts"]

    def _add(self, values: Int[Tensor, " added"], counts: Int[Tensor, " added"]) -> None:
        joined = torch.cat([self.values, values.long()])
        self.values, places = joined.unique(return_inverse=True)
        self.counts = torch.zeros_like(self.values).index_add_(0, places, torch.cat([self.counts, counts]))
