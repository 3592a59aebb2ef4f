"""The main job from end to end: run a sweep into a store, and report on what the store holds."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast, overload, runtime_checkable

import pandas as pd

from widthwise.errors import RequestError
from widthwise.experiments.machine import Machine
from widthwise.experiments.runner import RunResult, Step, run_trials
from widthwise.experiments.settings import assigned, nested, overlaid, resolved
from widthwise.experiments.store import Store, StoredSweep
from widthwise.experiments.sweep import Scale, Sweep
from widthwise.experiments.trial import Trial
from widthwise.reporting import paths
from widthwise.reporting.paths import DEFAULT_FORMATS, FORMATS, FileFormat
from widthwise.spreadsheet import from_csv


@dataclass(frozen=True)
class Report:
    """A written report: the page's path, and each experiment's tables by `EXPERIMENT.SCALE` and name."""

    page: str
    tables: dict[str, dict[str, pd.DataFrame]]


def run(
    name: str | Sweep | Sequence[str | Sweep],
    scale: Scale = "paper",
    store: str | os.PathLike[str] = "runs",
    *,
    assignments: Sequence[str] = (),
    workers: int | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_damage: Callable[[str, str], None] = lambda identity, reason: None,
    machine: Machine = Machine(),
) -> tuple[RunResult, Report]:
    """Train and measure what `store` lacks of a sweep or of several, test the claim, and write the report.

    Args:
        name: an experiment of the catalogue, the path of a YAML file, or a sweep; or several of them, whose trainings
            share the processes.
        scale: `smoke` (seconds), `quick` (minutes) or `paper` (the paper's setting).
        store: a folder or an fsspec URL. What it already holds is not run again.
        assignments: fields of the trial, or axes, set as `PATH=VALUE`.
        workers: processes to train in; by default as many as there are processors.
        on_step, on_damage: told of progress, and of damaged trials that are run again.
        machine: where the images are, and the device to train on.

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
    result = run_trials(trials, target, workers, on_step, on_damage, machine)
    return result, report(target)


@dataclass(frozen=True)
class Trained:
    """A trial that was trained and measured.

    trial, id: what was run, and its name in the store.
    folder: where the store keeps it.
    status: `trained` or `diverged`.
    results: single numbers, such as `test_accuracy`.
    history: a table with a row an epoch.
    layers: the two measures of each layer, as `Profile.layers`; empty if it diverged.
    found: whether the store had it already.
    """

    trial: Trial
    id: str
    folder: str
    status: str
    results: dict[str, float | int | bool]
    history: pd.DataFrame
    layers: pd.DataFrame
    found: bool


GIVEN_OTHERWISE = {"network.name": "the command's argument", "network.width_factor": "--width", "seed": "--seed"}


def single_trial(network: str, width: float = 1.0, assignments: Sequence[str] = (), seed: int = 0) -> Trial:
    """The trial that trains one network as the paper does, but for what is set as `PATH=VALUE`.

    Raises:
        RequestError: there is no such network, or an assignment is malformed, names no field or does not fit.
    """
    content: dict[str, Any] = {"network": {"name": network, "width_factor": width}, "seed": seed}
    for path, value in assigned(assignments).items():
        if path in GIVEN_OTHERWISE:
            raise RequestError(f"--set {path}: it is given as {GIVEN_OTHERWISE[path]}, not with --set")
        content = overlaid(content, nested(path, value))
    content = overlaid({"data": {"seed": content["seed"]}}, content)
    return resolved(content, "--set" if assignments else f"the network {network!r}")


def train(
    network: str | Trial,
    width: float = 1.0,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    store: str | os.PathLike[str] = "runs",
    *,
    assignments: Sequence[str] = (),
    seed: int = 0,
    machine: Machine = Machine(),
    on_moment: Callable[[Any], None] | None = None,
) -> Trained:
    """Train and measure one network as the paper does, or go on with it where it was interrupted.

    Args:
        network: `mlp`, `alexnet`, `resnet56`, `resnet18` or `inception-v3`; or a trial of one's own.
        width: the width factor.
        data: where the images are, a path or `hub:OWNER/NAME`; or several such words (`Machine.data`). A perceptron
            needs none.
        store: a folder or an fsspec URL. A trial that it holds finished is not run again.
        assignments: fields of the trial, set as `PATH=VALUE`, such as `training.epochs=20`.
        seed: of the initial weights, the order of examples and the measurement's draws, and of the data.
        machine: the device, and how many processes share it.
        on_moment: told of progress (`training.train.Moment`); with several processes in one of them, so that it must
            be picklable.

    Raises:
        RequestError: the request cannot be met as it is.
        TrialError: the work failed; the same call goes on from the last checkpoint.
    """
    trial = network if isinstance(network, Trial) else single_trial(network, width, assignments, seed)
    if trial.training.epochs == 0:
        raise RequestError(
            "with training.epochs=0 there is nothing to train; a dry run counts parameters and arithmetic"
        )
    target = Store(store)
    target.prepare()
    if data is not None:
        words = [data] if isinstance(data, (str, os.PathLike)) else data
        machine = replace(machine, data=tuple(os.fspath(word) for word in words))
    done = run_trials([trial], target, workers=0, machine=machine, on_moment=on_moment)
    outcome = target.inspect([trial]).finished[trial.id]
    trained = outcome["status"] == "trained"
    return Trained(
        trial=trial,
        id=trial.id,
        folder=target.path(f"trials/{trial.id}"),
        status=outcome["status"],
        results=outcome["results"],
        history=target.table(trial.id, "history"),
        layers=target.table(trial.id, "layers") if trained else pd.DataFrame(),
        found=done.found == 1,
    )


@runtime_checkable
class WithPage(Protocol):
    """What can be drawn as a page by itself: a profile."""

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str: ...


@overload
def report(source: WithPage, path: str | os.PathLike[str]) -> str: ...


@overload
def report(source: str | os.PathLike[str] | Store, *, formats: Sequence[FileFormat] = DEFAULT_FORMATS) -> Report: ...


def report(
    source: str | os.PathLike[str] | Store | WithPage,
    path: str | os.PathLike[str] | None = None,
    *,
    formats: Sequence[FileFormat] = DEFAULT_FORMATS,
) -> Report | str:
    """Write the page of a profile to `path`, or the report of everything that was run into a store.

    With a path that ends in .png, .svg or .pdf only the page's figure is written.
    A store's report lies in the store, with each figure in `formats` beside the page; what of it is up to date already
    is left as it is.

    Returns: the path of a profile's page, or the store's report.

    Raises:
        RequestError: nothing was run into the store.
    """
    if isinstance(source, (str, os.PathLike, Store)):
        return _report_store(source if isinstance(source, Store) else Store(source), formats)
    if path is None:
        raise RequestError('where should the page be written? Give a path: report(profile, "profile.html")')
    suffix = Path(path).suffix[1:].lower()
    if suffix in FORMATS:
        from widthwise.reporting.profile_page import draw_profile

        draw_profile(cast(Any, source), path, suffix)
    else:
        source.to_html(path)
    return os.fspath(path)


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of the paper from one experiment at one scale.

    name: such as `6a`.
    experiment: `EXPERIMENT.SCALE`.
    paths: its files.
    left_out: the series of which nothing was run. Where that is all of them there are no files.
    """

    name: str
    experiment: str
    paths: list[str]
    left_out: list[str]


def draw(
    store: str | os.PathLike[str] | Store, figures: Sequence[str], formats: Sequence[FileFormat] = DEFAULT_FORMATS
) -> list[DrawnFigure]:
    """Draw figures of the paper by name (`6` is 6a and 6b) from what was run into a store, and nothing else.

    Raises:
        RequestError: the paper has no such figure, or nothing of the experiment that makes it was run into the store.
    """
    from widthwise.analysis.experiment import analyze
    from widthwise.reporting.figures import figures as figures_of
    from widthwise.reporting.figures import numbered
    from widthwise.reporting.write import write_figure

    source = store if isinstance(store, Store) else Store(store)
    sweeps = _sweeps_of(source)
    drawn: list[DrawnFigure] = []
    analyzed = functools.cache(lambda place: analyze(source, *sweeps[place]))
    for wanted in figures:
        for experiment, names in numbered(wanted).items():
            found = [place for place, stored in enumerate(sweeps) if stored.sweep.name == experiment]
            if not found:
                raise RequestError(
                    f"figure {wanted} is made by {experiment}, and nothing of it was run into {source.location}; "
                    f"widthwise run {experiment} --store {source.location} does that"
                )
            for analysis in map(analyzed, found):
                for figure in (each for each in figures_of(analysis) if each.name in names):
                    paths = write_figure(source, analysis, figure, formats) if figure.shown(analysis) else []
                    drawn.append(DrawnFigure(figure.name, analysis.name, paths, figure.left_out(analysis)))
    return drawn


def _sweeps_of(source: Store) -> list[StoredSweep]:
    sweeps = source.sweeps() if source.exists else []
    if not sweeps:
        raise RequestError(
            f"the store {source.location} holds no experiment; widthwise run NAME --store {source.location} fills it"
        )
    return sweeps


def _report_store(source: Store, formats: Sequence[FileFormat]) -> Report:
    sweeps = _sweeps_of(source)
    stamp = _stamp(source, sweeps, formats)
    reported = _read(source, stamp, formats)
    if reported is not None:
        return reported

    # SciPy and the drawing code, not needed when nothing is new
    from widthwise.analysis.experiment import analyze
    from widthwise.reporting.write import write

    page, analyses = write(source, (analyze(source, *stored) for stored in sweeps), formats)
    tables = {each.name: each.tables() for each in analyses}
    content = {"stamp": stamp, "tables": {key: list(value) for key, value in tables.items()}}
    source.write(paths.STAMP, json.dumps(content).encode())
    return Report(page, tables)


def _stamp(store: Store, sweeps: Sequence[StoredSweep], formats: Sequence[FileFormat]) -> str:
    """A digest of all that a report is made from: the program's version, the sweeps, and their trials' outcomes."""
    from importlib.metadata import version

    digest = hashlib.sha256(json.dumps([version("widthwise"), sorted(formats)]).encode())
    for sweep, scale, other in sweeps:
        outcomes = store.outcome_digests(sweep.trials(scale))
        digest.update(json.dumps([sweep.model_dump(mode="json"), scale, other, outcomes], sort_keys=True).encode())
    return digest.hexdigest()


def _read(store: Store, stamp: str, formats: Sequence[FileFormat]) -> Report | None:
    """The report that is already there, if it was made from just what `stamp` says and is whole."""
    try:
        found = json.loads(store.read(paths.STAMP))
        if found["stamp"] != stamp:
            return None
        store.read(paths.PAGE)
        drawn = [name.rpartition("/") for name in json.loads(store.read(paths.FIGURES))]
        files = [paths.figure(experiment, name, each) for experiment, _, name in drawn for each in formats]
        if not all(map(store.has, files)):
            return None
        tables = {
            key: {name: from_csv(store.read(paths.table(key, name))) for name in names}
            for key, names in found["tables"].items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return Report(store.path(paths.PAGE), tables)
