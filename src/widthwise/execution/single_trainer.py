"""Trains trials one by one, with checkpoints, on one device or in several processes."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection

import torch
from lightning_fabric import Fabric
from torch import nn

from widthwise.data.dataset import Dataset
from widthwise.execution.allocator import keep_freed_memory
from widthwise.execution.datasets import check_files, load_dataset
from widthwise.execution.environment import environment
from widthwise.execution.machine import Machine, computing
from widthwise.execution.memory import check_memory
from widthwise.execution.outcome import outcome
from widthwise.execution.processes import fabric_on, launch
from widthwise.execution.timing import seconds_alone
from widthwise.execution.trainer import Cohort, Trainer
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.networks.build import build_initialized
from widthwise.progress import OnProgress, unseen
from widthwise.training.callbacks.checkpoint import Interval
from widthwise.training.checkpoint import unpacked
from widthwise.training.evaluation import SINGLE_BATCH
from widthwise.training.loop import train
from widthwise.training.trained_network import TrainedNetwork


class SingleTrainer(Trainer):
    """Any network on any data, with Lightning Fabric. Convolutions gain nothing by being stacked (docs/stacks.md)."""

    batch_size = SINGLE_BATCH

    def group(self, trials: Sequence[Trial]) -> list[Cohort]:
        """Each trial by itself."""
        return [[trial] for trial in sorted(trials, key=lambda trial: (trial.cohort, trial.seed, trial.id))]

    def check(self, trials: Sequence[Trial], machine: Machine, store: Store) -> None:
        """Check that the files exist and the memory is sufficient.

        Raises:
            RequestError: they do not, or it is not.
        """
        check_files([trial.data for trial in trials], machine, store)
        for trial in {trial.cohort: trial for trial in trials}.values():
            check_memory(trial, machine, store)

    def seconds(self, cohort: Cohort, machine: Machine) -> float:
        """Estimate the time from a few steps and a prediction."""
        return sum(seconds_alone(trial, machine) for trial in cohort)

    def environment(self, trial: Trial, machine: Machine) -> dict[str, str]:
        """The machine's device, threads of each process, and processes."""
        return environment(machine.device, _share_of_threads(machine), machine.processes)

    def train(
        self, cohort: Cohort, machine: Machine, store: Store | None = None, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[Trial, Outcome]]:
        """Train each network, from its checkpoint if there is one, and measure it."""
        for trial in cohort:
            yield trial, self._run(trial, machine, store, on_progress)

    def _run(self, trial: Trial, machine: Machine, store: Store | None, on_progress: OnProgress) -> Outcome:
        check_memory(trial, machine, store)
        machine = replace(machine, threads=_share_of_threads(machine))
        with computing(machine.threads):
            fabric = fabric_on(machine, trial.training.precision)
            if machine.processes == 1:
                trained = _train(fabric, trial, machine, store, on_progress)
            else:
                assert store is not None, "several processes give their result through a store"
                launch(fabric, partial(_train_share, trial, machine, store.location), on_progress)
                checkpoints = TrialCheckpoints(store, trial.id)
                content = checkpoints.load()
                assert content is not None
                trained = unpacked(content, trial.id, checkpoints.path).trained
            dataset = load_dataset(trial.data, machine, store)
            network = _initialized(trial, dataset).to(machine.device)
            return outcome(trial, dataset, network, trained, trained.history["seconds"][-1], self.batch_size)


@dataclass(frozen=True)
class TrialCheckpoints:
    """The checkpoints of one trial in a store."""

    store: Store
    identity: str

    @property
    def path(self) -> str:
        """The checkpoint's path."""
        return self.store.path(self.store.checkpoint_of(self.identity))

    def load(self) -> bytes | None:
        """The last checkpoint, if there is one."""
        name = self.store.checkpoint_of(self.identity)
        return self.store.read(name) if self.store.has(name) else None

    def save(self, content: bytes) -> None:
        """Replace the last checkpoint."""
        self.store.write(self.store.checkpoint_of(self.identity), content)


def _share_of_threads(machine: Machine) -> int:
    """Threads of each of the machine's processes."""
    return max(1, (machine.threads or torch.get_num_threads()) // machine.processes)


def _train_share(trial: Trial, machine: Machine, location: str, fabric: Fabric, progress: Connection) -> None:
    """Train in one of several processes; the last checkpoint holds the result."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is sent when the parent ends, and a parent may ignore it
    keep_freed_memory()
    _train(fabric, trial, machine, Store(location), progress.send)


def _train(
    fabric: Fabric, trial: Trial, machine: Machine, store: Store | None, on_progress: OnProgress
) -> TrainedNetwork:
    """Train in this process, from the last checkpoint on."""
    dataset = load_dataset(trial.data, replace(machine, device=str(fabric.device)), store)
    with computing(machine.threads):
        return train(
            _initialized(trial, dataset),
            dataset,
            trial.training,
            trial.seed,
            fabric,
            checkpoints=None if store is None else TrialCheckpoints(store, trial.id),
            interval=Interval(machine.checkpoint_epochs, machine.checkpoint_minutes),
            on_progress=on_progress,
        )


def _initialized(trial: Trial, dataset: Dataset) -> nn.Module:
    """A trial's network before training, for its data."""
    return build_initialized(trial.network, trial.initialization, dataset.shape, dataset.classes, trial.seed)
