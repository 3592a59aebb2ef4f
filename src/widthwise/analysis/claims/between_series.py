"""Kinds of test of one series against another.

Networks of one width and replicate are a pair: they share their seed and their data.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field
from scipy import stats

from widthwise.analysis.claims.claim import Answer, Check, Finding, together
from widthwise.analysis.claims.measures import (
    ACCURACY,
    AUC,
    SIMILARITY,
    WORDS,
    Measure,
    complete,
    counting,
    equivalence,
    verdict_of,
)
from widthwise.analysis.claims.trends import FLAT, GROWTH, growth
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.trend import doublings_between, mean_of, slope_per_doubling
from widthwise.analysis.verdict import ACCURACY_MARGIN, FEWEST_REPLICATES, SIGNIFICANCE
from widthwise.wording import counted, listed, probability

ALIKE: dict[Measure, float] = {AUC: 0.05, ACCURACY: ACCURACY_MARGIN, SIMILARITY: 0.2}
"""The most by which networks that are alike may differ; for similarity, as a share of it."""
LEAST_SIMILARITY = 0.5
"""A difference of similarity is taken as a share of this if the similarity of the pair is less."""
FEWEST_PAIRS = 5
"""The fewest pairs among which the signed-rank test can find a difference."""

Pair = tuple[str, str]
Pairs = tuple[Pair, ...]
Paired = Float[np.ndarray, " pairs"]


def greater(
    measure: Measure,
    pairs: Annotated[Pairs, Field(min_length=1)],
    widest: Annotated[int, Field(ge=1)] | None = None,
) -> Check:
    """In each pair of series the first has more: the mean of the paired differences is above 0, with its 90% interval,
    and so are their signed ranks, by Wilcoxon's one-sided test.

    Pairs that do not differ are left out of the ranks. It disagrees where the reverse is significant.

    Args:
        pairs: two series each, of which the first is claimed to have more.
        widest: the number of the scale's widths that count, from the widest down; by default all.
    """

    def judge(analysis: Analysis, more: str, less: str) -> Finding:
        first, second = _paired(analysis, more, less, measure, widest)
        compared = f"{more} against {less}: "
        if len(first) < FEWEST_PAIRS:
            return _too_few(compared, len(first))
        effect = mean_of(first - second)
        above = max(_signed_rank_p_value(first - second), effect.p_above())
        below = max(_signed_rank_p_value(second - first), effect.p_below())
        return Finding(
            "agrees" if above < SIGNIFICANCE else "disagrees" if below < SIGNIFICANCE else "cannot be told",
            f"{compared}{effect.in_words()} (means {first.mean():.3g} and {second.mean():.3g}), {probability(above)}, "
            f"{counted(len(first), 'pair')}",
            above,
        )

    claimed = listed([f"{more} has more than {less}" for more, less in pairs])
    return _of_pairs(
        f"Agrees if in {WORDS[measure]}{f' at the {widest} widest widths' if widest else ''} {claimed}, over networks "
        "paired by width and replicate (the 90% interval of the mean difference lies above 0, and Wilcoxon's one-sided "
        f"signed-rank test has p < {SIGNIFICANCE}; {FEWEST_PAIRS} pairs or more); disagrees if the reverse is "
        "significant.",
        judge,
        pairs,
    )


def alike(measure: Measure, pairs: Pairs = (), control: str = "") -> Check:
    """Equivalence: the mean difference of paired networks lies within a margin.

    Two one-sided t-tests at 5%, by an interval of 90%; it disagrees where the whole interval lies outside. A
    difference of similarity is taken as a share of its pair's mean, or of 0.5 where that is less.

    Args:
        pairs: the series to compare; empty: every other one with `control`.
    """

    def judge(analysis: Analysis, one: str, other: str) -> Finding:
        first, second = _paired(analysis, one, other, measure)
        compared = f"{one} against {other}: "
        if len(first) < FEWEST_PAIRS:
            return _too_few(compared, len(first))
        differences = first - second
        if measure == SIMILARITY:
            differences = differences / np.maximum((first + second) / 2, LEAST_SIMILARITY)
        return equivalence(mean_of(differences), ALIKE[measure], compared, f", {counted(len(differences), 'pair')}")

    return _of_pairs(
        f"Agrees if the mean difference of {WORDS[measure]}{', as a share of it,' if measure == SIMILARITY else ''} "
        f"between networks of one width and replicate lies, with its 90% interval, within ±{ALIKE[measure]} for "
        f"{_compared(pairs, control)} (equivalence, two one-sided t-tests, p < {SIGNIFICANCE}; {FEWEST_PAIRS} pairs or "
        "more); disagrees if the interval lies wholly outside.",
        judge,
        pairs,
        control,
    )


def same_trend(pairs: Pairs = (), control: str = "") -> Check:
    """In each pair of series both grow, or neither grows and their changes over the widths differ little, in
    removability and in similarity (`verdict`).

    That one trend is significant and another is not does not show that they differ: it disagrees only if, in addition,
    the one that grows gains more over the widths than the other, replicate by replicate (one-sided at 5%, Student's t).

    Args:
        pairs: the series to compare; empty: every other one with `control`.
    """

    def judge(analysis: Analysis, one: str, other: str) -> Finding:
        return together(_same_trend(analysis, one, other, measure) for measure in (AUC, SIMILARITY))

    return _of_pairs(
        f"Agrees if removability and similarity each grow in both of {_compared(pairs, control)} ({GROWTH}), or in "
        f"neither and the changes over all widths differ, with a 90% interval, by at most {FLAT[AUC]} and "
        f"{FLAT[SIMILARITY]} (equivalence, two one-sided t-tests); disagrees if one grows, the other does not, and the "
        f"one gains more (paired replicates, one-sided t-test, p < {SIGNIFICANCE}), or if neither grows and the "
        "interval lies wholly outside.",
        judge,
        pairs,
        control,
    )


def _same_trend(analysis: Analysis, one: str, other: str, measure: Measure) -> Finding:
    rows = [verdict_of(analysis, name) for name in (one, other)]
    obstacles = [f"{row['series']}: {row['obstacle']}" for row in rows if row["obstacle"]]
    if obstacles:
        return Finding("cannot be told", "; ".join(obstacles))
    findings = [growth(analysis, name, measure) for name in (one, other)]
    evidence = " against ".join(finding.evidence for finding in findings)
    both = together(findings).p
    first, second = (finding.answer == "agrees" for finding in findings)
    if first and second:
        return Finding("agrees", evidence, both)
    more, less = (other, one) if second else (one, other)
    gain = (complete(analysis, more, measure) - complete(analysis, less, measure)).dropna()
    if len(gain) < FEWEST_REPLICATES:
        return Finding("cannot be told", f"{evidence}, and {len(gain)} replicates are complete in both")
    widths = gain.columns.to_numpy(dtype=float)
    effect = slope_per_doubling(gain.to_numpy(), widths).times(doublings_between(widths))
    gains, over = f"{evidence}; {more} gains ", " more over the widths"
    if not (first or second):
        return equivalence(effect, FLAT[measure], gains, over, ".3g")
    answer: Answer = "disagrees" if effect.p_above() < SIGNIFICANCE else "cannot be told"
    return Finding(answer, f"{gains}{effect.in_words()}{over}", both)


def _of_pairs(
    criterion: str, judge: Callable[[Analysis, str, str], Finding], pairs: Sequence[Pair], control: str = ""
) -> Check:
    """A check of each pair by itself, or of every other series with a control."""
    if not pairs and not control:
        raise ValueError("name pairs of series, or a control that every other one is compared with")
    if pairs and control:
        raise ValueError("name either pairs of series or a control, not both")

    def judge_all(analysis: Analysis, names: Sequence[str]) -> Finding:
        compared = pairs or [(name, control) for name in names if name != control]
        return together(judge(analysis, one, other) for one, other in compared)

    return Check(criterion, judge_all, tuple(dict.fromkeys(name for pair in pairs for name in pair)), control=control)


def _compared(pairs: Sequence[Pair], control: str) -> str:
    return "; ".join(f"{one} and {other}" for one, other in pairs or [("every other series", control)])


def _paired(
    analysis: Analysis, one: str, other: str, measure: Measure, widest: int | None = None
) -> tuple[Paired, Paired]:
    """A measure of the networks of two series that have a partner in the other, each in the order of the pairs."""
    widths = sorted(set(analysis.sweep.at(analysis.scale).widths))
    if widest is not None:
        widths = widths[-widest:]
    pair = ["width_factor", "replicate"]
    columns = [counting(analysis, name).set_index(pair)[measure].rename(name) for name in (one, other)]
    first, second = columns[0].align(columns[1], join="inner")
    chosen = first.index.get_level_values("width_factor").isin(widths)
    return first[chosen].to_numpy(dtype=float), second[chosen].to_numpy(dtype=float)


def _signed_rank_p_value(differences: Paired) -> float:
    """The p-value against the differences being above 0; 1 where there are none."""
    differing = differences[differences != 0]
    return float(stats.wilcoxon(differing, alternative="greater").pvalue) if len(differing) else 1.0


def _too_few(compared: str, pairs: int) -> Finding:
    return Finding(
        "cannot be told", f"{compared}{counted(pairs, 'pair')} of networks that count, of {FEWEST_PAIRS} needed"
    )
