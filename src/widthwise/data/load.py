"""From the source of a trial's data to three splits on a device."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.data.cifar10 import CIFAR10Files, Pixels, read_cifar10
from widthwise.data.dataset import Dataset, Split
from widthwise.data.image_folder import image_folder
from widthwise.data.labels import partly_random
from widthwise.data.own_data import own_data
from widthwise.data.photographs import PhotographFiles, Photographs, read_photographs
from widthwise.data.resident import ResidentImages
from widthwise.data.source import (
    CIFAR10Data,
    DataSource,
    ImageFolderData,
    ImageNetData,
    OwnData,
    TeacherData,
)
from widthwise.data.splitting import check_enough, drawn
from widthwise.data.streamed import StreamedImages
from widthwise.data.synthetic_images import synthetic_description
from widthwise.data.teacher import teacher_data
from widthwise.randomness import generator

Indices = Int[Tensor, " examples"]

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

    def split(pixels: Pixels, chosen: Indices, labels: Tensor) -> Split:
        return ResidentImages(pixels.images[chosen], labels, device, source.crop)

    dataset = _in_splits(source, files, torch.arange(len(files.train.labels)), location, split)
    dataset.train.damaged.update(dict.fromkeys(files.damaged, "left out"))
    return dataset


_cifar10_files = functools.lru_cache(maxsize=1)(read_cifar10)
"""Trials that differ in their seed share the files, which take seconds to decode."""


def _imagenet(source: ImageNetData, location: Path, device: torch.device, decoders: int) -> Dataset:
    files = read_photographs(location, source.classes)
    shuffled = torch.randperm(len(files.train), generator=generator(HELD_OUT_SEED, "held out"))

    def split(photographs: Photographs, chosen: Indices, labels: Tensor) -> Split:
        workers = decoders if len(chosen) >= FEWEST_FOR_DECODERS else 0
        return StreamedImages(photographs, chosen, labels, source.image_size, source.damaged, workers, device)

    return _in_splits(source, files, shuffled.flip(0), location, split)


def _in_splits(
    source: CIFAR10Data | ImageNetData,
    files: CIFAR10Files | PhotographFiles,
    order: Indices,
    location: Path,
    split: Callable[..., Split],
) -> Dataset:
    """The data set of published files.

    Args:
        order: the indices of all training images, those that are held out to validate last.
        split: from images, the indices of the chosen ones and their labels to a split.
    """
    held_out = source.validation_examples
    check_enough("validation", held_out, len(order) - 1, location, "images")
    kept, validation = (part.sort().values for part in order.split([len(order) - held_out, held_out]))
    train = kept[drawn(len(kept), source.train_examples, source.seed, "train", location, "images")]
    test = drawn(len(files.test.labels), source.test_examples, source.seed, "test", location, "images")

    def labelled(images: Pixels | Photographs, chosen: Indices, name: str) -> Split:
        return split(images, chosen, partly_random(images.labels[chosen], source, name, source.classes))

    return Dataset(
        train=labelled(files.train, train, "train"),
        validation=labelled(files.train, validation, "validation"),
        test=labelled(files.test, test, "test"),
        classes=source.classes,
        shape=source.shape,
        description=files.description,
    )
