"""Labelled examples: in memory as they are, or images that are prepared batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Examples and their labels, in the same order."""

    inputs: Float[Tensor, "examples *shape"]
    labels: Int[Tensor, " examples"]

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples in order, or `limit` of them at even distances: inputs and labels."""
        for examples in spread(len(self), limit).split(batch_size):
            yield self.inputs[examples], self.labels[examples]


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits of labelled examples, with labels 0 … `classes` - 1."""

    train: Split
    validation: Split
    test: Split
    classes: int


def spread(examples: int, limit: int | None) -> Int[Tensor, " chosen"]:
    """The places of all of so many examples, or of `limit` of them at even distances."""
    chosen = examples if limit is None else min(limit, examples)
    return torch.arange(chosen) * examples // max(chosen, 1)


@runtime_checkable
class ImageSplit(Protocol):
    """Labelled images that are prepared while they are read, on the device that they are to be used on."""

    labels: Int[Tensor, " examples"]
    damaged: dict[str, str]
    """Images that could not be decoded and were left out: name → reason."""

    def __len__(self) -> int: ...

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples in order, or `limit` of them at even distances, as they are evaluated: inputs and labels."""
        ...

    def epoch(
        self,
        seed: int,
        epoch: int,
        batch_size: int,
        *,
        augment: bool,
        rank: int = 0,
        processes: int = 1,
        start: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor, int]]:
        """An epoch's batches in an order of its own from batch number `start` on: inputs and labels of this process's
        share, and the number of examples in the whole batch."""
        ...


@dataclass(frozen=True)
class ImageDataset:
    """Three disjoint splits of labelled images, with labels 0 … `classes` - 1."""

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    classes: int
    description: str
    """Which images, in a phrase for captions."""
