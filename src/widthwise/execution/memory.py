"""Whether a training fits in memory, by counting."""

import math

from widthwise.data.dataset import Shape
from widthwise.errors import RequestError
from widthwise.execution.machine import Machine, available_memory
from widthwise.experiments.trial import Trial
from widthwise.networks.cost import network_cost

BYTES = 4
"""Size of a number in float32."""


def training_memory(trial: Trial, data: tuple[Shape, int], examples: int | None = None) -> int:
    """Bytes that training a network by itself needs, counted, without the data.

    Args:
        trial: the trial to train.
        data: the shape of one input, and the number of labels.
        examples: the number of examples whose gradient is computed at once; None: as the trial sets it.
    """
    recipe = trial.training
    cost = network_cost(trial.network, *data)
    slots = {"sgd": 0, "momentum": 1, "rmsprop": 2, "adam": 2}[recipe.optimizer]
    copies = 2 + slots + (1 if recipe.patience else 0)
    examples = examples or recipe.micro_batch_size or recipe.scaled_batch_size
    shapes = data[0].values() if isinstance(data[0], dict) else [data[0]]
    inputs = sum(map(math.prod, shapes)) * BYTES
    return copies * cost.parameters * BYTES + examples * (cost.kept_bytes + inputs)


def check_memory(trial: Trial, data: tuple[Shape, int], machine: Machine) -> None:
    """Check that a batch fits in memory, as far as can be known by counting.

    Raises:
        RequestError: it does not fit; with the error's `settings` it would.
    """
    recipe = trial.training
    together = machine.processes if machine.device == "cpu" else 1
    share = -(-recipe.scaled_batch_size // machine.processes)
    at_once = min(share, recipe.micro_batch_size or share)
    free = available_memory(machine.device)

    def needed(examples: int) -> int:
        return together * training_memory(trial, data, examples)

    if needed(at_once) <= free:
        return
    fitting = at_once
    while fitting > 1 and needed(fitting) > free:
        fitting //= 2
    network = f"{trial.network.called} at {trial.network.width_factor:g}x"
    problem = f"{network} needs {needed(at_once) / 1e9:.1f} GB for {at_once} examples at once"
    if needed(fitting) > free:
        raise RequestError(f"{problem}, {free / 1e9:.1f} GB are free, and one example alone does not fit")
    raise RequestError(
        f"{problem}, and {free / 1e9:.1f} GB are free; a batch can be computed in pieces",
        settings={"training.micro_batch_size": fitting},
    )
