"""Tests of whether a measure grows with width, and by how much, over replicates that are trained at every width.

A table here has a row for each replicate and a column for each width factor, in increasing order.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from widthwise.wording import signed

CONFIDENCE = 0.9
"""The confidence of intervals: the truth lies beyond either end in one case of twenty, as in a one-sided test at 5%."""

Table = Float[np.ndarray, "replicates widths"]
Widths = Float[np.ndarray, " widths"]


@dataclass(frozen=True)
class Estimate:
    """An effect with its standard error, from which an interval and tests follow by Student's t.

    value: the effect.
    error: its standard error.
    freedom: the degrees of freedom of the standard error.
    """

    value: float
    error: float
    freedom: int

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The lower and the upper end of the effect's two-sided interval."""
        reach = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    def in_words(self, form: str = ".3g") -> str:
        """The effect and its interval: `+0.12 [+0.04, +0.20]`."""
        return f"{signed(self.value, form)} [{', '.join(signed(end, form) for end in self.interval())}]"

    def times(self, factor: float) -> "Estimate":
        """The effect in another unit."""
        return Estimate(self.value * factor, self.error * abs(factor), self.freedom)

    def p_above(self, bound: float = 0.0) -> float:
        """The p-value of the effect being above `bound`, against its being there or below."""
        return self._p(self.value - bound)

    def p_below(self, bound: float = 0.0) -> float:
        """The p-value of the effect being below `bound`, against its being there or above."""
        return self._p(bound - self.value)

    def p_within(self, margin: float) -> float:
        """The p-value of equivalence: of the effect being within ±`margin`, by two one-sided tests."""
        return max(self.p_above(-margin), self.p_below(margin))

    def _p(self, distance: float) -> float:
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stats.t.sf(distance / self.error, self.freedom))


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


def slope_per_doubling(table: Table, widths: Widths, variances: Table | None = None) -> Estimate:
    """The mean slope over log2 of the width factor, in a population of replicates.

    The slopes of the replicates are independent, and whatever varies below them, from network to network, from sampling
    to sampling and from unit to unit, is in their spread already. So the interval is Student's t over replicates, as a
    mixed-effects model with an intercept and a slope for each replicate has it. A few slopes can be alike by chance:
    the variance is at least that of the measurement alone, which a bootstrap within each network would find.

    Args:
        table: 2 replicates or more.
        widths: the width factors, 2 or more.
        variances: for each entry of the table, its variance between samplings and units (`measurement_error`); None: 0.
    """
    slopes = _slopes(table, np.log2(widths))
    between = float(slopes.var(ddof=1))
    measured = 0.0 if variances is None else measured_variance(variances, widths)
    return Estimate(float(slopes.mean()), math.sqrt(max(between, measured) / len(table)), len(table) - 1)


def measured_variance(variances: Table, widths: Widths) -> float:
    """The variance of one replicate's slope per doubling, the mean over replicates, if its entries have these."""
    return float((variances @ _weights(np.log2(widths)) ** 2).mean())


def slope_of_means(means: Widths, widths: Widths) -> Estimate:
    """The slope per doubling of one line through a mean at each width, 3 or more.

    Its interval is that of a regression, by Student's t: it takes the distances from the line as noise.
    """
    doublings = np.log2(widths)
    centred = doublings - doublings.mean()
    slope = float(means @ _weights(doublings))
    residuals = means - means.mean() - slope * centred
    freedom = len(means) - 2
    return Estimate(slope, math.sqrt((residuals**2).sum() / freedom / (centred**2).sum()), freedom)


def mean_of(values: Float[np.ndarray, " replicates"]) -> Estimate:
    """The mean of independent values, 2 or more, in their population."""
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)), len(values) - 1)


def doublings_between(widths: Widths) -> float:
    """The number of doublings from the narrowest to the widest."""
    return float(np.log2(widths[-1] / widths[0]))


def _weights(doublings: Widths) -> Widths:
    """The weights of the values at each width in the least-squares slope."""
    centred = doublings - doublings.mean()
    return centred / (centred**2).sum()


def _slopes(table: Table, doublings: Widths) -> Float[np.ndarray, " replicates"]:
    return table @ _weights(doublings)
