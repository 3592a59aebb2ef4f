"""The main job from end to end: run a sweep into a store, and report on what the store holds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.execution.machine import Machine
from widthwise.execution.runner import run_trials
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Scale, Sweep
from widthwise.progress import OnProgress, unseen
from widthwise.reporting.report import Report, report


@dataclass(frozen=True)
class SweepResult:
    """What a call of `run` did.

    trained, found: trials trained in it, and those that the store held finished.
    damaged: trials that were damaged and run again, and what was wrong with each.
    seconds: that the trials took.
    report: of everything in the store: the page's path, and the tables.
    """

    trained: int
    found: int
    damaged: dict[str, str]
    seconds: float
    report: Report


def run(
    name: str | Sweep | Sequence[str | Sweep],
    scale: Scale = "paper",
    store: str | os.PathLike[str] = "runs",
    *,
    assignments: Sequence[str] = (),
    workers: int | None = None,
    machine: Machine = Machine(),
    on_progress: OnProgress = unseen,
) -> SweepResult:
    """Train and measure what `store` lacks of a sweep or of several, test the claim, and write the report.

    Args:
        name: an experiment of the catalogue, the path of a YAML file, or a sweep; or several of them, whose trainings
            share the processes.
        scale: `smoke` (seconds), `quick` (minutes) or `paper` (the paper's setting).
        store: a folder or an fsspec URL. What it already holds is not run again.
        assignments: fields of the trial, or axes, set as `PATH=VALUE`.
        workers: processes to train in; by default as many as there are processors.
        machine: where the images are, and the device to train on.
        on_progress: receives the progress of the sweep, of trainings in it, and damaged trials that are run again.

    Raises:
        RequestError: the request cannot be met as it is.
        TrialError: the work failed; what was finished stays in the store.
    """
    names = [name] if isinstance(name, (str, Sweep)) else name
    loaded = [each if isinstance(each, Sweep) else Sweep.load(each) for each in names]
    sweeps = [sweep.with_values(assignments) for sweep in loaded]
    trials = [trial for sweep in sweeps for trial in sweep.trials(scale)]
    target = Store(store)
    target.prepare()
    for sweep in sweeps:
        target.add_sweep(sweep, scale)
    result = run_trials(trials, target, workers, machine, on_progress)
    return SweepResult(result.trained, result.found, result.damaged, result.seconds, report(target))
