"""A split of small images that is kept on the device as bytes, and is augmented and standardized there."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from widthwise.data.dataset import WHOLE, Part, spread
from widthwise.data.pixels import PADDING, bordered, crop_and_flip, standardized
from widthwise.randomness import generator


class ResidentImages:
    """One split in memory.

    Args:
        images: the images, as bytes.
        labels: the labels of the images, in the same order.
        device: the device that the images and the batches are on.
    """

    def __init__(
        self, images: UInt8[Tensor, "examples 3 height width"], labels: Int[Tensor, " examples"], device: torch.device
    ):
        self.labels = labels.to(device)
        self.damaged: dict[str, str] = {}
        self._images = images.to(device).permute(0, 2, 3, 1).contiguous()
        self._bordered: Tensor | None = None
        self._order: tuple[tuple[int, int], Int[Tensor, "4 examples"]] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, batch_size: int, limit: int | None = None
    ) -> Iterator[tuple[Float[Tensor, "batch 3 height width"], Int[Tensor, " batch"]]]:
        """All examples in order, or `limit` evenly spaced ones."""
        for examples in spread(len(self), limit).to(self.labels.device).split(batch_size):
            yield standardized(self._images.index_select(0, examples)), self.labels[examples]

    def epoch(
        self, seed: int, epoch: int, batch_size: int, *, augment: bool, part: Part = WHOLE
    ) -> Iterator[tuple[Float[Tensor, "share 3 height width"], Int[Tensor, " share"], int]]:
        """A part of an epoch's batches, in an order of its own.

        Order, crops and flips depend only on `seed` and `epoch`. For each batch, one process's share is returned, and
        the number of examples in the whole batch.
        """
        draws = self._draws(seed, epoch)
        if augment and self._bordered is None:
            self._bordered = bordered(self._images)
        for batch in draws.split(batch_size, dim=1)[part.start :]:
            examples, top, left, flipped = batch.tensor_split(part.processes, dim=1)[part.rank]
            if augment:
                assert self._bordered is not None
                images = crop_and_flip(self._bordered, examples, top, left, flipped.bool())
            else:
                images = self._images.index_select(0, examples)
            yield standardized(images), self.labels[examples], batch.shape[1]

    def _draws(self, seed: int, epoch: int) -> Int[Tensor, "4 examples"]:
        """The order of examples, and for each the first row and column to keep and whether it is mirrored."""
        if self._order is None or self._order[0] != (seed, epoch):
            order = torch.randperm(len(self), generator=generator(seed, "order", epoch))
            stream = generator(seed, "augmentation", epoch)
            corners = torch.randint(2 * PADDING + 1, (2, len(self)), generator=stream)
            flips = torch.randint(2, (1, len(self)), generator=stream)
            self._order = (seed, epoch), torch.cat([order[None], corners, flips]).to(self.labels.device)
        return self._order[1]
