"""The measures of the networks that count, in the form that checks of claims need."""

from collections.abc import Callable, Sequence
from typing import Literal

import pandas as pd

from widthwise.analysis import verdict
from widthwise.analysis.claims.claim import Answer, Check, Finding, Names, together
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.trend import Estimate, Table, Widths
from widthwise.analysis.verdict import FEWEST_REPLICATES, FEWEST_WIDTHS
from widthwise.wording import listed, probability

Measure = Literal["auc", "similarity", "test_accuracy"]
AUC, SIMILARITY, ACCURACY = "auc", "similarity", "test_accuracy"
WORDS: dict[Measure, str] = {AUC: "removability", SIMILARITY: "similarity", ACCURACY: "test accuracy"}
"""Names of measures in sentences; for all but accuracy the columns of the verdict table begin with them."""
IN_VERDICT: dict[Measure, str] = {**WORDS, ACCURACY: "accuracy"}
NO_TEST = "This is no test of significance."


def of_each(criterion: str, judge: Callable[[Analysis, str], Finding], series: Names = (), layers: Names = ()) -> Check:
    """A check of each series by itself: it agrees where all do, and disagrees where any does."""

    def judge_all(analysis: Analysis, names: Sequence[str]) -> Finding:
        return together(judge(analysis, name) for name in names)

    return Check(criterion, judge_all, series, layers=layers)


def series_in_words(series: Names) -> str:
    """The series of a check, as its criterion lists them."""
    return listed(series) or "every series"


def counting(analysis: Analysis, series: str) -> pd.DataFrame:
    """The networks of a series that have not collapsed to one label."""
    return verdict.counting(analysis.networks, series)


def collapsed_widths(analysis: Analysis, series: str) -> pd.Series:
    """The widths at which a network of a series has collapsed to one label, so that means over replicates include
    it."""
    networks = analysis.networks
    return networks.loc[(networks["series"] == series) & networks["degenerate"].astype(bool), "width_factor"]


def complete(analysis: Analysis, series: str, measure: Measure) -> pd.DataFrame:
    """A measure, one column per width of the scale, of the replicates that have a network at each of them."""
    return verdict.complete(counting(analysis, series), measure, analysis.sweep.at(analysis.scale).widths)


def of_each_trend(
    criterion: str, measure: Measure, judge: Callable[[Analysis, str, Table, Widths], Finding], series: Names
) -> Check:
    """As `of_each`, of the replicates that are complete; with fewer than 2 or 3 widths there is too little to tell.

    Args:
        judge: its arguments are an experiment, a series, and the `measure` of these replicates at these widths.
    """

    def judge_trend(analysis: Analysis, name: str) -> Finding:
        table = complete(analysis, name, measure)
        if len(table.columns) >= FEWEST_WIDTHS and len(table) >= FEWEST_REPLICATES:
            return judge(analysis, name, table.to_numpy(), table.columns.to_numpy(dtype=float))
        obstacle = (
            f"a trend needs at least {FEWEST_REPLICATES} complete replicates at {FEWEST_WIDTHS} widths, and there are "
            f"{len(table)} at {len(table.columns)}"
        )
        return too_little(analysis, name, measure, obstacle)

    return of_each(criterion, judge_trend, series)


def too_little(analysis: Analysis, series: str, measure: Measure, obstacle: str) -> Finding:
    """The finding that a series has too little to tell, with its means at the narrowest and the widest."""
    networks = counting(analysis, series)
    if networks.empty:
        return Finding("cannot be told", f"{series}: {obstacle}")
    means = networks.groupby("width_factor")[measure].mean().sort_index()
    ends = listed([f"{means.iloc[end]:.3g} at {means.index[end]:g}×" for end in (0, -1)][: len(means)])
    return Finding("cannot be told", f"{series}: {obstacle} ({WORDS[measure]} {ends})")


def verdict_of(analysis: Analysis, series: str) -> pd.Series:
    """A series' row of the verdict table."""
    return analysis.verdicts[analysis.verdicts["series"] == series].iloc[0]


def change(analysis: Analysis, series: str, measure: Measure) -> Estimate:
    """The change of a measure of a series over all widths of the scale, with 2 complete replicates or more."""
    widths = analysis.sweep.at(analysis.scale).widths
    return verdict.change_over_widths(verdict_of(analysis, series), IN_VERDICT[measure], widths)


def unchanged(effect: Estimate, margin: float) -> bool:
    """True if an interval shows that something did not grow: a fall, or a change within a margin, maybe none."""
    low, high = effect.interval()
    return high <= 0 or (low <= 0 and within(effect, margin) == "agrees")


def within(effect: Estimate, margin: float) -> Answer:
    """Two one-sided tests at 5%: whether an interval of 90% lies within a margin, wholly outside, or neither."""
    low, high = effect.interval()
    if -margin <= low and high <= margin:
        return "agrees"
    return "disagrees" if low > margin or high < -margin else "cannot be told"


def equivalence(effect: Estimate, margin: float, before: str, after: str, form: str = ".3f") -> Finding:
    """The finding that an effect lies within a margin (`within`).

    Args:
        before, after: the evidence up to the effect, and after it, up to the margin.
        form: the format of the numbers.
    """
    p_value = effect.p_within(margin)
    evidence = f"{before}{effect.in_words(form)}{after}; margin ±{margin:g}, {probability(p_value)}"
    return Finding(within(effect, margin), evidence, p_value)
