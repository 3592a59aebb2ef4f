"""A trial on images: trained by itself, with checkpoints, on one device or several."""

import functools
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from lightning_fabric import Fabric
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from widthwise.data import load
from widthwise.data.dataset import Dataset
from widthwise.data.location import fingerprint, located
from widthwise.data.source import DataSource, PublishedImages
from widthwise.data.synthetic_images import synthetic_description, synthetic_images
from widthwise.errors import RequestError, TrialError
from widthwise.execution.machine import Machine, computing
from widthwise.execution.memory import check_memory
from widthwise.execution.outcome import outcome
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.networks.build import build_initialized
from widthwise.spawning import main_hidden
from widthwise.training.checkpoint import unpacked
from widthwise.training.loop import Interval, Moment, train
from widthwise.training.trained_network import TrainedNetwork


@dataclass(frozen=True)
class TrialCheckpoints:
    """The checkpoints of one trial in a store."""

    location: str
    identity: str

    @property
    def where(self) -> str:
        """The checkpoint's path."""
        store = Store(self.location)
        return store.path(store.checkpoint_of(self.identity))

    def load(self) -> bytes | None:
        """The last one, if there is one."""
        store = Store(self.location)
        name = store.checkpoint_of(self.identity)
        return store.read(name) if store.has(name) else None

    def save(self, content: bytes) -> None:
        """Put one in the place of the last."""
        store = Store(self.location)
        store.write(store.checkpoint_of(self.identity), content)


def check_files(trials: list[Trial], machine: Machine, store: Store) -> None:
    """See that the files of images are there, and are those that the store's other trials were trained on.

    Raises:
        RequestError: they are not named, not there, or others.
    """
    sources = [trial.data for trial in trials if trial.data.on_disk]
    for source in {_noted_as(source): source for source in sources}.values():
        _check_same(source, _location(source, machine, store), store)


def load_dataset(source: DataSource, machine: Machine, store: Store | None) -> Dataset:
    """The data of a trial, on the machine's device.

    Raises:
        RequestError: the files are missing, damaged, or not those that the store's trials were trained on; or a user's
            own function fails.
    """
    if not source.on_disk:
        return _loaded(source, None, torch.device(machine.device), machine.decoders)
    location = _location(source, machine, store)
    if store is not None:
        _check_same(source, location, store)
    dataset = _loaded(source, location, torch.device(machine.device), machine.decoders)
    if store is not None and store.data_files(_noted_as(source)) is None:
        store.add_data_files(_noted_as(source), _fingerprint(location))  # now that they are known to be whole
    return dataset


@functools.lru_cache(maxsize=2)
def _loaded(source: DataSource, location: Path | None, device: torch.device, decoders: int) -> Dataset:
    return load.load_dataset(source, location, device, decoders)


def _location(source: DataSource, machine: Machine, store: Store | None) -> Path:
    """Where the images are that a trial asks for; those that the program generates are there from then on."""
    if isinstance(source, PublishedImages) and source.synthetic:
        return synthetic_images(source, _folder_of_synthetic_images(store) / source.name)
    reference = machine.location_of(source.name)
    if reference is None:
        raise RequestError(f"{source.title} is needed: name its folder with --data (docs/data.md says which)")
    return located(reference)


def _folder_of_synthetic_images(store: Store | None) -> Path:
    """In a store that is a folder; else one of this process and of those that it starts, removed at its end."""
    if store is not None and isinstance(url_to_fs(store.location)[0], LocalFileSystem):
        return Path(store.path("synthetic"))
    return Path(get_temp_dir()) / "synthetic"


def _noted_as(source: DataSource) -> str:
    """The name under which a store notes the files: synthetic images are a data set of their own."""
    synthetic = isinstance(source, PublishedImages) and source.synthetic
    return f"{source.name}-synthetic" if synthetic else source.name


def _check_same(source: DataSource, location: Path, store: Store) -> None:
    if not location.exists():
        raise RequestError(f"there is no data at {location}: --data must name the folder of {source.title}")
    before = store.data_files(_noted_as(source))
    if before is None or before == _fingerprint(location):
        return
    if isinstance(source, PublishedImages) and source.synthetic:
        raise RequestError(
            f"the store {store.location} has trials on other {synthetic_description(source)}, than those at "
            f"{location}; delete that folder, so that they are made again, or name another store"
        )
    raise RequestError(
        f"the store {store.location} has trials on other files of {source.title} than those at "
        f"{location}; name those files, or another store"
    )


_fingerprint = functools.lru_cache(maxsize=16)(fingerprint)


def run_on_images(
    trial: Trial, machine: Machine, store: Store | None, on_moment: Callable[[Moment], None] = lambda moment: None
) -> Outcome:
    """Train a trial's network, from its checkpoint where there is one, and measure it.

    With several processes there must be a store, and `on_moment`, which is called in the first of them, must be
    picklable.
    """
    check_memory(trial, machine)
    location = None if store is None else store.location
    threads = machine.threads or torch.get_num_threads()
    machine = replace(machine, threads=max(1, threads // machine.processes))
    with computing(machine.threads):
        if machine.processes == 1:
            fitted = _train(fabric_for(trial, machine), trial, machine, location, on_moment)
        else:
            assert location is not None
            with main_hidden(), _errors_of_processes():
                fabric_for(trial, machine).launch(partial(_train_share, (trial, machine, location, on_moment)))
            checkpoints = TrialCheckpoints(location, trial.id)
            content = checkpoints.load()
            assert content is not None
            fitted = unpacked(content, trial.id, checkpoints.where).fitted
        dataset = load_dataset(trial.data, machine, store)
        network = initialized(trial, dataset).to(machine.device)
        return outcome(trial, dataset, network, fitted, fitted.history["seconds"][-1])


def fabric_for(trial: Trial, machine: Machine) -> Fabric:
    """Lightning Fabric for a trial's precision on the machine's device or devices."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells of every process
    device = torch.device(machine.device)
    several = machine.processes > 1
    devices = [device.index] if device.index is not None and not several else machine.processes
    return Fabric(
        accelerator=device.type,
        devices=devices,
        strategy="ddp_spawn" if several else "auto",
        precision=trial.training.precision,
    )


@contextmanager
def _errors_of_processes() -> Iterator[None]:
    """Raise what one of several processes raised, without the traceback that it comes in."""
    try:
        yield
    except ProcessRaisedException as error:
        kind, _, sentence = str(error).rstrip().splitlines()[-1].partition(": ")
        for told in (RequestError, TrialError):
            if kind == f"{told.__module__}.{told.__name__}":
                raise told(sentence) from None
        raise RuntimeError(f"{kind}: {sentence}") from error
    except ProcessExitedException as error:
        raise TrialError(
            f"one of several training processes was killed, perhaps for want of memory ({error}); the same command "
            "continues"
        ) from None


def _train_share(arguments: tuple[Any, ...], fabric: Fabric) -> None:
    """What one of several processes does; the last checkpoint is what comes of it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is sent when the parent ends, and a parent may ignore it
    on_moment = arguments[-1]
    try:
        _train(fabric, *arguments)
    finally:
        getattr(on_moment, "close", lambda: None)()


def _train(
    fabric: Fabric, trial: Trial, machine: Machine, location: str | None, on_moment: Callable[[Moment], Any]
) -> TrainedNetwork:
    """Train in one of the processes; the last checkpoint is where it begins."""
    store = None if location is None else Store(location)
    here = replace(machine, device=str(fabric.device))
    dataset = load_dataset(trial.data, here, store)
    checkpoints = None if location is None else TrialCheckpoints(location, trial.id)
    with computing(machine.threads):
        return train(
            initialized(trial, dataset),
            dataset,
            trial.training,
            trial.seed,
            fabric,
            checkpoints=checkpoints,
            interval=Interval(machine.checkpoint_epochs, machine.checkpoint_minutes),
            on_moment=on_moment if fabric.is_global_zero else lambda moment: None,
        )


def initialized(trial: Trial, dataset: Dataset) -> torch.nn.Module:
    """A trial's network before training on its data."""
    return build_initialized(trial.network, trial.initialization, dataset.shape, dataset.classes, trial.seed)
