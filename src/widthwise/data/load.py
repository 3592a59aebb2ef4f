"""From the source of a trial's data to three splits on a device."""

import functools
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.data.cifar10 import Pixels, read_cifar10
from widthwise.data.dataset import Dataset, Split
from widthwise.data.image_folder import image_folder
from widthwise.data.labels import partly_random
from widthwise.data.own_data import own_data
from widthwise.data.photographs import Photographs, read_photographs
from widthwise.data.resident import ResidentImages
from widthwise.data.source import (
    CIFAR10Data,
    DataSource,
    ImageFolderData,
    ImageNetData,
    OwnData,
    PublishedImages,
    TeacherData,
)
from widthwise.data.streamed import StreamedImages
from widthwise.data.synthetic_images import synthetic_description
from widthwise.data.teacher import teacher_data
from widthwise.errors import RequestError
from widthwise.randomness import generator

HELD_OUT_SEED = 0
"""The seed that ImageNet's validation images are drawn with: they are the same in every trial."""
FEWEST_FOR_DECODERS = 256
"""Decoding fewer photographs than this takes less time than starting processes for it."""


def load_dataset(source: DataSource, location: Path | None, device: torch.device, decoders: int) -> Dataset:
    """The data of a trial.

    Args:
        source: the data, the choice of examples, and whether labels are random.
        location: the location of image files.
        device: the device of data in memory and of batches of photographs.
        decoders: the number of processes that decode photographs; 0: decode in this process.

    Raises:
        RequestError: files are missing, damaged, of another data set, or hold too few examples; or a user's own
            function fails.
    """
    if isinstance(source, TeacherData):
        return teacher_data(source, device)
    if isinstance(source, OwnData):
        return own_data(source, device)
    assert location is not None, "images are in files"
    if isinstance(source, ImageFolderData):
        return image_folder(source, location, device, decoders)
    assert isinstance(source, (CIFAR10Data, ImageNetData))
    if isinstance(source, CIFAR10Data):
        dataset = _cifar10(source, location, device)
    else:
        dataset = _imagenet(source, location, device, decoders)
    return replace(dataset, description=synthetic_description(source)) if source.synthetic else dataset


def _cifar10(source: CIFAR10Data, location: Path, device: torch.device) -> Dataset:
    files = _cifar10_files(location, source.damaged)
    images = len(files.train.labels)
    kept = images - source.validation_examples
    _enough("validation_examples", source.validation_examples, images - 1, location)
    everything = torch.arange(images)

    def split(pixels: Pixels, chosen: Int[Tensor, " examples"], name: str) -> Split:
        labels = partly_random(pixels.labels[chosen], source, name, source.classes)
        return ResidentImages(pixels.images[chosen], labels, device)

    dataset = Dataset(
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


def _imagenet(source: ImageNetData, location: Path, device: torch.device, decoders: int) -> Dataset:
    files = read_photographs(location, source.classes)
    images = len(files.train)
    _enough("validation_examples", source.validation_examples, images - 1, location)
    shuffled = torch.randperm(images, generator=generator(HELD_OUT_SEED, "held out"))
    held_out, kept = (
        part.sort().values for part in shuffled.split([source.validation_examples, images - source.validation_examples])
    )

    def split(photographs: Photographs, chosen: Int[Tensor, " examples"], name: str) -> Split:
        labels = partly_random(photographs.labels[chosen], source, name, source.classes)
        workers = decoders if len(chosen) >= FEWEST_FOR_DECODERS else 0
        return StreamedImages(photographs, chosen, labels, source.image_size, source.damaged, workers, device)

    return Dataset(
        train=split(files.train, kept[_drawn(source, "train", len(kept), location)], "train"),
        validation=split(files.train, held_out, "validation"),
        test=split(files.test, _drawn(source, "test", len(files.test), location), "test"),
        classes=source.classes,
        shape=source.shape,
        description=files.description,
    )


def _drawn(source: PublishedImages, split: str, available: int, location: Path) -> Int[Tensor, " examples"]:
    """The indices of a split's examples that the trial uses, in order."""
    wanted = {"train": source.train_examples, "test": source.test_examples}[split]
    if wanted is None or wanted == available:
        return torch.arange(available)
    _enough(f"{split}_examples", wanted, available, location)
    return torch.randperm(available, generator=generator(source.seed, "examples", split))[:wanted].sort().values


def _enough(field: str, wanted: int, available: int, location: Path) -> None:
    if wanted > available:
        raise RequestError(
            f"it is {wanted:,} and {location} has only {max(available, 0):,} images for it; set it to less",
            field=f"data.{field}",
        )
