"""The cost of runs in advance: parameters, arithmetic and memory counted, time estimated from a short timing here."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from widthwise.execution.counting import is_counted
from widthwise.execution.machine import Machine, chosen_device
from widthwise.execution.runner import default_workers
from widthwise.execution.trainer import Cohort, cohorts, trainer_for
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial


@dataclass(frozen=True)
class Plan:
    """The cost of runs in advance. Each pair is the least and the most of any trial.

    trials, finished, missing: the number of trials, and of those that the store holds and lacks.
    stacks: the number of cohorts that the missing trials train in.
    workers: the number of processes that train at once.
    parameters: the number of trainable parameters.
    forward_flops, training_flops: floating-point operations for one example, to predict, and to predict and compute the
        gradient.
    memory: bytes that a process needs to train: parameters, gradients, the optimizer's state, the best network so far,
        and the values of a batch that its gradient needs; images in memory are not included.
    seconds: the time that the missing trials take on this machine; with early stopping, at most.
    stops_early: whether a training may stop early.
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


def plan(trials: Sequence[Trial], store: str, workers: int | None = None, machine: Machine = Machine()) -> Plan:
    """Count the trials that `store` lacks, and estimate their cost on this machine.

    Of each kind of cohort (network, width, data, all of the recipe except its learning rate) one is timed by its
    trainer. Nothing is written, and files of images are not needed.

    Raises:
        RequestError: the store or the device is not usable.
    """
    from widthwise.execution.cost import trial_cost  # PyTorch, without which the command line starts
    from widthwise.execution.memory import training_memory

    unique = {trial.id: trial for trial in trials}
    finished = Store(store).inspect(unique.values()).finished
    missing = [trial for identity, trial in unique.items() if identity not in finished]
    machine = replace(machine, device=chosen_device(machine.device, machine.processes))
    stacks = cohorts(missing, machine)
    processors = os.cpu_count() or 1
    workers = default_workers(machine) if workers is None else max(workers, 1)
    together = min(workers, max(len(stacks), 1))
    costs = [trial_cost(trial, machine) for trial in unique.values()]
    seconds = _seconds(stacks, replace(machine, threads=max(1, processors // workers)))
    return Plan(
        trials=len(unique),
        finished=len(finished),
        missing=len(missing),
        stacks=len(stacks),
        workers=together,
        parameters=_range([cost.parameters for cost in costs]),
        forward_flops=_range([cost.forward_flops for cost in costs]),
        training_flops=_range([cost.training_flops for cost in costs]),
        memory=_range([training_memory(trial, machine) for trial in unique.values()]),
        seconds=seconds / together,
        stops_early=any(trial.training.patience or trial.training.stop_at for trial in missing),
    )


def _seconds(stacks: Sequence[Cohort], machine: Machine) -> float:
    """Seconds for all cohorts, one after the other; those that differ only in the learning rate are timed once."""
    known: dict[tuple[int, str], float] = {}
    total = 0.0
    for stack in stacks:
        if is_counted(stack[0]):
            continue
        at_any_rate = stack[0].training.model_copy(update={"learning_rate": 1.0})
        kind = (len(stack), stack[0].model_copy(update={"training": at_any_rate}).cohort)
        if kind not in known:
            known[kind] = trainer_for(stack[0]).seconds(stack, machine)
        total += known[kind]
    return total


def _range(values: Sequence[int]) -> tuple[int, int]:
    return (min(values), max(values)) if values else (0, 0)
