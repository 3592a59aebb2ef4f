"""Cohorts: trials that differ only in their random draws, trained as one stack and measured. Training, data,
networks and measurement meet here and nowhere else."""

import ctypes
import functools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import pandas as pd
import torch
from torch import nn

from widthwise.data.dataset import Dataset, Split
from widthwise.data.source import TeacherData
from widthwise.data.teacher import CLASSES, teacher_data
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.measurement.ablation import labels_without
from widthwise.measurement.inputs import Inputs
from widthwise.measurement.network import Network, untouched
from widthwise.measurement.profile import profile
from widthwise.networks.architecture import Architecture
from widthwise.networks.build import build, build_initialized
from widthwise.networks.construction import construct
from widthwise.networks.mlp import MLP
from widthwise.training.fit import Fitted, fit

STACKED_PARAMETERS = 4_000_000
STACKED_ACTIVATIONS = 1_000_000
"""A larger stack gains no speed: its step's values no longer fit the processor's cache. It trains as several."""
DEGENERATE_SHARE = 0.99
"""A network that gives one label to a larger share of the test inputs has collapsed; its measures mean nothing."""
MEASUREMENT_BATCH = 1000
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


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
    """How many networks like this one's a stack may hold."""
    size = network_size(trial.network, trial.data.dimensions)
    activations = size.activations * trial.training.batch_size
    return min(STACKED_PARAMETERS // size.parameters, STACKED_ACTIVATIONS // activations)


@dataclass(frozen=True)
class NetworkSize:
    """Trainable parameters, and the values that the modules of a network compute for one example."""

    parameters: int
    activations: int


@functools.lru_cache
def network_size(architecture: Architecture, dimensions: int) -> NetworkSize:
    """The size of a network for inputs of so many dimensions."""
    outputs: list[int] = []
    with torch.device("meta"):
        network = build(architecture, dimensions, CLASSES)
        for module in network.modules():
            if not list(module.children()):
                module.register_forward_hook(lambda module, inputs, output: outputs.append(output.numel()))
        network(torch.empty(1, dimensions))
    return NetworkSize(_parameters(network), sum(outputs))


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _cost(trials: Sequence[Trial]) -> int:
    first = trials[0]
    parameters = network_size(first.network, first.data.dimensions).parameters
    return len(trials) * parameters * first.training.epochs * first.data.train_examples


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute as a cohort needs it: on one thread, with memory kept from one step to the next.

    Sums on several threads depend on how the work was split, so a member would no longer be what it is alone. The C
    library by default gives large blocks back to the system after each step, and getting them again costs more than
    a small network's arithmetic.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # the GNU C library
            library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
            library.mallopt(M_MMAP_THRESHOLD, 2**25)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_cohort(trials: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]:
    """Train a cohort as one stack and measure each network, one after the other."""
    started = time.perf_counter()
    datasets = [load_data(trial.data) for trial in trials]
    networks = [
        build_initialized(trial.network, trial.initialization, trial.data.dimensions, dataset.classes, trial.seed)
        for trial, dataset in zip(trials, datasets, strict=True)
    ]
    fitted = fit(networks, datasets, [trial.seed for trial in trials], trials[0].training)
    seconds = (time.perf_counter() - started) / len(trials)
    for trial, dataset, network, result in zip(trials, datasets, networks, fitted, strict=True):
        yield trial, _outcome(trial, dataset, network, result, seconds)


def load_trained(store: Store, identity: str) -> tuple[Trial, nn.Module, Dataset]:
    """The network that a finished trial measured, and its data.

    Raises:
        FileNotFoundError, ValueError: the store does not have it whole.
    """
    trial = store.trial(identity)
    dataset = load_data(trial.data)
    parameters = {name: torch.from_numpy(value) for name, value in store.network(identity).items()}
    architecture = trial.network
    if trial.construction is not None and trial.construction != "small":
        architecture = architecture.model_copy(update={"width_factor": 2 * architecture.width_factor})
    network = build(architecture, trial.data.dimensions, dataset.classes)
    network.load_state_dict(parameters)
    return trial, network, dataset


@functools.lru_cache(maxsize=4)
def load_data(source: TeacherData) -> Dataset:
    """The data of a trial; the last few stay in memory."""
    return teacher_data(source)


@torch.no_grad()
def _outcome(trial: Trial, dataset: Dataset, network: nn.Module, fitted: Fitted, seconds: float) -> Outcome:
    results: dict[str, float | int | bool] = {
        "parameters": _parameters(network),
        "epochs": len(fitted.history["epoch"]),
        "kept_epoch": fitted.epoch,
        "training_seconds": seconds,
    }
    history = pd.DataFrame(fitted.history).astype({"epoch": "int64"})
    if fitted.status == "diverged":
        return Outcome("diverged", results, {"history": history})

    network.load_state_dict(fitted.parameters)
    measured = network
    if trial.construction is not None:
        assert isinstance(network, MLP)
        measured = construct(network, trial.construction, dataset.train.inputs, trial.seed)
        results |= {"parameters": _parameters(measured), **_compare(network, measured, dataset.test)}
    for name, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        results[f"{name}_accuracy"], results[f"{name}_loss"] = evaluate(measured, split)
        if not math.isfinite(results[f"{name}_loss"]):
            return Outcome("diverged", {"parameters": results["parameters"]}, {"history": history})
    batches = dataset.test.inputs.split(MEASUREMENT_BATCH)
    profiled = profile(measured, batches, settings=trial.measurement, seed=trial.seed)
    results["most_frequent_label_share"] = profiled.most_frequent_label_share
    results["degenerate"] = profiled.most_frequent_label_share > DEGENERATE_SHARE
    tables = {
        "history": history,
        "layers": profiled.layers,
        "ablation": profiled.ablation,
        "correlation": profiled.correlation,
    }
    return Outcome("trained", results, tables, {name: value.numpy() for name, value in measured.state_dict().items()})


def evaluate(network: nn.Module, split: Split) -> tuple[float, float]:
    """Accuracy and mean cross-entropy over a split."""
    logits = torch.cat([network(inputs) for inputs in split.inputs.split(MEASUREMENT_BATCH)])
    loss = nn.functional.cross_entropy(logits, split.labels).item()
    return (logits.argmax(-1) == split.labels).double().mean().item(), loss


def _compare(small: MLP, wide: MLP, split: Split) -> dict[str, float | int]:
    """How a construction of Section 2.3 relates to the network it was built from, over a split.

    `output_difference` is the largest difference of an output, relative to the largest output; `removable_units` how
    many units can be dropped, each alone, with every label unchanged; `unchanged_without_added` the proportion of
    unchanged labels when all units that the construction added are dropped.
    """
    inputs = Inputs((split.inputs,), {})
    units = wide.output.in_features
    added = list(range(small.output.in_features, units))
    with untouched(wide):
        network = Network(wide, inputs)
        layer = network.layers[0]
        run = network.run(inputs)
        alone = [torch.equal(labels_without(network, layer, run, [unit]), run.labels) for unit in range(units)]
        unchanged = labels_without(network, layer, run, added) == run.labels
        output, intact = wide(split.inputs), small(split.inputs)
    return {
        "output_difference": ((output - intact).abs().max() / intact.abs().max()).item(),
        "removable_units": sum(alone),
        "unchanged_without_added": unchanged.double().mean().item(),
    }
