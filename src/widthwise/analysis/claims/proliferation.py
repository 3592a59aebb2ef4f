"""The kind of check of the 2021 version's claim: that units of no use proliferate where networks get wider."""

from typing import Literal

from widthwise.analysis.claims.claim import Check, Finding, Names
from widthwise.analysis.claims.measures import of_each, series_in_words
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.growth import factor_of
from widthwise.analysis.verdict import FEWEST_REPLICATES, SIGNIFICANCE
from widthwise.wording import probability

NOUNS = {"prunability": "units that can be pruned", "redundancy_pca": "redundant components"}


def proliferate(measure: Literal["prunability", "redundancy_pca"], series: Names = ()) -> Check:
    """The number of units of a kind grows with width: its factor per doubling is above 1, by Student's t over the
    logarithms of the replicates' factors. It disagrees where the factor is below 1.
    """

    def judge(analysis: Analysis, name: str) -> Finding:
        growth = factor_of(analysis.networks, name, measure, analysis.sweep.at(analysis.scale).widths)
        if growth is None:
            why = f"{name}: a factor needs {FEWEST_REPLICATES} replicates that are complete, with some such units"
            return Finding("cannot be told", why)
        p_value = growth.p_above()
        low, high = growth.interval()
        answer = "agrees" if p_value < SIGNIFICANCE else "disagrees" if high < 0 else "cannot be told"
        factor, least, most = (2**each for each in (growth.value, low, high))
        replicates = growth.freedom + 1
        evidence = (
            f"{name}: ×{factor:.3g} [{least:.3g}, {most:.3g}] per doubling, {probability(p_value)}, n = {replicates}"
        )
        return Finding(answer, evidence, p_value)

    return of_each(
        f"Agrees if the number of {NOUNS[measure]} is multiplied by more than 1 with every doubling of width, in the "
        f"geometric mean, for {series_in_words(series)} (one-sided t-test over replicates of the factor's logarithm, "
        f"p < {SIGNIFICANCE}); disagrees if the 90% interval lies below 1.",
        judge,
        series,
    )
