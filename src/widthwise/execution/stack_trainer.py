"""Trains trials that differ only in their random draws as one stack of small networks."""

import time
from collections.abc import Iterator, Sequence
from itertools import groupby

from widthwise.data.dataset import Shape
from widthwise.execution.datasets import extent, load_dataset
from widthwise.execution.environment import environment
from widthwise.execution.machine import Machine, computing
from widthwise.execution.outcome import outcome
from widthwise.execution.trainer import Cohort, Trainer
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.networks.build import build_initialized
from widthwise.networks.cost import arithmetic
from widthwise.progress import OnProgress, unseen
from widthwise.training.stacked_loop import train_stack

STACKED_PARAMETERS = 4_000_000
STACKED_ACTIVATIONS = 1_000_000
"""A larger stack is no faster: the values of its step no longer fit in the processor's cache. It is split."""


class StackTrainer(Trainer):
    """Stacks, on one thread of the CPU. They need no files and take seconds, so they have no checkpoints."""

    batch_size = 1000

    def group(self, trials: Sequence[Trial]) -> list[Cohort]:
        """Trials that share a cohort together, divided where a stack would grow too large."""
        found = []
        for _, alike in groupby(sorted(trials, key=lambda trial: trial.cohort), key=lambda trial: trial.cohort):
            members = sorted(alike, key=lambda trial: (trial.seed, trial.id))
            parts = -(-len(members) // max(1, _most_in_a_stack(members[0])))
            found += [members[part::parts] for part in range(parts)]
        return found

    def check(self, trials: Sequence[Trial], machine: Machine, store: Store) -> None:
        """Nothing can be missing: the data is drawn, and a stack fits the processor's cache."""

    def seconds(self, cohort: Cohort, machine: Machine) -> float:
        """Estimate the time from complete trainings of one epoch and of two, on the cohort's own data."""

        def short(epochs: int) -> float:
            recipe = cohort[0].training.model_copy(update={"epochs": epochs})
            started = time.perf_counter()
            for _ in self.train([trial.model_copy(update={"training": recipe}) for trial in cohort], machine):
                pass
            return time.perf_counter() - started

        short(1)  # the first run of a shape traces it
        one, two = short(1), short(2)
        return one + max(two - one, 0.0) * (cohort[0].training.epochs - 1)

    def environment(self, trial: Trial, machine: Machine) -> dict[str, str]:
        """One thread of the CPU, on any machine."""
        return environment("cpu", threads=1)

    def train(
        self, cohort: Cohort, machine: Machine, store: Store | None = None, on_progress: OnProgress = unseen
    ) -> Iterator[tuple[Trial, Outcome]]:
        """Train the cohort as one stack, and measure its networks. There is no progress to show within a stack."""
        with computing(threads=1):
            started = time.perf_counter()
            loaded = {trial.data: load_dataset(trial.data, Machine(), None) for trial in cohort}
            datasets = [loaded[trial.data] for trial in cohort]
            networks = [
                build_initialized(trial.network, trial.initialization, *_shape(trial), trial.seed) for trial in cohort
            ]
            trained = train_stack(networks, datasets, [trial.seed for trial in cohort], cohort[0].training)
            seconds = (time.perf_counter() - started) / len(cohort)
            for trial, dataset, network, result in zip(cohort, datasets, networks, trained, strict=True):
                yield trial, outcome(trial, dataset, network, result, seconds, self.batch_size)


def _shape(trial: Trial) -> tuple[Shape, int]:
    """The shape of one input, and the number of labels."""
    data = extent(trial.data, Machine())
    return data.shape, data.classes


def _most_in_a_stack(trial: Trial) -> int:
    """The largest number of networks like this trial's in a stack."""
    cost = arithmetic(trial.network, *_shape(trial))
    activations = cost.activations * trial.training.scaled_batch_size
    return min(STACKED_PARAMETERS // cost.parameters, STACKED_ACTIVATIONS // activations)
