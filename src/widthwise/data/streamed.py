"""A split of photographs, too large for memory, decoded in worker processes while it is read."""

import io
import math
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64, Num, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from widthwise.data.colour import drawn_colours, recoloured
from widthwise.data.dataset import WHOLE, Part, spread
from widthwise.data.parquet_images import in_bytes, why_undecodable
from widthwise.data.photographs import Photographs
from widthwise.errors import RequestError, TrialError
from widthwise.randomness import generator
from widthwise.spawning import main_hidden

MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
"""Mean and standard deviation of each channel of ImageNet's training images, in [0, 1]."""
SHORTER_SIDE = 256 / 224
"""The size to which photographs are resized for evaluation, relative to the part cut out of the middle."""
AREA, ASPECT, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10

Region = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the photograph."""


@dataclass(frozen=True)
class Failure:
    """An image that cannot be decoded, or whose file cannot be read at all: its name, and why."""

    name: str
    reason: str
    unreadable: bool = False


class StreamedImages:
    """One split of photographs.

    Args:
        photographs: the files.
        chosen: the indices of the examples, each once; evaluated in this order, and read fastest if it is ascending.
        labels: the labels of the chosen examples.
        image_size: height and width of the part cut out of a photograph.
        damaged: `refuse` or `skip` images that cannot be decoded.
        workers: the number of processes that decode; 0: decode in this process.
        device: the device that standardizes and holds batches.
    """

    def __init__(
        self,
        photographs: Photographs,
        chosen: Int64[Tensor, " examples"],
        labels: Int64[Tensor, " examples"],
        image_size: int,
        damaged: Literal["refuse", "skip"],
        workers: int,
        device: torch.device | None = None,
    ):
        self._device = device or torch.device("cpu")
        self.labels = labels.to(self._device)
        self.damaged: dict[str, str] = {}
        """The images that were left out so far: name → reason."""
        self._photographs, self._chosen = photographs, chosen
        self._image_size, self._refused, self._workers = image_size, damaged == "refuse", workers

    def __len__(self) -> int:
        return len(self._chosen)

    def batches(
        self, batch_size: int, limit: int | None = None
    ) -> Iterator[tuple[Float[Tensor, "batch 3 size size"], Int64[Tensor, " batch"]]]:
        """All examples in order, or `limit` evenly spaced ones: resized, and the middle cut out.

        Raises:
            RequestError: an image cannot be decoded, and that is refused.
            TrialError: a file cannot be read, or a worker process was killed.
        """
        return self._decoded(list(spread(len(self), limit).split(batch_size)), None)

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
    ) -> Iterator[tuple[Float[Tensor, "share 3 size size"], Int64[Tensor, " share"], int]]:
        """A part of an epoch's batches, in an order of its own or, unless `shuffled`, in that of the chosen examples.

        The order depends only on `seed` and `epoch`, and an image's crop, flip and colours also on its index. For each
        batch, one process's share is returned, and the number of examples in the whole batch, including those that
        cannot be decoded.

        Args:
            augment: cut out a random region and mirror half of the images, instead of the middle.
            recolour: change brightness and contrast at random.

        Raises:
            RequestError: an image cannot be decoded, and that is refused.
            TrialError: a file cannot be read, or a worker process was killed.
        """
        order = self._shuffled(seed, epoch) if shuffled else torch.arange(len(self))
        batches = order.split(batch_size)[part.batches]
        shares = [batch.tensor_split(part.processes)[part.rank] for batch in batches]
        colours = drawn_colours(seed, epoch, len(self)) if recolour else None
        with closing(self._decoded(shares, (seed, epoch) if augment else None, colours)) as decoded:
            for batch, (images, labels) in zip(batches, decoded, strict=True):
                yield images, labels, len(batch)

    def _shuffled(self, seed: int, epoch: int) -> Int64[Tensor, " examples"]:
        """The examples in the order of an epoch."""
        position = torch.full((len(self._photographs),), -1)
        position[self._chosen] = torch.arange(len(self))
        order = position[self._photographs.order(generator(seed, "order", epoch))]
        return order[order >= 0]

    def _decoded(
        self,
        indices: list[Int64[Tensor, " _"]],
        augmentation: tuple[int, int] | None,
        colours: Float[Tensor, "2 examples"] | None = None,
    ) -> Generator[tuple[Float[Tensor, "batch 3 size size"], Int64[Tensor, " batch"]], None, None]:
        """Batches of the examples at `indices` among the chosen."""
        decoding = Decoding(self._photographs, self._image_size, augmentation)
        batches = [self._chosen[each].numpy() for each in indices]
        with closing(decoded_batches(decoding, batches, self._workers)) as decoded:
            for each, (pixels, failures) in zip(indices, decoded, strict=True):
                self.damaged |= noted(failures.values(), self._refused)
                kept = [number for number in range(len(each)) if number not in failures]
                pixels = pixels.to(self._device)
                if colours is not None:
                    pixels = recoloured(pixels, colours[:, each[kept]].to(self._device))
                yield self._standardized(pixels), self.labels[each[kept].to(self._device)]

    def _standardized(self, pixels: Num[Tensor, "batch size size 3"]) -> Float[Tensor, "batch 3 size size"]:
        mean, deviation = (
            255 * torch.tensor(numbers, device=self._device).view(-1, 1, 1) for numbers in (MEAN, STANDARD_DEVIATION)
        )
        return pixels.permute(0, 3, 1, 2).float().sub_(mean).div_(deviation)


def noted(failures: Iterable[Failure], refused: bool) -> dict[str, str]:
    """Images that are left out: name → reason.

    Raises:
        RequestError: there are some, and that is refused.
        TrialError: a file cannot be read.
    """
    reasons: dict[str, str] = {}
    for failure in failures:
        if failure.unreadable:
            raise TrialError(f"the image {failure.name} cannot be read ({failure.reason})")
        reasons[failure.name] = failure.reason
    if reasons and refused:
        name, reason = next(iter(reasons.items()))
        raise RequestError(
            f"the image {name} cannot be decoded ({reason}), and damaged images are refused",
            settings={"data.damaged": "skip"},
        )
    return reasons


def decoded_batches(
    decoding: "Decoding", batches: list[Int64[np.ndarray, " _"]], workers: int
) -> Generator[tuple[UInt8[Tensor, "decoded size size 3"], dict[int, Failure]], None, None]:
    """Batches of photographs, decoded in worker processes, or with 0 workers in this one.

    Raises:
        TrialError: a worker process was killed.
    """
    loader = DataLoader(
        decoding,
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        generator=torch.Generator(),  # else it would draw from the global stream
    )
    with main_hidden():
        images = iter(loader)
    try:
        for _ in batches:
            reason, decoded = "", None
            try:
                decoded = next(images)
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
            if decoded is None:  # raised here, since the error above would keep the workers alive
                raise TrialError(f"a process that decodes images ended: {reason}")
            yield decoded
    finally:
        del images  # ends the workers, though an error may keep this frame alive


class Decoding(Dataset):
    """The work of a decoding process: batches of photographs, given by their indices, cut to one size.

    Args:
        photographs: the files.
        size: height and width of what is cut out.
        augmentation: seed and epoch of random regions and flips; None: the middle is cut out.
        shorter_side: to which a photograph is resized before its middle is cut out, relative to `size`.
    """

    def __init__(
        self,
        photographs: Photographs,
        size: int,
        augmentation: tuple[int, int] | None,
        shorter_side: float = SHORTER_SIDE,
    ):
        self._photographs, self._size, self._augmentation = photographs, size, augmentation
        self._shorter_side = shorter_side

    def __getitem__(
        self, indices: Int64[np.ndarray, " batch"]
    ) -> tuple[UInt8[Tensor, "decoded size size 3"], dict[int, Failure]]:
        """The images that can be decoded, and by their index in the batch those that cannot."""
        images: list[np.ndarray] = []
        failures: dict[int, Failure] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of metadata that nobody reads here
            for number, index in enumerate(indices.tolist()):
                image = self._image(index)
                if isinstance(image, Failure):
                    failures[number] = image
                else:
                    images.append(image)
        pixels = np.stack(images) if images else np.empty((0, self._size, self._size, 3), np.uint8)
        return torch.from_numpy(pixels), failures

    def _image(self, index: int) -> UInt8[np.ndarray, "size size 3"] | Failure:
        try:
            content = self._photographs.read(index)
        except OSError as error:  # a disk that gives nothing is another matter than a damaged image
            return Failure(self._photographs.name(index), error.strerror or str(error), unreadable=True)
        try:
            image = Image.open(io.BytesIO(content))
            if self._augmentation is None:
                return cut(image, middle(*image.size, self._size, self._shorter_side), self._size)
            seed, epoch = self._augmentation
            draws = torch.rand(4 * TRIES + 1, generator=generator(seed, "augmentation", epoch, index)).tolist()
            pixels = cut(image, random_region(*image.size, draws[1:]), self._size)
            return pixels[:, ::-1] if draws[0] < 0.5 else pixels
        except Exception as error:  # a damaged image raises anything
            return Failure(self._photographs.name(index), why_undecodable(error))


def middle(width: int, height: int, size: int, shorter_side: float = SHORTER_SIDE) -> Region:
    """The region that becomes the middle `size` × `size` pixels when the shorter side is resized to
    `shorter_side` times `size`; 8/7 as the ImageNet networks of the paper have it."""
    shorter = round(shorter_side * size)
    resized = [max(shorter, int(shorter * side / min(width, height))) for side in (width, height)]
    left, top = (round((side - size) / 2) for side in resized)
    across, down = width / resized[0], height / resized[1]
    return left * across, top * down, (left + size) * across, (top + size) * down


def random_region(width: int, height: int, draws: list[float]) -> Region:
    """A region of 8–100% of the area, with sides of the ratio 3/4 to 4/3.

    Args:
        width, height: of the photograph.
        draws: four from [0, 1) for each of ten tries to find a region that fits; after these the largest one in the
            middle of such a shape is taken.
    """
    low, high = (math.log(ratio) for ratio in ASPECT)
    for area, ratio, left, top in zip(*(draws[number::4] for number in range(4)), strict=True):
        target = width * height * (AREA[0] + (AREA[1] - AREA[0]) * area)
        aspect = math.exp(low + (high - low) * ratio)
        across, down = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < across <= width and 0 < down <= height:
            return _whole(int(left * (width - across + 1)), int(top * (height - down + 1)), across, down)
    across, down = min(width, round(height * ASPECT[1])), min(height, round(width / ASPECT[0]))
    return _whole((width - across) // 2, (height - down) // 2, across, down)


def _whole(left: int, top: int, width: int, height: int) -> Region:
    return float(left), float(top), float(left + width), float(top + height)


def cut(image: Image.Image, region: Region, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """A region of a photograph, resized to `size` × `size` pixels in colour.

    A JPEG image is decoded at a half, a quarter or an eighth of its size where the region still has enough pixels.

    Raises:
        Exception: the image cannot be decoded.
    """
    width, height = image.size
    left, top, right, bottom = region
    drafted = image.draft(None, (math.ceil(size * width / (right - left)), math.ceil(size * height / (bottom - top))))
    scale = drafted[1][2] / width if drafted else 1
    image = in_bytes(image)
    box = (left * scale, top * scale, min(right * scale, image.width), min(bottom * scale, image.height))
    coloured = image if image.mode == "RGB" else image.convert("RGB")
    return np.asarray(coloured.resize((size, size), Image.Resampling.BILINEAR, box=box))
