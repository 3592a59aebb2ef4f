"""The cost of a trial's network. A user's own is tried on examples of its data, before anything is trained."""

import functools

import torch
from torch import nn

from widthwise.data.dataset import Inputs
from widthwise.data.examples import of_each
from widthwise.data.source import OwnData, Source
from widthwise.errors import RequestError
from widthwise.execution.datasets import extent, load_dataset
from widthwise.execution.machine import Machine
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement, Protocol
from widthwise.networks.build import build_initialized
from widthwise.networks.cost import EXAMPLES, Arithmetic, NetworkCost, arithmetic, cost_of, network_cost
from widthwise.networks.own_network import OwnNetwork, called, logits_of
from widthwise.networks.scheme import Initialization
from widthwise.wording import one_line


def trial_cost(trial: Trial, machine: Machine = Machine(), store: Store | None = None) -> NetworkCost:
    """The cost of a trial's network.

    Raises:
        RequestError: a user's own network cannot be trained or measured on its data, or that cannot be loaded.
    """
    if isinstance(trial.network, OwnNetwork):
        location = store and store.location
        return _cost_of_own(
            trial.network, trial.initialization, trial.data, trial.measurement.protocols, machine, location
        )
    data = extent(trial.data, machine, store)
    return network_cost(trial.network, data.shape, data.classes)


def trial_arithmetic(trial: Trial, machine: Machine = Machine()) -> Arithmetic:
    """The arithmetic of a trial's network, which is counted faster than all of its cost.

    Raises:
        RequestError: as for `trial_cost`.
    """
    if isinstance(trial.network, OwnNetwork):
        return trial_cost(trial, machine)
    data = extent(trial.data, machine)
    return arithmetic(trial.network, data.shape, data.classes)


@functools.lru_cache(maxsize=256)
def _cost_of_own(
    network: OwnNetwork,
    initialization: Initialization,
    source: Source,
    protocols: tuple[Protocol, ...],
    machine: Machine,
    location: str | None,
) -> NetworkCost:
    """The cost of a user's own network, counted on the first examples of its data, which it is tried on first."""
    store = None if location is None else Store(location)
    data = extent(source, machine, store)
    if isinstance(source, OwnData):
        inputs, _ = next(iter(load_dataset(source, machine, store).train.batches(EXAMPLES)))
        inputs = of_each(inputs, lambda part: part.cpu())
    else:
        assert isinstance(data.shape, tuple), "a user's own data alone has inputs of several parts"
        inputs = torch.zeros(EXAMPLES, *data.shape)
    module = build_initialized(network, initialization, data.shape, data.classes, seed=0)
    _try(network, module, inputs, data.classes, Measurement(levels=2, samplings=1, protocols=protocols))
    try:
        return cost_of(module, inputs)
    except Exception as error:  # whatever a user's own code raises
        problem = f"the network of {network.factory} cannot learn from its data ({one_line(error)})"
        raise RequestError(problem, field="network.factory") from error


def _try(network: OwnNetwork, module: nn.Module, inputs: Inputs, classes: int, settings: Measurement) -> None:
    """See that a network takes inputs, gives logits for all labels, and has layers that can be measured.

    Raises:
        RequestError: it does not.
    """
    whose = f"the network of {network.factory}"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = called(module.eval(), inputs)
    except Exception as error:  # whatever a user's own code raises
        problem = f"{whose} cannot take inputs of its data ({one_line(error)})"
        raise RequestError(problem, field="network.factory") from error
    try:
        logits = logits_of(output)
    except RequestError as error:
        raise RequestError(f"{whose} is unfit: {error.problem}", field="network.factory") from None
    examples = len(inputs if isinstance(inputs, torch.Tensor) else next(iter(inputs.values())))
    if len(logits) != examples or logits.shape[1] < classes:
        problem = f"{whose} gives logits of shape {tuple(logits.shape)} for {examples} examples of {classes} classes"
        raise RequestError(f"{problem}; ({examples}, {classes}) is right", field="network.factory")
    try:
        profile(module, [inputs], settings=settings, predict=logits_of)
    except RequestError as error:
        field = "measurement.protocols" if error.field == "protocols" else "network.layers"
        raise RequestError(f"{whose} cannot be measured: {error.problem}", field=field) from error
    except Exception as error:  # whatever a user's own code raises
        raise RequestError(f"{whose} cannot be measured ({one_line(error)})", field="network.layers") from error
