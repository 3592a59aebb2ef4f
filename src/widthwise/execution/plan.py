"""What runs would cost: parameters, arithmetic and memory counted, time estimated from a short timing here."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from widthwise.execution.machine import Machine, chosen_device
from widthwise.execution.memory import training_memory
from widthwise.execution.runner import default_workers
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial
from widthwise.training.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """Runs before they are run. Each pair is the least and the most of any trial.

    parameters: that are trained.
    forward_flops, training_flops: floating-point operations for one example, to predict, and to predict and find the
        gradient.
    memory: bytes that a process needs to train: parameters, gradients, the optimizer's state, the best network so far,
        and what is kept of a batch until its gradient is known; images in memory come besides.
    seconds: the time that the missing trials take on this machine; with early stopping, at most.
    """

    trials: int
    finished: int
    missing: int
    stacks: int
    workers: int
    parameters: tuple[int, int]
    forward_flops: tuple[int, int]
    training_flops: tuple[int, int]
    memory: tuple[int, int]
    seconds: float
    stops_early: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def plan(trials: Sequence[Trial], store: str, workers: int | None = None, machine: Machine = Machine()) -> Plan:
    """Count what `store` lacks of some trials and estimate what they cost on this machine.

    Of each kind of network (width, optimizer, data) a short training is timed: of a stack one of one epoch and one of
    two, with everything around them, on its own data; of a network for images a few steps and a measurement on random
    images, so that no files are needed. Nothing is written.

    Raises:
        RequestError: the store or the device is not usable.
    """
    from widthwise.execution.cohort import cohorts
    from widthwise.networks.cost import network_cost

    unique = {trial.id: trial for trial in trials}
    finished = Store(store).inspect(unique.values()).finished
    missing = [trial for identity, trial in unique.items() if identity not in finished]
    machine = replace(machine, device=chosen_device(machine.device, machine.processes))
    stacks = cohorts(missing)
    processors = os.cpu_count() or 1
    workers = default_workers(machine) if workers is None else max(workers, 1)
    together = min(workers, max(len(stacks), 1))
    costs = [network_cost(trial.network, trial.data.shape, trial.data.classes) for trial in unique.values()]
    seconds_by_kind: dict[tuple, float] = {}
    seconds = 0.0
    for stack in stacks:
        kind = (len(stack), stack[0].model_copy(update={"training": _at_any_rate(stack[0])}).cohort)
        if kind not in seconds_by_kind:
            seconds_by_kind[kind] = _time(stack, replace(machine, threads=max(1, processors // workers)))
        seconds += seconds_by_kind[kind]
    memory = [training_memory(trial) for trial in unique.values()]
    return Plan(
        trials=len(unique),
        finished=len(finished),
        missing=len(missing),
        stacks=len(stacks),
        workers=together,
        parameters=_range([cost.parameters for cost in costs]),
        forward_flops=_range([cost.forward_flops for cost in costs]),
        training_flops=_range([cost.training_flops for cost in costs]),
        memory=_range(memory),
        seconds=seconds / together,
        stops_early=any(trial.training.patience or trial.training.stop_at for trial in missing),
    )


def _range(values: Sequence[int]) -> tuple[int, int]:
    return (min(values), max(values)) if values else (0, 0)


def _at_any_rate(trial: Trial) -> Recipe:
    """Its recipe but for the learning rate, which changes no duration."""
    return trial.training.model_copy(update={"learning_rate": 1.0})


def _time(stack: Sequence[Trial], machine: Machine) -> float:
    """Seconds that training and measuring a stack takes."""
    if stack[0].training.epochs == 0:
        return 0.0
    if stack[0].data.name != "teacher":
        from widthwise.execution.timing import seconds_on_images

        return seconds_on_images(stack[0], machine)
    from widthwise.execution.cohort import run_cohort

    def short(epochs: int) -> float:
        trials = [
            trial.model_copy(update={"training": trial.training.model_copy(update={"epochs": epochs})})
            for trial in stack
        ]
        started = time.perf_counter()
        for _ in run_cohort(trials):
            pass
        return time.perf_counter() - started

    short(1)  # the first run of a shape traces it
    one, two = short(1), short(2)
    return one + max(two - one, 0.0) * (stack[0].training.epochs - 1)
