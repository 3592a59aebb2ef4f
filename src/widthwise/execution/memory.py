"""Whether a training fits in memory, by counting."""

import math

from widthwise.errors import RequestError
from widthwise.execution.cost import trial_cost
from widthwise.execution.datasets import extent
from widthwise.execution.machine import Machine, available_memory
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial

BYTES = 4
"""Size of a number in float32."""
SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 2, "adam": 2, "adadelta": 2}
"""Numbers that an optimizer keeps for each parameter."""


def training_memory(
    trial: Trial, machine: Machine = Machine(), store: Store | None = None, examples: int | None = None
) -> int:
    """Bytes that training a network needs, by itself or as one member of a stack, counted, without the data.

    Args:
        trial: what is trained.
        machine, store: where the files are; they are read only where the trial does not say how large its data is.
        examples: whose gradient is computed at once; None: as the trial says.
    """
    recipe = trial.training
    cost, shape = trial_cost(trial, machine, store), extent(trial.data, machine, store).shape
    slots = SLOTS[recipe.optimizer]
    copies = 2 + slots + (1 if recipe.patience else 0)
    examples = examples or recipe.micro_batch_size or recipe.scaled_batch_size
    shapes = shape.values() if isinstance(shape, dict) else [shape]
    inputs = sum(map(math.prod, shapes)) * BYTES
    return copies * cost.parameters * BYTES + examples * (cost.kept_bytes + inputs)


def check_memory(trial: Trial, machine: Machine, store: Store | None = None) -> None:
    """See that a batch fits in memory, as far as can be known by counting.

    Raises:
        RequestError: it does not; the error's settings would. Or a user's own network or data is unfit.
    """
    recipe = trial.training
    together = machine.processes if machine.device == "cpu" else 1
    share = -(-recipe.scaled_batch_size // machine.processes)
    at_once = min(share, recipe.micro_batch_size or share)
    free = available_memory(machine.device)

    def needed(examples: int) -> int:
        return together * training_memory(trial, machine, store, examples)

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
