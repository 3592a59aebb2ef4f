"""A split of small images that is kept on the device as bytes, and is augmented and standardized there."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, Num, UInt8
from torch import Tensor

from widthwise.data.colour import drawn_colours, recoloured
from widthwise.data.dataset import WHOLE, Part, spread
from widthwise.data.pixels import PADDING, bordered, crop_and_flip, middle, resized, standardized
from widthwise.randomness import generator


class ResidentImages:
    """One split in memory.

    Args:
        images: the images, as bytes.
        labels: the labels of the images, in the same order.
        device: the device that the images and the batches are on.
        crop: use only this many rows and columns of each image, standardized by themselves and then resized to the
            image's own size: the middle ones or, with augmentation, random ones. None: use the whole image and, with
            augmentation, a random part of the image with a black border.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "examples 3 height width"],
        labels: Int[Tensor, " examples"],
        device: torch.device,
        crop: int | None = None,
    ):
        self.labels = labels.to(device)
        self.damaged: dict[str, str] = {}
        self._images = images.to(device).permute(0, 2, 3, 1).contiguous()
        self._border = 2 * PADDING if crop is None else images.shape[2] - crop
        self._size = None if crop is None else images.shape[2]
        self._bordered: Tensor | None = None if crop is None else self._images
        self._order: tuple[tuple[int, int, bool], Int[Tensor, "4 examples"]] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, batch_size: int, limit: int | None = None
    ) -> Iterator[tuple[Float[Tensor, "batch 3 height width"], Int[Tensor, " batch"]]]:
        """All examples in order, or `limit` evenly spaced ones."""
        for examples in spread(len(self), limit).to(self.labels.device).split(batch_size):
            yield self._finished(self._unaugmented(examples)), self.labels[examples]

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
    ) -> Iterator[tuple[Float[Tensor, "share 3 height width"], Int[Tensor, " share"], int]]:
        """A part of an epoch's batches, in an order of its own or, unless `shuffled`, in that of the data.

        Order, crops, flips and colours depend only on `seed` and `epoch`. For each batch, one process's share is
        returned, and the number of examples in the whole batch.

        Args:
            augment: crop and flip at random.
            recolour: change brightness and contrast at random.
        """
        draws = self._draws(seed, epoch, shuffled)
        colours = drawn_colours(seed, epoch, len(self)).to(self.labels.device) if recolour else None
        if augment and self._bordered is None:
            self._bordered = bordered(self._images)
        for batch in draws.split(batch_size, dim=1)[part.batches]:
            examples, top, left, flipped = batch.tensor_split(part.processes, dim=1)[part.rank]
            if augment:
                assert self._bordered is not None
                images = crop_and_flip(self._bordered, examples, top, left, flipped.bool(), self._border)
            else:
                images = self._unaugmented(examples)
            if colours is not None:
                images = recoloured(images, colours[:, examples])
            yield self._finished(images), self.labels[examples], batch.shape[1]

    def _unaugmented(self, examples: Int[Tensor, " batch"]) -> UInt8[Tensor, "batch rows columns 3"]:
        """The whole of some images, or their middle."""
        images = self._images.index_select(0, examples)
        return images if self._size is None else middle(images, self._border)

    def _finished(self, images: Num[Tensor, "batch rows columns 3"]) -> Float[Tensor, "batch 3 height width"]:
        """Images as networks take them: standardized, at their own size."""
        values = standardized(images)
        return values if self._size is None else resized(values, self._size)

    def _draws(self, seed: int, epoch: int, shuffled: bool) -> Int[Tensor, "4 examples"]:
        """The order of examples, and for each the first row and column to keep and whether it is mirrored."""
        key = seed, epoch, shuffled
        if self._order is None or self._order[0] != key:
            shuffle = generator(seed, "order", epoch)
            order = torch.randperm(len(self), generator=shuffle) if shuffled else torch.arange(len(self))
            stream = generator(seed, "augmentation", epoch)
            corners = torch.randint(self._border + 1, (2, len(self)), generator=stream)
            flips = torch.randint(2, (1, len(self)), generator=stream)
            self._order = key, torch.cat([order[None], corners, flips]).to(self.labels.device)
        return self._order[1]
