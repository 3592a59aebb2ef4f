"""The main job from end to end: run a sweep into a store, and report on what the store holds."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from widthwise.execution.machine import Machine
from widthwise.execution.runner import run_trials
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Scale, Sweep
from widthwise.progress import OnProgress, unseen
from widthwise.reporting.report import Report, check_figures_and_claims, report


@dataclass(frozen=True)
class SweepResult:
    """The result of a call of `run`.

    experiments: `NAME.SCALE` of each sweep that was run, under which `report.tables` has its tables.
    trained, found: number of trials that were trained, and number that the store already held.
    damaged: trials that were damaged and are run again: by id, what was wrong with each.
    seconds: the time that the trials took.
    report: the report on everything in the store: the page's path, and the tables.
    """

    experiments: tuple[str, ...]
    trained: int
    found: int
    damaged: dict[str, str]
    seconds: float
    report: Report


def run(
    sweep: str | Sweep | Sequence[str | Sweep],
    scale: Scale = "paper",
    store: str | os.PathLike[str] = "runs",
    *,
    recipe: str | None = None,
    settings: Mapping[str, object] = {},
    workers: int | None = None,
    machine: Machine = Machine(),
    on_progress: OnProgress = unseen,
) -> SweepResult:
    """Train and measure the trials of one or several sweeps that `store` lacks, test the claim, and write the report.

    Args:
        sweep: an experiment of the catalogue, the path of a YAML file, or a `Sweep`; or several of them, whose
            trainings share the processes.
        scale: `smoke` (seconds), `quick` (minutes) or `paper` (the paper's setting).
        store: a folder or an fsspec URL. What it already holds is not run again.
        recipe: one of each sweep's recipes, such as `authors-code`; None: the one that it has now, which is `paper` for
            one that is named.
        settings: axes by name and fields of the trial by path that are set at every scale, such as
            `{"replicates": 5, "training.epochs": 20}`. The sweep gets a name of its own.
        workers: processes to train in; None: as many as there are processors, or one on a GPU; 0: train in this
            process.
        machine: the location of the images, and the device to train on.
        on_progress: called whenever `trials` begin or end, and for each trial whose `damage` is found before it is run
            again; the `subject` says which.

    Returns: the counts of trials, and the report.

    Raises:
        RequestError: the request cannot be met as it is.
        TrialError: the work failed; finished trials stay in the store.
    """
    given = [sweep] if isinstance(sweep, (str, Sweep)) else sweep
    loaded = [each if isinstance(each, Sweep) else Sweep.load(each) for each in given]
    sweeps = [(each if recipe is None else each.with_recipe(recipe)).with_values(settings) for each in loaded]
    trials = [trial for each in sweeps for trial in each.trials(scale)]
    for each in sweeps:
        check_figures_and_claims(each)
    target = Store(store)
    target.prepare()
    for each in sweeps:
        target.add_sweep(each, scale)
    result = run_trials(trials, target, workers, machine, on_progress)
    names = tuple(f"{each.name}.{scale}" for each in sweeps)
    return SweepResult(names, result.trained, result.found, result.damaged, result.seconds, report(target))
