"""One experiment of a store, analyzed: from finished trials to every table."""

from dataclasses import replace

import pandas as pd

from widthwise.analysis.claims import with_claims
from widthwise.analysis.compressibility import RESULTS, compressed_sizes, with_compressibility
from widthwise.analysis.constructions import compare
from widthwise.analysis.experiment import Analysis, names_of_epochs
from widthwise.analysis.growth import growth
from widthwise.analysis.published import with_published
from widthwise.analysis.summary import (
    ablation_curves,
    correlation_distributions,
    layers_of_networks,
    measure_epochs,
    measure_networks,
    removability_of_networks,
    summarize,
    summarize_layers,
)
from widthwise.analysis.trainings import choose, collect, settings_of
from widthwise.analysis.verdict import verdicts
from widthwise.data.source import Source
from widthwise.experiments.axes import Axes
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import PlannedTrial, Scale, Sweep


def analyze(store: Store, sweep: Sweep, scale: Scale, version: str = "") -> Analysis:
    """The tables of a sweep, from the store's finished trials."""
    planned = list(sweep.runs(scale))
    runs = collect(store, planned)
    settings = settings_of(planned)
    series = list(runs["series"].unique())
    if sweep.analysis == "parameters":
        counted = runs[runs["status"] == "counted"]
        summary = counted.reindex(columns=COUNTED)
        return with_claims(Analysis(sweep, scale, runs, counted, series, settings, summary=summary, version=version))
    chosen = choose(runs)
    names = {}
    if sweep.analysis == "convergence":
        names = names_of_epochs(planned[0].trial.training)
        series = list(names.values())
        chosen = chosen.assign(series=names[max(names)]).drop(columns=[*RESULTS], errors="ignore")  # of the end alone
    else:
        chosen = with_compressibility(chosen, planned, store)
    analysis = Analysis(sweep, scale, runs, chosen, series, settings, version=version)
    if chosen.empty:
        return with_claims(analysis)
    varied = {run.trial.id: layers for run in planned if (layers := run.trial.network.varied_layers) is not None}
    samplings = {run.trial.id: run.trial.measurement.samplings for run in planned}
    removability = removability_of_networks(chosen, store)
    layers = layers_of_networks(chosen, removability, store)
    at_end = measure_networks(chosen, layers, removability, varied, samplings)
    networks = measure_epochs(chosen, store, varied, samplings, names) if names else at_end
    axes = sweep.at(scale)
    trend = sweep.analysis != "constructions"
    environments = _environments(chosen, planned, store)
    analysis = replace(
        analysis,
        networks=networks,
        summary=summarize(networks),
        layers=summarize_layers(layers),
        ablation=ablation_curves(chosen, store, varied),
        correlation=correlation_distributions(chosen, store),
        growth=growth(networks) if trend else pd.DataFrame(),
        verdicts=_verdicts(networks, series, axes) if trend else pd.DataFrame(),
        compressibility=compressed_sizes(chosen, series, axes.widths) if trend else pd.DataFrame(),
        comparison=pd.DataFrame() if trend else compare(networks[networks["protocol"] == "text"]),
        environment=next(iter(environments.values())),
        data="; ".join(sorted({source.in_words(found.get("data", "")) for source, found in environments.items()})),
    )
    return with_claims(with_published(analysis))


def _verdicts(networks: pd.DataFrame, series: list[str], axes: Axes) -> pd.DataFrame:
    """The verdicts under each protocol, one after the other."""
    tables = [
        verdicts(rows, series, axes.widths, axes.replicates).assign(protocol=protocol)
        for protocol, rows in networks.groupby("protocol", sort=False)
    ]
    found = pd.concat(tables, ignore_index=True)
    return found[["protocol", *found.columns.drop("protocol")]]


COUNTED = ["series", "width_factor", "parameters", "forward_flops", "training_flops"]


def _environments(chosen: pd.DataFrame, planned: list[PlannedTrial], store: Store) -> dict[Source, dict[str, str]]:
    """For each kind of data among the chosen trials, the environment of the first that was trained on it."""
    trials = {run.trial.id: run.trial for run in planned}
    kinds: dict[Source, str] = {}
    for identity in chosen["trial"]:
        kinds.setdefault(trials[identity].data.model_copy(update={"seed": 0}), identity)
    return {kind: store.environment(identity) for kind, identity in kinds.items()}
