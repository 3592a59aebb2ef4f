"""From a trained network to a trial's outcome: accuracies, the two measures, and what is kept."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from widthwise.data.dataset import Dataset, Split
from widthwise.data.examples import ResidentExamples
from widthwise.experiments.store import Outcome
from widthwise.experiments.trial import Trial
from widthwise.measurement.ablation import labels_without
from widthwise.measurement.profile import profile
from widthwise.networks.construction import construct
from widthwise.networks.cost import parameters
from widthwise.networks.mlp import MLP
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched
from widthwise.training.evaluation import IMAGE_BATCH, evaluate
from widthwise.training.trained_network import Parameters, TrainedNetwork

DEGENERATE_SHARE = 0.99
"""A network that gives one label to a larger share of the test inputs has collapsed; its measures mean nothing."""
MEASUREMENT_BATCH = 1000
TRAINING_EXAMPLES_EVALUATED = 50_000
"""At most so many training examples are predicted again to tell how well a network fits them."""


@dataclass(frozen=True)
class SplitInputs:
    """The inputs of a split as batches that can be gone through again."""

    split: Split
    batch_size: int

    def __iter__(self) -> Iterator[tuple[Tensor]]:
        for inputs, _ in self.split.batches(self.batch_size):
            yield (inputs,)


def inputs_to_measure(dataset: Dataset) -> SplitInputs:
    """The test set, as `profile` takes it."""
    return SplitInputs(dataset.test, batch_size(dataset))


def batch_size(dataset: Dataset) -> int:
    """How many examples are predicted at once."""
    return MEASUREMENT_BATCH if isinstance(dataset.test, ResidentExamples) else IMAGE_BATCH


@torch.no_grad()
def outcome(trial: Trial, dataset: Dataset, network: nn.Module, fitted: TrainedNetwork, seconds: float) -> Outcome:
    """What a trial gave: the results of training, and the measures of the trained network over the test set.

    Args:
        trial: what was run.
        dataset: its data.
        network: one of the trial's architecture, on the device to measure on; it is given the trained parameters.
        fitted: what training gave.
        seconds: that training took.
    """
    results: dict[str, float | int | bool] = {
        "parameters": parameters(network),
        "epochs": len(fitted.history["epoch"]),
        "kept_epoch": fitted.epoch,
        "training_seconds": seconds,
    }
    description = dataset.description
    history = pd.DataFrame(fitted.history).astype({"epoch": "int64"})
    if fitted.status == "diverged":
        return Outcome("diverged", results | _damaged(dataset, fitted), {"history": history}, data=description)

    network.load_state_dict(fitted.parameters)
    measured = network
    if trial.construction is not None:
        assert isinstance(network, MLP)
        assert isinstance(dataset.train, ResidentExamples)
        assert isinstance(dataset.test, ResidentExamples)
        assert isinstance(dataset.train.inputs, Tensor)
        measured = construct(network, trial.construction, dataset.train.inputs, trial.seed)
        results |= {"parameters": parameters(measured), **_compare(network, measured, dataset.test)}
    for name, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        limit = TRAINING_EXAMPLES_EVALUATED if name == "train" else None
        accuracy, loss = evaluate(measured, split, batch_size(dataset), limit)
        if not math.isfinite(loss):
            return Outcome("diverged", results | _damaged(dataset, fitted), {"history": history}, data=description)
        results |= {f"{name}_accuracy": accuracy, f"{name}_loss": loss}
    results |= _damaged(dataset, fitted)
    profiled = profile(measured, inputs_to_measure(dataset), settings=trial.measurement, seed=trial.seed)
    results["most_frequent_label_share"] = profiled.most_frequent_label_share
    results["degenerate"] = profiled.most_frequent_label_share > DEGENERATE_SHARE
    tables = {
        "history": history,
        "layers": profiled.layers,
        "ablation": profiled.ablation,
        "correlation": profiled.correlation,
    }
    state = _arrays(measured.state_dict())
    if fitted.damaged:
        tables["damaged"] = pd.DataFrame(sorted(fitted.damaged.items()), columns=["image", "reason"])
    if fitted.kept:
        tables["epochs"] = _measured_epochs(trial, dataset, network, fitted.kept)
    kept = {epoch: _arrays(each) for epoch, each in fitted.kept.items()}
    return Outcome("trained", results, tables, state, kept, description)


def _arrays(parameters: Parameters) -> dict[str, np.ndarray]:
    """Parameters as safetensors takes them: it writes memory as it lies, whatever the order of the dimensions."""
    return {name: value.cpu().contiguous().numpy() for name, value in parameters.items()}


def _damaged(dataset: Dataset, fitted: TrainedNetwork) -> dict[str, int]:
    """How many images could not be decoded; those met while measuring are added to those met in training."""
    if isinstance(dataset.train, ResidentExamples):
        return {}
    for split in (dataset.train, dataset.validation, dataset.test):
        fitted.damaged |= split.damaged
    return {"damaged_images": len(fitted.damaged)}


def _measured_epochs(trial: Trial, dataset: Dataset, network: nn.Module, kept: dict[int, Parameters]) -> pd.DataFrame:
    """The table `layers` of each kept epoch, with the epoch and its test accuracy (Fig. B2)."""
    tables = []
    for epoch, parameters_then in sorted(kept.items()):
        network.load_state_dict(parameters_then)
        accuracy, _ = evaluate(network, dataset.test, batch_size(dataset))
        layers = profile(network, inputs_to_measure(dataset), settings=trial.measurement, seed=trial.seed).layers
        tables.append(layers.assign(epoch=epoch, test_accuracy=accuracy))
    return pd.concat(tables, ignore_index=True)


def _compare(small: MLP, wide: MLP, split: ResidentExamples) -> dict[str, float | int]:
    """How a construction of Section 2.3 relates to the network it was built from, over a split.

    `output_difference` is the largest difference of an output, relative to the largest output; `removable_units` how
    many units can be dropped, each alone, with every label unchanged; `unchanged_without_added` the proportion of
    unchanged labels when all units that the construction added are dropped.
    """
    assert isinstance(split.inputs, Tensor)
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
