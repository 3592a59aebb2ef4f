"""One experiment of a store, analyzed: every table that its figures, its verdict and its page are made from."""

from dataclasses import dataclass, field

import pandas as pd

from widthwise.analysis.constructions import compare
from widthwise.analysis.runs import choose, collect
from widthwise.analysis.summary import (
    ablation_curves,
    correlation_distributions,
    measure_networks,
    summarize,
)
from widthwise.analysis.verdict import verdicts
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Scale, Sweep


@dataclass(frozen=True)
class Analysis:
    """An experiment at a scale, as tidy tables.

    runs: every run, also those that diverged or are missing.
    networks: the chosen networks with their measures, a row each.
    summary: means and deviations by series and width factor.
    ablation, correlation: curves and distributions by series, width factor and layer.
    verdicts: one row a series; empty where the sweep tests no trend.
    comparison: theory beside measurement, for the constructions of Section 2.3; empty otherwise.
    environment: where the chosen networks were trained.
    """

    sweep: Sweep
    scale: Scale
    runs: pd.DataFrame
    networks: pd.DataFrame
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    ablation: pd.DataFrame = field(default_factory=pd.DataFrame)
    correlation: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparison: pd.DataFrame = field(default_factory=pd.DataFrame)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The experiment and its scale: `NAME.SCALE`."""
        return f"{self.sweep.name}.{self.scale}"

    @property
    def series(self) -> list[str]:
        """The series in the sweep's order."""
        return list(self.runs["series"].unique())

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, those without rows left out."""
        names = ("summary", "verdicts", "comparison", "networks", "runs", "ablation", "correlation")
        return {name: table for name in names if len(table := getattr(self, name))}


def analyze(store: Store, sweep: Sweep, scale: Scale) -> Analysis:
    """Everything that the store's finished trials say about a sweep."""
    runs = collect(store, sweep, scale)
    chosen = choose(runs)
    if chosen.empty:
        return Analysis(sweep, scale, runs, chosen)
    networks = measure_networks(chosen, store)
    axes = sweep.at(scale)
    trend = sweep.analysis == "trend"
    planned = list(runs["series"].unique())
    return Analysis(
        sweep,
        scale,
        runs,
        networks,
        summary=summarize(networks),
        ablation=ablation_curves(chosen, store),
        correlation=correlation_distributions(chosen, store),
        verdicts=verdicts(networks, planned, axes.widths, axes.replicates) if trend else pd.DataFrame(),
        comparison=pd.DataFrame() if trend else compare(networks),
        environment=store.environment(chosen["trial"].iloc[0]),
    )
