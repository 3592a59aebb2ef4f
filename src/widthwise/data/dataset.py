"""Labelled examples in memory."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Examples and their labels, in the same order."""

    inputs: Float[Tensor, "examples *shape"]
    labels: Int[Tensor, " examples"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits of labelled examples, with labels 0 … `classes` - 1."""

    train: Split
    validation: Split
    test: Split
    classes: int
