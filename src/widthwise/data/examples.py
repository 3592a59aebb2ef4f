"""A split of examples that are kept in memory on the device, unchanged."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.data.dataset import WHOLE, Inputs, Part, spread
from widthwise.networks.description import Shape
from widthwise.randomness import generator


class ResidentExamples:
    """One split in memory.

    Args:
        inputs: a tensor with the examples first, or a dictionary of such tensors.
        labels: the labels of the examples, in the same order.
        device: the device that the examples and the batches are on.
    """

    def __init__(self, inputs: Inputs, labels: Int[Tensor, " examples"], device: torch.device | None = None):
        device = device or torch.device("cpu")
        self.labels = labels.to(device)
        self.damaged: dict[str, str] = {}
        self.inputs = of_each(inputs, lambda part: part.to(device))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> Shape:
        """The shape of one input."""
        if isinstance(self.inputs, Tensor):
            return tuple(self.inputs.shape[1:])
        return {name: tuple(part.shape[1:]) for name, part in self.inputs.items()}

    def batches(self, batch_size: int, limit: int | None = None) -> Iterator[tuple[Inputs, Int[Tensor, " batch"]]]:
        """All examples in order, or `limit` evenly spaced ones."""
        for examples in spread(len(self), limit).to(self.labels.device).split(batch_size):
            yield self._chosen(examples)

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
    ) -> Iterator[tuple[Inputs, Int[Tensor, " share"], int]]:
        """A part of an epoch's batches, in an order of its own or, unless `shuffled`, in that of the data.

        The order depends only on `seed` and `epoch`. For each batch, one process's share is returned, and the number of
        examples in the whole batch.

        Raises:
            ValueError: augmentation is asked for, which is only for images.
        """
        if augment or recolour:
            raise ValueError("augmentation is for images")
        shuffle = generator(seed, "order", epoch)
        order = torch.randperm(len(self), generator=shuffle) if shuffled else torch.arange(len(self))
        for batch in order.to(self.labels.device).split(batch_size)[part.batches]:
            yield *self._chosen(batch.tensor_split(part.processes)[part.rank]), len(batch)

    def _chosen(self, examples: Int[Tensor, " chosen"]) -> tuple[Inputs, Int[Tensor, " chosen"]]:
        return of_each(self.inputs, lambda part: part[examples]), self.labels[examples]


def of_each(inputs: Inputs, function: Callable[[Tensor], Tensor]) -> Inputs:
    """A function's value of the inputs, or of each part of them."""
    if isinstance(inputs, Tensor):
        return function(inputs)
    return {name: function(part) for name, part in inputs.items()}
