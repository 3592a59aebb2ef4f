"""A finished trial's network, its data, and the inputs that it was measured on."""

from collections.abc import Iterable

import torch
from torch import nn

from widthwise.errors import RequestError
from widthwise.execution.datasets import load_dataset
from widthwise.execution.machine import Machine
from widthwise.execution.outcome import SplitInputs
from widthwise.execution.trainer import trainer_for
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial
from widthwise.networks.build import build_initialized
from widthwise.wording import listed


def load_trained(
    store: Store, identity: str, machine: Machine = Machine(), trust_code: bool = False
) -> tuple[Trial, nn.Module, Iterable]:
    """The network that a finished trial measured, and its test set in batches, as `profile` takes them.

    Args:
        store: the store that holds it.
        identity: the trial's id.
        machine: files and devices.
        trust_code: run the code that the trial itself holds, of a user's own network or data.

    Raises:
        FileNotFoundError, ValueError: the store does not hold it complete.
        RequestError: the trial's images are not those that `machine` names, or it holds code that is not trusted.
    """
    trial = store.trial(identity)
    code = sorted({file for part in (trial.network, trial.data) for file in getattr(part, "code", {})})
    if code and not trust_code:
        raise RequestError(
            f"the trial {identity} holds code of its own ({listed(code)}), which is run only if you trust it",
            field="trust_code",
        )
    dataset = load_dataset(trial.data, machine, store)
    parameters = {name: torch.from_numpy(value) for name, value in store.network(identity).items()}
    description = trial.network
    if trial.construction is not None and trial.construction != "small":
        description = description.model_copy(update={"width_factor": 2 * description.width_factor})
    network = build_initialized(description, trial.initialization, dataset.shape, dataset.classes, trial.seed)
    network.load_state_dict(parameters)
    return trial, network, SplitInputs(dataset.test, trainer_for(trial).batch_size)
