"""The contract of the trainers, which train and measure trials, and the choice between the two."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from widthwise.execution.machine import Machine
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.progress import OnProgress, unseen

Cohort = list[Trial]
"""Trials that are trained together."""


class Trainer(ABC):
    """Trains and measures trials of its kind. There are two: stacks of small networks, and networks by themselves.

    batch_size: the number of examples that are predicted at once when a network is evaluated and measured.
    """

    batch_size: int

    @abstractmethod
    def group(self, trials: Sequence[Trial]) -> list[Cohort]:
        """Trials in cohorts."""

    @abstractmethod
    def check(self, trials: Sequence[Trial], machine: Machine, store: Store) -> None:
        """Check, before anything starts, that the files exist and the memory is sufficient.

        Raises:
            RequestError: they do not, or it is not.
        """

    @abstractmethod
    def seconds(self, cohort: Cohort, machine: Machine) -> float:
        """An estimate of the time that a cohort takes to train and measure, from a short timing on this machine."""

    @abstractmethod
    def environment(self, trial: Trial, machine: Machine) -> dict[str, str]:
        """The environment that a trial's last digits may depend on: versions, device, threads and processes."""

    @abstractmethod
    def train(
        self, cohort: Cohort, machine: Machine, store: Store | None = None, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[Trial, Outcome]]:
        """Train a cohort and measure each of its networks, one outcome after the other.

        Args:
            cohort: one of `group`.
            machine: files and devices.
            store: keeps the checkpoints, and the fingerprint of the files that its trials were trained on; None:
                neither.
            on_progress: receives the progress of each training.

        Raises:
            RequestError: the request cannot be met as it is.
            TrialError: the work failed.
        """


def trainer_for(trial: Trial) -> Trainer:
    """The trainer of a trial."""
    return _trainer(trial.stackable)


@functools.cache
def _trainer(stackable: bool) -> Trainer:
    if stackable:
        from widthwise.execution.stack_trainer import StackTrainer

        return StackTrainer()
    from widthwise.execution.single_trainer import SingleTrainer  # Lightning Fabric, which takes long to import

    return SingleTrainer()


def by_trainer(trials: Sequence[Trial]) -> dict[Trainer, list[Trial]]:
    """Trials by the trainer that they need."""
    found: dict[Trainer, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trainer_for(trial), []).append(trial)
    return found


def cohorts(trials: Sequence[Trial], machine: Machine = Machine()) -> list[Cohort]:
    """Trials in the cohorts of their trainers, the most costly first."""
    from widthwise.execution.cost import trial_arithmetic
    from widthwise.execution.datasets import extent

    def flops(cohort: Cohort) -> int:
        first = cohort[0]
        data = extent(first.data, machine)
        cost = trial_arithmetic(first, machine)
        examples = first.training.epochs * first.training.examples_in_epoch(data.train)
        return len(cohort) * cost.training_flops * examples

    found = [cohort for trainer, theirs in by_trainer(trials).items() for cohort in trainer.group(theirs)]
    return sorted(found, key=flops, reverse=True)


def describe(cohort: Sequence[Trial]) -> str:
    """A cohort in words."""
    first = cohort[0]
    recipe = first.training
    network = f"{first.network.called} {first.network.width_factor:g}x"
    return f"{len(cohort)} × {network}, {recipe.optimizer} {recipe.learning_rate:g}"
