"""Cohorts: trials that differ only in their random draws, trained as one stack and measured. Training, data,
networks and measurement meet here and in the two files beside it (`measuring`, `images`)."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import nn

from widthwise.data.dataset import Dataset
from widthwise.data.source import TeacherData
from widthwise.data.teacher import teacher_data
from widthwise.errors import RequestError
from widthwise.execution.machine import Machine, computing
from widthwise.execution.outcome import outcome
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.networks.build import build_initialized
from widthwise.networks.cost import arithmetic
from widthwise.training.stacked_loop import fit
from widthwise.wording import listed

STACKED_PARAMETERS = 4_000_000
STACKED_ACTIVATIONS = 1_000_000
"""A larger stack gains no speed: its step's values no longer fit the processor's cache. It trains as several."""


def cohorts(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials grouped into stacks, what costs most first."""
    stacks = []
    for _, group in groupby(sorted(trials, key=lambda trial: trial.cohort), key=lambda trial: trial.cohort):
        members = sorted(group, key=lambda trial: (trial.seed, trial.id))
        size = max(1, _stackable(members[0]))
        parts = -(-len(members) // size)
        stacks += [members[part::parts] for part in range(parts)]
    return sorted(stacks, key=_cost, reverse=True)


def _stackable(trial: Trial) -> int:
    """How many networks like this one's a stack may hold; convolutions gain nothing by it (docs/stacks.md)."""
    if not trial.stackable:
        return 1
    cost = arithmetic(trial.network, trial.data.shape, trial.data.classes)
    activations = cost.activations * trial.training.scaled_batch_size
    return min(STACKED_PARAMETERS // cost.parameters, STACKED_ACTIVATIONS // activations)


def _cost(trials: Sequence[Trial]) -> int:
    first = trials[0]
    if first.data.shape is None or first.data.classes is None or first.training_examples is None:
        return 0  # only the data tell
    flops = arithmetic(first.network, first.data.shape, first.data.classes).training_flops
    return len(trials) * flops * first.training.epochs * first.training_examples


def run_cohort(
    trials: Sequence[Trial],
    machine: Machine = Machine(),
    store: Store | None = None,
    on_moment: Callable[[Any], None] = lambda moment: None,
) -> Iterator[tuple[Trial, Outcome]]:
    """Train a cohort as one stack, or its only network on images, and measure each network, one after the other.

    Args:
        trials: a cohort.
        machine: files and devices.
        store: where the checkpoints of a training on images are kept; none: there are none.
        on_moment: told of the progress of a training on images (`training.train.Moment`).
    """
    if trials[0].training.epochs == 0:
        yield from ((trial, _counted(trial)) for trial in trials)
        return
    if not trials[0].stackable:
        from widthwise.execution.single_networks import run_on_images  # Lightning Fabric, which takes long to import

        for trial in trials:
            yield trial, run_on_images(trial, machine, store, on_moment)
        return
    with computing(threads=1):
        started = time.perf_counter()
        datasets = [teacher_dataset(trial.data) for trial in trials]
        networks = [
            build_initialized(trial.network, trial.initialization, trial.data.shape, trial.data.classes, trial.seed)
            for trial in trials
        ]
        fitted = fit(networks, datasets, [trial.seed for trial in trials], trials[0].training)
        seconds = (time.perf_counter() - started) / len(trials)
        for trial, dataset, network, result in zip(trials, datasets, networks, fitted, strict=True):
            yield trial, outcome(trial, dataset, network, result, seconds)


def _counted(trial: Trial) -> Outcome:
    """The outcome of a trial without training."""
    cost = arithmetic(trial.network, trial.data.shape, trial.data.classes)
    flops = {"forward_flops": cost.forward_flops, "training_flops": cost.training_flops}
    return Outcome("counted", {"parameters": cost.parameters, **flops})


def load_trained(
    store: Store, identity: str, machine: Machine = Machine(), trust_code: bool = False
) -> tuple[Trial, nn.Module, Dataset]:
    """The network that a finished trial measured, and its data.

    Args:
        store: where it was kept.
        identity: the trial's id.
        machine: files and devices.
        trust_code: run the code that the trial itself holds, of a user's own network or data.

    Raises:
        FileNotFoundError, ValueError: the store does not have it whole.
        RequestError: the trial's images are not those that `machine` names, or it holds code that is not trusted.
    """
    trial = store.trial(identity)
    code = sorted({file for part in (trial.network, trial.data) for file in getattr(part, "code", {})})
    if code and not trust_code:
        raise RequestError(
            f"the trial {identity} holds code of its own ({listed(code)}), which is run only if you trust it",
            field="trust_code",
        )
    if trial.stackable:
        dataset = teacher_dataset(trial.data)
    else:
        from widthwise.execution.single_networks import load_dataset

        dataset = load_dataset(trial.data, machine, store)
    parameters = {name: torch.from_numpy(value) for name, value in store.network(identity).items()}
    architecture = trial.network
    if trial.construction is not None and trial.construction != "small":
        architecture = architecture.model_copy(update={"width_factor": 2 * architecture.width_factor})
    network = architecture.build(dataset.shape, dataset.classes)
    network.load_state_dict(parameters)
    return trial, network, dataset


@functools.lru_cache(maxsize=4)
def teacher_dataset(source: TeacherData) -> Dataset:
    """The data of a trial; the last few stay in memory."""
    return teacher_data(source)
