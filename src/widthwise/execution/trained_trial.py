"""A finished trial's network, its data, and the inputs that it was measured on."""

from collections.abc import Iterable

import torch
from torch import nn

from widthwise.execution.datasets import load_dataset
from widthwise.execution.machine import Machine
from widthwise.execution.outcome import SplitInputs
from widthwise.execution.trainer import trainer_for
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial
from widthwise.networks.build import build_initialized


def load_trained(store: Store, identity: str, machine: Machine = Machine()) -> tuple[Trial, nn.Module, Iterable]:
    """The network that a finished trial measured, and its test set in batches, as `profile` takes them.

    Raises:
        FileNotFoundError, ValueError: the store does not have it whole.
        RequestError: the trial's images are not those that `machine` names.
    """
    trial = store.trial(identity)
    dataset = load_dataset(trial.data, machine, store)
    parameters = {name: torch.from_numpy(value) for name, value in store.network(identity).items()}
    description = trial.network
    if trial.construction is not None and trial.construction != "small":
        description = description.model_copy(update={"width_factor": 2 * description.width_factor})
    network = build_initialized(description, trial.initialization, dataset.shape, dataset.classes, trial.seed)
    network.load_state_dict(parameters)
    return trial, network, SplitInputs(dataset.test, trainer_for(trial).batch_size)
