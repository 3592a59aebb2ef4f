"""The data of trials: their files, and their sizes before they are loaded."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import TypeGuard

import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from widthwise.data import load
from widthwise.data.dataset import Dataset, Shape
from widthwise.data.location import fingerprint, located
from widthwise.data.source import PublishedImages, Source
from widthwise.data.synthetic_images import synthetic_description, synthetic_images
from widthwise.errors import RequestError
from widthwise.execution.machine import Machine
from widthwise.experiments.store import Store


@dataclass(frozen=True)
class Extent:
    """The size of a data set.

    shape: the shape of one input.
    classes: the number of labels.
    train, validation, test: numbers of examples.
    """

    shape: Shape
    classes: int
    train: int
    validation: int
    test: int


def extent(source: Source, machine: Machine, store: Store | None = None) -> Extent:
    """The size of a trial's data, which is loaded only if the source does not state its size.

    Raises:
        RequestError: the data must be loaded and cannot be.
    """
    sizes = (source.training_examples, source.validation_examples, source.testing_examples)
    if source.shape is not None and source.classes is not None and None not in sizes:
        return Extent(source.shape, source.classes, *sizes)  # pyright: ignore[reportArgumentType]
    dataset = load_dataset(source, machine, store)
    splits = (dataset.train, dataset.validation, dataset.test)
    return Extent(dataset.shape, dataset.classes, *map(len, splits))


def check_files(sources: Iterable[Source], machine: Machine, store: Store) -> None:
    """Check that the files of data sets exist, and are those that the store's other trials were trained on.

    Raises:
        RequestError: they are not named, do not exist, or are different ones.
    """
    for source in {source.files_name: source for source in sources if source.on_disk}.values():
        _check_same(source, _location(source, machine, store), store)


def load_dataset(source: Source, machine: Machine, store: Store | None) -> Dataset:
    """The data of a trial, on the machine's device. The last few data sets stay in memory.

    Raises:
        RequestError: files are missing, damaged, or not those that the store's trials were trained on; or a user's own
            function fails.
    """
    device = torch.device(machine.device)
    if not source.on_disk:
        return _drawn(source, None, device, machine.decoders)
    location = _location(source, machine, store)
    if store is not None:
        _check_same(source, location, store)
    dataset = _read(source, location, device, machine.decoders)
    if store is not None and store.data_files(source.files_name) is None:
        store.add_data_files(source.files_name, _fingerprint(location))  # now that they are known to be whole
    return dataset


_drawn = functools.lru_cache(maxsize=4)(load.load_dataset)
_read = functools.lru_cache(maxsize=2)(load.load_dataset)
_fingerprint = functools.lru_cache(maxsize=16)(fingerprint)


def _location(source: Source, machine: Machine, store: Store | None) -> Path:
    """The location of the images of a trial; synthetic ones are written there if they do not exist."""
    if _is_synthetic(source):
        return synthetic_images(source, _folder_of_synthetic_images(store) / source.name)
    reference = machine.location_of(source.name)
    if reference is None:
        raise RequestError(f"{source.title} is needed: name its folder (docs/data.md says which)", field="data")
    return located(reference)


def _folder_of_synthetic_images(store: Store | None) -> Path:
    """A folder in the store if that is a folder; otherwise a temporary one of this process and those that it starts."""
    if store is not None and isinstance(url_to_fs(store.location)[0], LocalFileSystem):
        return Path(store.path("synthetic"))
    return Path(get_temp_dir()) / "synthetic"


def _is_synthetic(source: Source) -> TypeGuard[PublishedImages]:
    return isinstance(source, PublishedImages) and source.synthetic


def _check_same(source: Source, location: Path, store: Store) -> None:
    if not location.exists():
        raise RequestError(f"there is no data at {location}: name the folder of {source.title}", field="data")
    before = store.data_files(source.files_name)
    if before is None or before == _fingerprint(location):
        return
    if _is_synthetic(source):
        raise RequestError(
            f"the store {store.location} has trials on other {synthetic_description(source)}, than those at "
            f"{location}; delete that folder, so that they are made again, or name another store",
            field="store",
        )
    raise RequestError(
        f"the store {store.location} has trials on other files of {source.title} than those at {location}; name those "
        "files, or another store",
        field="data",
    )
