"""Labelled examples: in memory as they are, or images that are prepared batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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
        """The first `limit` examples, or all, in order: inputs and labels."""
        pieces = (self.inputs[:limit].split(batch_size), self.labels[:limit].split(batch_size))
        yield from zip(*pieces, strict=True)


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits of labelled examples, with labels 0 … `classes` - 1."""

    train: Split
    validation: Split
    test: Split
    classes: int


@runtime_checkable
class ImageSplit(Protocol):
    """Labelled images that are prepared while they are read, on the device that they are to be used on."""

    labels: Int[Tensor, " examples"]
    damaged: dict[str, str]
    """Images that could not be decoded and were left out: name → reason."""

    def __len__(self) -> int: ...

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The first `limit` examples, or all, in order, as they are evaluated: inputs and labels."""
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
