"""Repetition (Section 3, "Repeated Units"): how many other units resemble a unit, from the correlations of a layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from widthwise.measurement.correlation import Correlations, RunningCorrelation

HISTOGRAM_BINS = 50
LAST_VARIANCE = 0.05
"""The share of a layer's variance that the principal components counted as redundant together hold."""
ENTRIES_AT_A_TIME = 1 << 24


@dataclass(frozen=True)
class Repetition:
    """A summary of the correlations of one layer.

    similarity: for each threshold, the mean, over all units, of the number of *other* units with |r| of at least the
        threshold; a constant unit neither has nor is a similar unit. (Section 3)
    deviation: for each threshold, the standard deviation of that number between the layer's units.
    constant_share: the share of units that are constant.
    redundancy: the share of principal components of the activity that together hold the last 5% of its variance; NaN
        if all units are constant.
    histogram: the number of pairs of varying units with |r| in each of equally wide bins from 0 to 1.
    """

    similarity: tuple[float, ...]
    deviation: tuple[float, ...]
    constant_share: float
    redundancy: float
    histogram: Int[np.ndarray, " bins"]


def repetition(running: RunningCorrelation, correlations: Correlations, thresholds: Sequence[float]) -> Repetition:
    """Similarity and the distribution of |r|, from the correlations of a layer, which `running` computed."""
    units, constant = running.units, running.units - len(correlations.varying)
    counts = [_similar(correlations, threshold).double() for threshold in thresholds]
    counts = [torch.cat([count, count.new_zeros(constant)]) for count in counts]
    return Repetition(
        similarity=tuple(count.sum().item() / units for count in counts),
        deviation=tuple(count.std(correction=0).item() for count in counts),
        constant_share=constant / units,
        redundancy=redundant_components(running.covariance()) / units if constant < units else float("nan"),
        histogram=_histogram(correlations),
    )


def redundant_components(covariance: Float[Tensor, "units units"]) -> int:
    """The number of principal components that together hold the last 5% of the variance.

    It is the largest number of the smallest eigenvalues whose sum is at most 5% of the sum of all.
    """
    variances = torch.linalg.eigvalsh(covariance).clamp_min(0)  # in ascending order
    held = variances.cumsum(0) / variances.sum()
    return int((held <= LAST_VARIANCE).sum())


def nearest(correlations: Correlations, threshold: float) -> pd.DataFrame:
    """For each unit, the number of others that resemble it, the most similar one, and their r.

    The columns are `similar_units, most_similar, r`.

    The last two are missing for units that are constant or the only ones that vary.
    """
    table = pd.DataFrame(
        {"similar_units": 0, "most_similar": pd.array([pd.NA] * correlations.units, dtype="Int64"), "r": np.nan}
    )
    if len(correlations.varying) == 0:
        return table
    varying = correlations.varying.cpu().numpy()
    table.loc[varying, "similar_units"] = _similar(correlations, threshold).cpu().numpy()
    if len(varying) > 1:
        absolute = correlations.r.abs().fill_diagonal_(-1)
        most = absolute.argmax(1)
        table.loc[varying, "most_similar"] = varying[most.cpu().numpy()]
        table.loc[varying, "r"] = correlations.r.gather(1, most[:, None]).flatten().cpu().numpy()
    return table


def strongest_pairs(running: RunningCorrelation, correlations: Correlations, count: int) -> pd.DataFrame:
    """The pairs of units with the largest |r|, strongest first: `unit, other, r, r_squared, slope, intercept`.

    The best line is u_other = slope * u_unit + intercept, by which the pair could be merged (Section 2.2).
    """
    strongest = torch.zeros(0, dtype=torch.float64, device=correlations.r.device)
    rows = columns = torch.zeros(0, dtype=torch.long, device=correlations.r.device)
    for first, r in _parts(correlations.r):
        places = torch.triu_indices(*r.shape, offset=first + 1, device=r.device)
        found = r[places[0], places[1]]
        strongest = torch.cat([strongest, found])
        rows, columns = torch.cat([rows, places[0] + first]), torch.cat([columns, places[1]])
        chosen = strongest.abs().topk(min(count, len(strongest))).indices
        strongest, rows, columns = strongest[chosen], rows[chosen], columns[chosen]
    units, others = correlations.varying[rows], correlations.varying[columns]
    slope, intercept = running.regression(units, others, strongest)
    values = {"unit": units, "other": others, "r": strongest, "r_squared": strongest.square()}
    values |= {"slope": slope, "intercept": intercept}
    return pd.DataFrame({name: value.cpu().numpy() for name, value in values.items()})


def _similar(correlations: Correlations, threshold: float) -> Int[Tensor, " varying"]:
    """For each varying unit, the number of others that resemble it."""
    counts = [(r.abs() >= threshold).sum(1) for _, r in _parts(correlations.r)]
    return torch.cat(counts) - (correlations.r.diagonal() >= threshold).long()


def _histogram(correlations: Correlations) -> Int[np.ndarray, " bins"]:
    """The number of pairs with |r| in each bin."""
    counts = torch.zeros(HISTOGRAM_BINS, dtype=torch.long, device=correlations.r.device)
    for first, r in _parts(correlations.r):
        places = torch.triu_indices(*r.shape, offset=first + 1, device=r.device)
        bins = (r[places[0], places[1]].abs() * HISTOGRAM_BINS).long().clamp_max(HISTOGRAM_BINS - 1)
        counts += torch.bincount(bins, minlength=HISTOGRAM_BINS)
    return counts.cpu().numpy()


def _parts(r: Float[Tensor, "varying varying"]) -> Iterator[tuple[int, Tensor]]:
    """Some rows at a time, so that what is derived from them takes little memory; and the index of the first."""
    rows = max(1, ENTRIES_AT_A_TIME // max(1, len(r)))
    for first in range(0, max(1, len(r)), rows):
        yield first, r[first : first + rows]
