"""Tests of whether a measure grows with width, and by how much, over replicates that are trained at every width.

A table here has a row for each replicate and a column for each width factor, in increasing order.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

BOOTSTRAP_SEED = 0
CONFIDENCE = 0.95

Table = Float[np.ndarray, "replicates widths"]


@dataclass(frozen=True)
class Slope:
    """A change per doubling of width, with the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


def page_p_value(table: Table) -> float:
    """The p-value of Page's trend test: of no trend against an increase with width.

    It asks whether the ranks of the widths, taken within each replicate, follow their order.
    """
    return float(stats.page_trend_test(table).pvalue)


def smallest_page_p_value(replicates: int, widths: int) -> float:
    """The p-value that a perfect trend has: that of each replicate's ranks being in just this order by chance."""
    return (1 / math.factorial(widths)) ** replicates


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """The p-values corrected for their number by Holm's step-down method."""
    order = np.argsort(p_values)
    remaining = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * remaining), 1.0)
    return adjusted


def slope_per_doubling(table: Table, widths: Float[np.ndarray, " widths"]) -> Slope:
    """The mean slope over log2 of the width factor, with its bootstrap interval over replicates.

    Replicates were drawn independently, so they are drawn again. With few of them the interval cannot extend beyond the
    replicates' own slopes.
    """
    slopes = _slopes(table, np.log2(widths))
    if np.ptp(slopes) == 0:
        return Slope(float(slopes[0]), float(slopes[0]), float(slopes[0]))
    drawn = stats.bootstrap(
        (slopes,),
        np.mean,
        method="percentile",
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(BOOTSTRAP_SEED),
    )
    low, high = drawn.confidence_interval
    return Slope(float(slopes.mean()), float(low), float(high))


def change_over_widths(table: Table, widths: Float[np.ndarray, " widths"]) -> tuple[float, float]:
    """The change from the narrowest to the widest on a line over log2 of the width factor, and its lower bound.

    Each replicate has its own level and all have one slope; the bound is one-sided at 95%, from Student's t.
    """
    doublings = np.log2(widths)
    centred = doublings - doublings.mean()
    slopes = _slopes(table, doublings)
    fitted = table.mean(axis=1, keepdims=True) + slopes.mean() * centred
    freedom = table.size - len(table) - 1
    variance = ((table - fitted) ** 2).sum() / freedom
    error = np.sqrt(variance / (len(table) * (centred**2).sum()))
    reach = doublings[-1] - doublings[0]
    bound = slopes.mean() - stats.t.ppf(CONFIDENCE, freedom) * error
    return float(slopes.mean() * reach), float(bound * reach)


def _slopes(table: Table, doublings: Float[np.ndarray, " widths"]) -> Float[np.ndarray, " replicates"]:
    centred = doublings - doublings.mean()
    return table @ centred / (centred**2).sum()
