"""Labelled examples in three splits, and the interface of a split, whether in memory or in files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.networks.description import Shape

Inputs = Tensor | dict[str, Tensor]
"""A batch's inputs: a tensor with the examples first, or the network's arguments by name."""


@dataclass(frozen=True)
class Part:
    """The part of an epoch's batches that one process trains on.

    rank, processes: the process, counted from 0, and the number of processes that share each batch.
    start, stop: the number of the first batch, counted from 0, and of the batch before which the epoch ends; None: it
        ends with the examples.
    """

    rank: int = 0
    processes: int = 1
    start: int = 0
    stop: int | None = None

    @property
    def batches(self) -> slice:
        """The batches from the first one on."""
        return slice(self.start, self.stop)


WHOLE = Part()


@runtime_checkable
class Split(Protocol):
    """Labelled examples, whose batches are on the device that uses them."""

    labels: Int[Tensor, " examples"]
    damaged: dict[str, str]
    """Images that could not be decoded and were left out: name → reason."""

    def __len__(self) -> int: ...

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[tuple[Inputs, Tensor]]:
        """All examples in order, or `limit` evenly spaced ones, as they are evaluated: inputs and labels."""
        ...

    def epoch(
        self,
        seed: int,
        epoch: int,
        batch_size: int,
        *,
        augment: bool,
        recolour: bool = False,
        shuffled: bool = True,
        part: Part = WHOLE,
    ) -> Iterator[tuple[Inputs, Tensor, int]]:
        """A part of an epoch's batches, in an order of its own or, unless `shuffled`, in that of the data: inputs and
        labels of the share, and the number of examples in the whole batch."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits of labelled examples, with labels 0 … `classes` - 1.

    shape: the shape of one input; for inputs with several parts, that of each by its name.
    description: the data, in a phrase for captions; empty for data that was drawn.
    """

    train: Split
    validation: Split
    test: Split
    classes: int
    shape: Shape
    description: str = ""


def spread(examples: int, limit: int | None) -> Int[Tensor, " chosen"]:
    """The indices of all examples, or of `limit` evenly spaced ones."""
    chosen = examples if limit is None else min(limit, examples)
    return torch.arange(chosen) * examples // max(chosen, 1)
