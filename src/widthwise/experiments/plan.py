"""What a run would cost, from a short timing on this machine."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Scale, Sweep
from widthwise.experiments.trial import Trial
from widthwise.training.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """A sweep before it is run: how many trials are finished and missing, and the estimate for those missing."""

    trials: int
    finished: int
    missing: int
    stacks: int
    parameters: tuple[int, int]
    workers: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def plan(sweep: Sweep, scale: Scale, store: str, workers: int | None = None) -> Plan:
    """Count what `store` lacks of a sweep and estimate the time that it takes on this machine.

    Of each kind of network (width, optimizer, data) two short trainings of a stack are timed, of one epoch and of two,
    with everything around them; the epochs between are what the estimate multiplies. Nothing is written.

    Raises:
        RequestError: the sweep or the store is not usable.
    """
    from widthwise.experiments.cohort import cohorts, network_size, one_thread

    trials = {trial.id: trial for trial in sweep.trials(scale)}
    finished = Store(store).inspect(trials.values()).finished
    missing = [trial for identity, trial in trials.items() if identity not in finished]
    stacks = cohorts(missing)
    workers = (os.cpu_count() or 1) if workers is None else max(workers, 1)
    sizes = [network_size(trial.network, trial.data.dimensions).parameters for trial in trials.values()]
    seconds_by_kind: dict[tuple, float] = {}
    seconds = 0.0
    for stack in stacks:
        kind = (len(stack), stack[0].model_copy(update={"training": _at_any_rate(stack[0])}).cohort)
        if kind not in seconds_by_kind:
            with one_thread():
                seconds_by_kind[kind] = _time(stack)
        seconds += seconds_by_kind[kind]
    return Plan(
        trials=len(trials),
        finished=len(finished),
        missing=len(missing),
        stacks=len(stacks),
        parameters=(min(sizes), max(sizes)) if sizes else (0, 0),
        workers=min(workers, max(len(stacks), 1)),
        seconds=seconds / max(1, min(workers, len(stacks))),
    )


def _at_any_rate(trial: Trial) -> Recipe:
    """Its recipe but for the learning rate, which changes no duration."""
    return trial.training.model_copy(update={"learning_rate": 1.0})


def _time(stack: Sequence[Trial]) -> float:
    """Seconds that training and measuring a stack takes, from runs of one epoch and of two."""
    from widthwise.experiments.cohort import run_cohort

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
