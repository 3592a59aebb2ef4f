"""The tables of a profile, from what was gathered of each layer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from widthwise.measurement.ablation import AblationCounts, area_under_curve, corrected_for_chance
from widthwise.measurement.correlation import HISTOGRAM_BINS, Repetition
from widthwise.measurement.masks import dropped_counts
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layers import Layer


def layers_table(
    layers: list[Layer],
    ablations: list[AblationCounts],
    repetitions: list[list[Repetition]],
    thresholds: Sequence[float],
    units: list[pd.DataFrame],
    settings: Measurement,
    classes: int,
) -> pd.DataFrame:
    """`layers`: a row a layer, with means over samplings and their deviations."""
    areas = [area_under_curve(counts.shares()) for counts in ablations]
    corrected = [corrected_for_chance(area, settings.levels, classes) for area in areas]
    chosen = list(thresholds).index(settings.similarity_threshold)
    similarities = [np.array([result.similarity[chosen] for result in results]) for results in repetitions]
    return pd.DataFrame(
        {
            "layer": [layer.name for layer in layers],
            "units": [layer.units for layer in layers],
            "auc": [area.mean() for area in areas],
            "auc_std": [_deviation(area) for area in areas],
            "auc_corrected": [area.mean() for area in corrected],
            "auc_corrected_std": [_deviation(area) for area in corrected],
            "similarity": [similarity.mean() for similarity in similarities],
            "similarity_std": [_deviation(similarity) for similarity in similarities],
            "dead_fraction": [table["constant"].mean() for table in units],
        }
    )


def _deviation(samplings: np.ndarray) -> float:
    """The standard deviation between samplings; of one sampling there is none, so NaN."""
    return float(samplings.std(ddof=1)) if len(samplings) > 1 else float("nan")


def ablation_table(names: list[str], ablations: list[AblationCounts], settings: Measurement) -> pd.DataFrame:
    """`ablation`: a row for each layer, sampling and level."""
    samplings, levels = settings.samplings, settings.levels
    shares = np.linspace(0, 1, levels)
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * levels),
            "sampling": np.tile(np.repeat(np.arange(samplings), levels), len(names)),
            "share_dropped": np.tile(shares, len(names) * samplings),
            "units_dropped": np.concatenate(
                [np.tile(dropped_counts(counts.units, levels), samplings) for counts in ablations]
            ),
            "unchanged": np.concatenate([counts.shares().ravel() for counts in ablations]),
        }
    )


def correlation_table(names: list[str], repetitions: list[list[Repetition]]) -> pd.DataFrame:
    """`correlation`: a row for each layer, sampling and bin of |r|."""
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
    """`similarity`: a row for each layer, sampling and threshold."""
    samplings = len(repetitions[0])
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * len(thresholds)),
            "sampling": np.tile(np.repeat(np.arange(samplings), len(thresholds)), len(names)),
            "threshold": np.tile(thresholds, len(names) * samplings),
            "similarity": np.concatenate([result.similarity for results in repetitions for result in results]),
        }
    )
