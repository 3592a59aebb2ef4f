"""From a trained network to a trial's outcome: accuracies, the two measures, and the files to keep."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn

from widthwise.data.dataset import Dataset, Inputs, Split
from widthwise.execution.compressibility import TEST_EXAMPLES, TRAINING_EXAMPLES, compressibility
from widthwise.execution.constructed import constructed
from widthwise.experiments.store import Outcome
from widthwise.experiments.trial import Trial
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.networks.cost import parameters
from widthwise.networks.own_network import OwnNetwork, logits_of
from widthwise.tracing.predicted_labels import Predict
from widthwise.training.evaluation import evaluate
from widthwise.training.trained_network import Parameters, TrainedNetwork

DEGENERATE_SHARE = 0.99
"""A network that predicts one label for a larger share of the test inputs has collapsed; its measures mean nothing."""
KEPT = ("layers", "removability", "ablation", "correlation", "similarity", "units")
"""The tables of a profile that a trial keeps."""
TRAINING_EXAMPLES_EVALUATED = 50_000
"""The training accuracy is computed over at most this many examples."""


@dataclass(frozen=True)
class SplitInputs:
    """The inputs of a split as batches that can be read repeatedly, in a form that `profile` takes.

    limit: the number of examples, evenly spaced; None: all.
    """

    split: Split
    batch_size: int
    limit: int | None = None

    def __iter__(self) -> Iterator[tuple[Inputs]]:
        for inputs, _ in self.split.batches(self.batch_size, self.limit):
            yield (inputs,)


@torch.no_grad()
def outcome(
    trial: Trial, dataset: Dataset, network: nn.Module, trained: TrainedNetwork, seconds: float, batch_size: int
) -> Outcome:
    """The outcome of a trial: the results of training, and the measures of the trained network over the test set.

    Args:
        trial: the trial that was run.
        dataset: its data.
        network: the trial's as it was before training, on the device to measure on; the trained parameters are loaded
            into it.
        trained: the result of training.
        seconds: the time that training took.
        batch_size: the number of examples to predict at once.
    """
    results: dict[str, float | int | bool] = {
        "parameters": parameters(network),
        "epochs": len(trained.history["epoch"]),
        "kept_epoch": trained.epoch,
        "training_seconds": seconds,
    }
    history = pd.DataFrame(trained.history).astype({"epoch": "int64"})
    started = time.perf_counter()
    diverged = trained.status == "diverged"
    measured, initial = network, {name: value.clone() for name, value in network.state_dict().items()}
    if not diverged:
        network.load_state_dict(trained.parameters)
        if trial.construction is not None:
            measured, compared = constructed(network, trial.construction, dataset, trial.seed)
            results |= {"parameters": parameters(measured), **compared}
        accuracies = _accuracies(measured, dataset, batch_size)
        diverged = accuracies is None
        results |= accuracies or {}
    if trial.data.on_disk:
        results["damaged_images"] = len(_note_damaged(dataset, trained))
    if diverged:
        results["measuring_seconds"] = time.perf_counter() - started
        return Outcome("diverged", results, {"history": history}, data=dataset.description)

    test = SplitInputs(dataset.test, batch_size)
    profiled = _profiled(trial, measured, test, initial if trial.construction is None else None)
    results["most_frequent_label_share"] = profiled.most_frequent_label_share
    results["degenerate"] = profiled.most_frequent_label_share > DEGENERATE_SHARE
    tables = {"history": history, **{name: getattr(profiled, name) for name in KEPT}}
    if trial.compressibility:
        sizes, reason = _compressibility(trial, measured, dataset, batch_size)
        results |= sizes
        tables |= reason
    state = _arrays(measured.state_dict())
    if trained.damaged:
        tables["damaged"] = pd.DataFrame(sorted(trained.damaged.items()), columns=["image", "reason"])
    if trained.kept:
        tables |= _measured_epochs(trial, dataset, network, trained.kept, initial, batch_size)
    kept = {epoch: _arrays(each) for epoch, each in trained.kept.items()}
    results["measuring_seconds"] = time.perf_counter() - started
    return Outcome("trained", results, tables, state, kept, dataset.description)


def _profiled(trial: Trial, network: nn.Module, inputs: SplitInputs, initial: Parameters | None) -> Profile:
    """The profile of a trial's network; `initial` is missing where the network was not trained itself."""
    predict = predicted_by(trial)
    return profile(network, inputs, settings=trial.measurement, predict=predict, seed=trial.seed, initial=initial)


def _compressibility(
    trial: Trial, network: nn.Module, dataset: Dataset, batch_size: int
) -> tuple[dict[str, float | int | bool], dict[str, pd.DataFrame]]:
    """How small the network can be made, or why it cannot."""
    train = SplitInputs(dataset.train, batch_size, TRAINING_EXAMPLES)
    test = SplitInputs(dataset.test, batch_size, TEST_EXAMPLES)
    return compressibility(network, train, test, predicted_by(trial), trial.seed)


def predicted_by(trial: Trial) -> Predict | None:
    """The scores in the output of a trial's network, for `profile`; None: as it finds them."""
    return logits_of if isinstance(trial.network, OwnNetwork) else None


def _accuracies(network: nn.Module, dataset: Dataset, batch_size: int) -> dict[str, float] | None:
    """Accuracy and loss over each split; None where a loss is not finite."""
    found: dict[str, float] = {}
    for name, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        limit = TRAINING_EXAMPLES_EVALUATED if name == "train" else None
        accuracy, loss = evaluate(network, split, batch_size, limit)
        if not math.isfinite(loss):
            return None
        found |= {f"{name}_accuracy": accuracy, f"{name}_loss": loss}
    return found


def _arrays(parameters: Parameters) -> dict[str, np.ndarray]:
    """Parameters as safetensors needs them: it writes memory as it is, ignoring the order of the dimensions."""
    return {name: value.cpu().contiguous().numpy() for name, value in parameters.items()}


def _note_damaged(dataset: Dataset, trained: TrainedNetwork) -> dict[str, str]:
    """The images that could not be decoded: those met while measuring are added to those met in training."""
    for split in (dataset.train, dataset.validation, dataset.test):
        trained.damaged |= split.damaged
    return trained.damaged


def _measured_epochs(
    trial: Trial,
    dataset: Dataset,
    network: nn.Module,
    kept: dict[int, Parameters],
    initial: Parameters,
    batch_size: int,
) -> dict[str, pd.DataFrame]:
    """The tables `layers` and `removability` of each kept epoch, with the epoch and its test accuracy (Fig. B2)."""
    test = SplitInputs(dataset.test, batch_size)
    layers, removability = [], []
    for epoch, parameters_then in sorted(kept.items()):
        network.load_state_dict(parameters_then)
        accuracy, _ = evaluate(network, dataset.test, batch_size)
        profiled = _profiled(trial, network, test, initial)
        layers.append(profiled.layers.assign(epoch=epoch, test_accuracy=accuracy))
        removability.append(profiled.removability.assign(epoch=epoch))
    return {
        "epochs": pd.concat(layers, ignore_index=True),
        "epochs_removability": pd.concat(removability, ignore_index=True),
    }
