"""The data of trials: their files, and their sizes before they are loaded."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.util import get_temp_dir
from pathlib import Path

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
    published = source.available[1] if isinstance(source, PublishedImages) else None
    test = source.test_examples or published
    sizes = (source.training_examples, source.validation_examples, test)
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
    for source in {_noted_as(source): source for source in sources if source.on_disk}.values():
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
    if store is not None and store.data_files(_noted_as(source)) is None:
        store.add_data_files(_noted_as(source), _fingerprint(location))  # now that they are known to be whole
    return dataset


_drawn = functools.lru_cache(maxsize=4)(load.load_dataset)
_read = functools.lru_cache(maxsize=2)(load.load_dataset)
_fingerprint = functools.lru_cache(maxsize=16)(fingerprint)


def _location(source: Source, machine: Machine, store: Store | None) -> Path:
    """The location of the images of a trial; synthetic ones are written there if they do not exist."""
    if isinstance(source, PublishedImages) and source.synthetic:
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


def _noted_as(source: Source) -> str:
    """The name under which a store notes the files: synthetic images are a data set of their own."""
    synthetic = isinstance(source, PublishedImages) and source.synthetic
    return f"{source.name}-synthetic" if synthetic else source.name


def _check_same(source: Source, location: Path, store: Store) -> None:
    if not location.exists():
        raise RequestError(f"there is no data at {location}: name the folder of {source.title}", field="data")
    before = store.data_files(_noted_as(source))
    if before is None or before == _fingerprint(location):
        return
    if isinstance(source, PublishedImages) and source.synthetic:
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
