"""The tables of a profile, from the numbers that the passes collected for each layer."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from widthwise.measurement.curves import ALL_LAYERS
from widthwise.measurement.measured import Measured, MeasuredLayer
from widthwise.measurement.removability import ablation_table, deviation, removability_table
from widthwise.measurement.repetition import HISTOGRAM_BINS, Repetition
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.measurement.units import units_table

PAIR_COLUMNS = ["layer", "unit", "other", "r", "r_squared", "slope", "intercept"]


def profile_tables(measured: Measured) -> Profile:
    """The profile that results from what was measured."""
    measured = measured.without_unreached()
    settings, thresholds = measured.settings, measured.settings.reported_thresholds
    names = [layer.name for layer in measured.layers]
    summaries = [layer.summary(settings) for layer in measured.layers]
    repetitions = [summary.samplings for summary in summaries]
    frequencies = measured.labels.compute()
    labels = int(frequencies.sum())
    classes = measured.classes or max(2, len(frequencies))
    units = [
        units_table(
            *(layer.name, layer.statistics, summary.nearest, layer.outgoing_weights, layer.incoming, layer.single),
            settings,
        )
        for layer, summary in zip(measured.layers, summaries, strict=True)
    ]
    pairs = [summary.pairs.assign(layer=name) for name, summary in zip(names, summaries, strict=True)]
    removability = removability_table(measured, classes)
    return Profile(
        layers=layers_table(measured.layers, removability, repetitions, units, settings),
        ablation=ablation_table(measured, labels),
        removability=removability,
        correlation=correlation_table(names, repetitions),
        similarity=similarity_table(names, repetitions, thresholds),
        units=pd.concat(units, ignore_index=True),
        pairs=pd.concat(pairs)[PAIR_COLUMNS].reset_index(drop=True),
        examples=measured.examples,
        most_frequent_label_share=frequencies.max().item() / labels,
        about={
            **measured.network,
            "classes": classes,
            "labels": labels,
            "settings": {name: _plain(value) for name, value in asdict(settings).items()},
            "seed": measured.seed,
        },
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def layers_table(
    layers: list[MeasuredLayer],
    removability: pd.DataFrame,
    repetitions: list[list[Repetition]],
    units: list[pd.DataFrame],
    settings: Measurement,
) -> pd.DataFrame:
    """`layers`: one row for each layer, with means over samplings and their standard deviations."""
    first = removability[(removability["protocol"] == settings.protocols[0]) & (removability["layer"] != ALL_LAYERS)]
    chosen = settings.reported_thresholds.index(settings.threshold)
    similarities = [np.array([result.similarity[chosen] for result in results]) for results in repetitions]
    return pd.DataFrame(
        {
            "layer": [layer.name for layer in layers],
            "units": [layer.units for layer in layers],
            **{name: first[name].to_numpy() for name in ("auc", "auc_std", "auc_corrected", "auc_corrected_std")},
            "similarity": [similarity.mean() for similarity in similarities],
            "similarity_std": [deviation(similarity) for similarity in similarities],
            "dead_fraction": [table["constant"].mean() for table in units],
            "similarity_std_units": [np.mean([each.deviation[chosen] for each in results]) for results in repetitions],
            "similarity_reference": [
                np.mean([each.similarity[chosen] - each.constant_share for each in results]) for results in repetitions
            ],
            "redundancy_pca": [np.mean([each.redundancy for each in results]) for results in repetitions],
            "dormant_share": [_mean(table["dormant"]) for table in units],
            "rarely_active_share": [_mean(table["rarely_active"]) for table in units],
            "condensed_share": [_mean(table["aligned_units"] > 0) for table in units],
            "weight_change": [_mean(table["weight_change"]) for table in units],
        }
    )


def _mean(column: pd.Series) -> float:
    """The mean of what is not missing; NaN if all is."""
    return float(np.mean(known)) if len(known := column.dropna().to_numpy(float)) else math.nan


def correlation_table(names: list[str], repetitions: list[list[Repetition]]) -> pd.DataFrame:
    """`correlation`: one row for each layer, sampling and bin of |r|."""
    samplings = len(repetitions[0])
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * HISTOGRAM_BINS),
            "sampling": np.tile(np.repeat(np.arange(samplings), HISTOGRAM_BINS), len(names)),
            "low": np.tile(edges[:-1], len(names) * samplings),
            "high": np.tile(edges[1:], len(names) * samplings),
            "pairs": np.concatenate([result.histogram for results in repetitions for result in results]),
        }
    )


def similarity_table(
    names: list[str], repetitions: list[list[Repetition]], thresholds: Sequence[float]
) -> pd.DataFrame:
    """`similarity`: one row for each layer, sampling and threshold."""
    samplings = len(repetitions[0])
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * len(thresholds)),
            "sampling": np.tile(np.repeat(np.arange(samplings), len(thresholds)), len(names)),
            "threshold": np.tile(thresholds, len(names) * samplings),
            "similarity": np.concatenate([result.similarity for results in repetitions for result in results]),
        }
    )
