"""One experiment of a store, analyzed: every table that its figures, its verdict and its page are made from."""

from dataclasses import dataclass, field

import pandas as pd

from widthwise.analysis.constructions import compare
from widthwise.analysis.summary import (
    ablation_curves,
    correlation_distributions,
    layers_of_networks,
    measure_epochs,
    measure_networks,
    summarize,
    summarize_layers,
)
from widthwise.analysis.trainings import choose, collect, settings_of
from widthwise.analysis.verdict import verdicts
from widthwise.data.source import Source, TeacherData
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import PlannedTrial, Scale, Sweep
from widthwise.training.recipe import Recipe

TABLES = ("summary", "verdicts", "comparison", "layers", "networks", "runs", "settings", "ablation", "correlation")


@dataclass(frozen=True)
class Analysis:
    """An experiment at a scale, as tidy tables.

    runs: every run, also those that diverged or are missing.
    settings: all settings of every trial, a column each, named by their path.
    networks: the chosen networks with their measures, a row each.
    summary: means and deviations by series and width factor.
    layers: the same of each layer, in order of depth.
    ablation, correlation: curves and distributions by series, width factor and layer.
    verdicts: one row a series; empty where the sweep tests no trend.
    comparison: theory beside measurement, for the constructions of Section 2.3; empty otherwise.
    environment: where the chosen networks were trained.
    data: what they were trained and measured on, in words.
    series: the names of the series that were planned, in their order.
    version: a digest, where another version of the experiment was run into the store later.
    """

    sweep: Sweep
    scale: Scale
    runs: pd.DataFrame
    networks: pd.DataFrame
    series: list[str]
    settings: pd.DataFrame
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    ablation: pd.DataFrame = field(default_factory=pd.DataFrame)
    correlation: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparison: pd.DataFrame = field(default_factory=pd.DataFrame)
    environment: dict[str, str] = field(default_factory=dict)
    data: str = ""
    version: str = ""

    @property
    def name(self) -> str:
        """The experiment, its version where there is a later one, and its scale: `NAME.SCALE`, `NAME@DIGEST.SCALE`."""
        return f"{self.sweep.name}{f'@{self.version}' if self.version else ''}.{self.scale}"

    @property
    def label(self) -> str:
        """The experiment, and its version where there is a later one, in words."""
        return f"{self.sweep.name}{f' (earlier version {self.version})' if self.version else ''}"

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, those without rows left out."""
        return {name: table for name in TABLES if len(table := getattr(self, name))}


def analyze(store: Store, sweep: Sweep, scale: Scale, version: str = "") -> Analysis:
    """Everything that the store's finished trials say about a sweep."""
    planned = list(sweep.runs(scale))
    runs = collect(store, planned)
    settings = settings_of(planned)
    series = list(runs["series"].unique())
    if sweep.analysis == "parameters":
        counted = runs[runs["status"] == "counted"]
        return Analysis(
            sweep, scale, runs, counted, series, settings, summary=counted.reindex(columns=COUNTED), version=version
        )
    chosen = choose(runs)
    names = {}
    if sweep.analysis == "convergence":
        names = _names_of_epochs(planned[0].trial.training)
        series = list(names.values())
        chosen = chosen.assign(series=names[max(names)])
    if chosen.empty:
        return Analysis(sweep, scale, runs, chosen, series, settings, version=version)
    varied = {run.trial.id: layers for run in planned if (layers := run.trial.network.varied_layers) is not None}
    layers = layers_of_networks(chosen, store)
    at_end = measure_networks(chosen, layers, varied)
    networks = measure_epochs(chosen, store, varied, names) if names else at_end
    axes = sweep.at(scale)
    trend = sweep.analysis != "constructions"
    environments = _environments(chosen, planned, store)
    return Analysis(
        sweep,
        scale,
        runs,
        networks,
        series,
        settings,
        summary=summarize(networks),
        layers=summarize_layers(layers),
        ablation=ablation_curves(chosen, store, varied),
        correlation=correlation_distributions(chosen, store),
        verdicts=verdicts(networks, series, axes.widths, axes.replicates) if trend else pd.DataFrame(),
        comparison=pd.DataFrame() if trend else compare(networks),
        environment=next(iter(environments.values())),
        data="; ".join(sorted({_data(*pair) for pair in environments.items()})),
        version=version,
    )


COUNTED = ["series", "width_factor", "parameters", "forward_flops", "training_flops"]


def _names_of_epochs(recipe: Recipe) -> dict[int, str]:
    """What the epochs that a recipe keeps, counted from 1, are called, from the last to the first."""
    before = {epoch: recipe.epochs - epoch for epoch in sorted(recipe.kept_epochs, reverse=True)}
    return {
        epoch: f"{count} {'epoch' if count == 1 else 'epochs'} before the end" if count else "at the end"
        for epoch, count in before.items()
    }


def _environments(chosen: pd.DataFrame, planned: list[PlannedTrial], store: Store) -> dict[Source, dict[str, str]]:
    """Of each kind of data among the chosen trials, the environment of the first that was trained on it."""
    trials = {run.trial.id: run.trial for run in planned}
    kinds: dict[Source, str] = {}
    for identity in chosen["trial"]:
        kinds.setdefault(trials[identity].data.model_copy(update={"seed": 0}), identity)
    return {kind: store.environment(identity) for kind, identity in kinds.items()}


def _data(source: Source, environment: dict[str, str]) -> str:
    """Data in words, for captions."""
    if isinstance(source, TeacherData):
        size = f"{source.dimensions:,} dimensions, {source.train_examples:,} training and {source.test_examples:,} test"
        return f"teacher data of {size} examples"
    counts = {"training": source.train_examples, "test": source.test_examples}
    sizes = " and ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)
    return f"{environment['data']} ({sizes} images)" if sizes else environment["data"]
