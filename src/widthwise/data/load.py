"""From where a trial's images come from to three splits on a device."""

import functools
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.data.cifar10 import Pixels, read_cifar10
from widthwise.data.dataset import Dataset, ImageDataset, ImageSplit
from widthwise.data.labels import partly_random
from widthwise.data.photographs import Photographs, read_photographs
from widthwise.data.resident import ResidentImages
from widthwise.data.source import CIFAR10Data, ImageNetData, ImageSource, TeacherData
from widthwise.data.streamed import StreamedImages
from widthwise.data.synthetic_images import made_description
from widthwise.data.teacher import teacher_data
from widthwise.errors import RequestError
from widthwise.randomness import generator

HELD_OUT_SEED = 0
"""Draws ImageNet's validation images: they are the same in every trial."""
FEWEST_FOR_DECODERS = 256
"""Fewer photographs are decoded in less time than it takes to start processes for it."""


def load_dataset(
    source: TeacherData | ImageSource, location: Path | None, device: torch.device, decoders: int
) -> Dataset:
    """The data of a trial."""
    if isinstance(source, TeacherData):
        return teacher_data(source, device)
    assert location is not None
    dataset = load_images(source, location, device, decoders)
    return replace(dataset, description=made_description(source)) if source.made else dataset


def load_images(source: ImageSource, location: Path, device: torch.device, workers: int) -> ImageDataset:
    """The images of a trial.

    Args:
        source: which images, which of them, and whether their labels are random.
        location: the files.
        device: where small images are kept, and where batches of photographs are put.
        workers: processes that decode photographs; 0 for this one.

    Raises:
        RequestError: the files are missing, damaged, of another data set, or too few.
    """
    if isinstance(source, CIFAR10Data):
        return _cifar10(source, location, device)
    return _imagenet(source, location, device, workers)


def _cifar10(source: CIFAR10Data, location: Path, device: torch.device) -> ImageDataset:
    files = _cifar10_files(location, source.damaged)
    images = len(files.train.labels)
    kept = images - source.validation_examples
    _enough(source, "validation_examples", source.validation_examples, images - 1, location)
    everything = torch.arange(images)

    def split(pixels: Pixels, chosen: Int[Tensor, " examples"], name: str) -> ImageSplit:
        labels = pixels.labels[chosen]
        return ResidentImages(pixels.images[chosen], partly_random(labels, source, name), device)

    dataset = ImageDataset(
        train=split(files.train, everything[:kept][_drawn(source, "train", kept, location)], "train"),
        validation=split(files.train, everything[kept:], "validation"),
        test=split(files.test, _drawn(source, "test", len(files.test.labels), location), "test"),
        classes=source.classes,
        shape=source.shape,
        description=files.description,
    )
    dataset.train.damaged.update(dict.fromkeys(files.damaged, "left out"))
    return dataset


_cifar10_files = functools.lru_cache(maxsize=1)(read_cifar10)
"""Trials that differ in their seed share the files, which take seconds to decode."""


def _imagenet(source: ImageNetData, location: Path, device: torch.device, workers: int) -> ImageDataset:
    files = read_photographs(location, source.classes)
    images = len(files.train)
    _enough(source, "validation_examples", source.validation_examples, images - 1, location)
    shuffled = torch.randperm(images, generator=generator(HELD_OUT_SEED, "held out"))
    held_out, kept = (
        part.sort().values for part in shuffled.split([source.validation_examples, images - source.validation_examples])
    )

    def split(photographs: Photographs, chosen: Int[Tensor, " examples"], name: str) -> ImageSplit:
        labels = partly_random(photographs.labels[chosen], source, name)
        decoders = workers if len(chosen) >= FEWEST_FOR_DECODERS else 0
        return StreamedImages(photographs, chosen, labels, source.image_size, source.damaged, decoders, device)

    return ImageDataset(
        train=split(files.train, kept[_drawn(source, "train", len(kept), location)], "train"),
        validation=split(files.train, held_out, "validation"),
        test=split(files.test, _drawn(source, "test", len(files.test), location), "test"),
        classes=source.classes,
        shape=source.shape,
        description=files.description,
    )


def _drawn(source: ImageSource, split: str, available: int, location: Path) -> Int[Tensor, " examples"]:
    """Which of a split's examples the trial uses, in order."""
    wanted = {"train": source.train_examples, "test": source.test_examples}[split]
    if wanted is None or wanted == available:
        return torch.arange(available)
    _enough(source, f"{split}_examples", wanted, available, location)
    return torch.randperm(available, generator=generator(source.seed, "examples", split))[:wanted].sort().values


def _enough(source: ImageSource, field: str, wanted: int, available: int, location: Path) -> None:
    if wanted > available:
        raise RequestError(
            f"data.{field} is {wanted:,} and {location} has only {max(available, 0):,} images for it; set it to less"
        )
