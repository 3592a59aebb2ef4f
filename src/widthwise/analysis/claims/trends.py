"""Kinds of test of the change of a measure with width.

`agrees` needs evidence for the claim, `disagrees` evidence against it; with too little for either it `cannot be told`.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from widthwise.analysis.claims.claim import Answer, Check, Finding, Names, sentence, together
from widthwise.analysis.claims.measures import (
    ACCURACY,
    AUC,
    NO_TEST,
    SIMILARITY,
    WORDS,
    Measure,
    change,
    equivalence,
    of_each,
    of_each_trend,
    series_in_words,
    too_little,
    unchanged,
    verdict_of,
)
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.trend import Table, Widths, page_p_value
from widthwise.analysis.verdict import ACCURACY_MARGIN, SIGNIFICANCE, slope_in_words
from widthwise.wording import listed, probability

FLAT: dict[Measure, float] = {AUC: 0.05, ACCURACY: 0.05, SIMILARITY: 0.5}
"""The most by which a flat measure may change over all widths; for similarity, in similar units per unit."""
FEWEST_TO_DOUBLE = 0.1
"""The least similarity from which a doubling counts: if there is less, a few more pairs of units double it."""
VERDICTS: dict[str, Answer] = {
    "supported": "agrees",
    "no valid evidence": "cannot be told",
}
UNGROWN = "the change over all widths, with its 90% interval, is a fall or within what is called flat"
GROWTH = (
    "the 90% interval of its slope lies above 0, and Page's trend test over replicates has p < "
    f"{SIGNIFICANCE} after Holm's correction"
)


def grows(measure: Measure, series: Names = ()) -> Check:
    """The slope of each series is above 0, and Page's trend test finds growth, Holm-corrected (`verdict`).

    Too little evidence of growth is none against it: the check disagrees only where the change is flat or a fall.
    """
    return of_each(
        f"Agrees if {WORDS[measure]} grows with width for {series_in_words(series)} ({GROWTH}); disagrees if it does "
        f"not and {UNGROWN} (±{FLAT[measure]}).",
        lambda analysis, name: growth(analysis, name, measure),
        series,
    )


def either_grows(series: Names = ()) -> Check:
    """As `grows`, of removability or similarity: it disagrees where neither grows."""
    return of_each(
        f"Agrees if removability or similarity grows with width for {series_in_words(series)} ({GROWTH}); disagrees if "
        f"neither does and of both {UNGROWN} (±{FLAT[AUC]} and ±{FLAT[SIMILARITY]}).",
        _either_grows,
        series,
    )


def supported(excluding: Names = ()) -> Check:
    """The verdicts on all series but those excluded: it disagrees where any is `not supported`, as `either_grows`."""

    def judge(analysis: Analysis, names: Sequence[str]) -> Finding:
        findings = []
        for name in names:
            row, either, p_value = verdict_of(analysis, name), _either_grows(analysis, name), None
            if either.p is not None:
                p_value = max(either.p, change(analysis, name, ACCURACY).p_above(-ACCURACY_MARGIN))
            answer = VERDICTS.get(row["verdict"]) or either.answer
            findings.append(Finding(answer, f"{name}: {row['verdict']}, {row['reason']}", p_value))
        return together(findings)

    return Check(
        f"Agrees if the verdict on every series{f' but {listed(excluding)}' if excluding else ''} is that the claim is "
        "supported, accuracy being kept and removability or similarity growing; disagrees if any is not supported and "
        f"of both {UNGROWN} (±{FLAT[AUC]} and ±{FLAT[SIMILARITY]}).",
        judge,
        excluding=excluding,
    )


def falls(measure: Measure, series: Names = ()) -> Check:
    """The change is below 0, and Page's trend test finds growth with the widths in reverse.

    It is one test per series, not corrected for others.
    """

    def judge(analysis: Analysis, name: str, table: Table, widths: Widths) -> Finding:
        effect = change(analysis, name, measure)
        p_value = max(page_p_value(table[:, ::-1]), effect.p_below())
        against = unchanged(effect.times(-1.0), FLAT[measure])
        return Finding(
            "agrees" if p_value < SIGNIFICANCE else "disagrees" if against else "cannot be told",
            f"{name}: {effect.in_words()} over the widths, {probability(p_value)}, n = {len(table)}",
            p_value,
        )

    return of_each_trend(
        f"Agrees if {WORDS[measure]} falls with width for {series_in_words(series)} (the 90% interval of the change "
        f"over all widths lies below 0, and Page's trend test with the widths in reverse has p < {SIGNIFICANCE}); "
        f"disagrees if it does not and the interval is a growth or within what is called flat (±{FLAT[measure]}).",
        measure,
        judge,
        series,
    )


def flat(measure: Measure, series: Names = ()) -> Check:
    """Equivalence: the change over all widths, on a line over log2 of the width factor, lies within a margin.

    Two one-sided tests at 5%, by an interval of 90% from Student's t over replicates. It disagrees where the whole
    interval lies outside.
    """
    form = ".3g" if measure == SIMILARITY else ".3f"

    def judge(analysis: Analysis, name: str, table: Table, widths: Widths) -> Finding:
        after = f" over the widths, n = {len(table)}"
        return equivalence(change(analysis, name, measure), FLAT[measure], f"{name}: ", after, form)

    return of_each_trend(
        f"Agrees if the change of {WORDS[measure]} over all widths for {series_in_words(series)} lies, with its 90% "
        f"interval, within ±{FLAT[measure]}{' similar units per unit' if measure == SIMILARITY else ''} (equivalence, "
        f"two one-sided t-tests, p < {SIGNIFICANCE}); disagrees if the interval lies wholly outside.",
        measure,
        judge,
        series,
    )


def accuracy_kept(series: Names = ()) -> Check:
    """Non-inferiority of accuracy: its change over the widths is above -0.02 with 95% confidence (`verdict`).

    It disagrees where the change is below -0.02 with the same confidence; Student's t has equal arms.
    """

    def judge(analysis: Analysis, name: str, table: Table, widths: Widths) -> Finding:
        effect = change(analysis, name, ACCURACY)
        low, high = effect.interval()
        p_value = effect.p_above(-ACCURACY_MARGIN)
        return Finding(
            "agrees" if low >= -ACCURACY_MARGIN else "disagrees" if high < -ACCURACY_MARGIN else "cannot be told",
            f"{name}: {effect.in_words('.3f')} over the widths, n = {len(table)}; margin −{ACCURACY_MARGIN:g}, "
            f"{probability(p_value)}",
            p_value,
        )

    return of_each_trend(
        f"Agrees if test accuracy falls over the widths by at most {ACCURACY_MARGIN} with 95% confidence for "
        f"{series_in_words(series)} (non-inferiority, one-sided t-test, p < {SIGNIFICANCE}); disagrees if it falls by "
        "more with the same confidence.",
        ACCURACY,
        judge,
        series,
    )


def more_than_doubles(series: Names = ()) -> Check:
    """At some doubling of width similarity more than doubles in every replicate; no test of significance.

    It disagrees if the mean over replicates more than doubles at none. Steps from below 0.1 similar units do not count.
    """

    def judge(analysis: Analysis, name: str, table: Table, widths: Widths) -> Finding:
        enough = (table[:, :-1] >= FEWEST_TO_DOUBLE).all(axis=0) & (widths[1:] == 2 * widths[:-1])
        if not enough.any():
            obstacle = f"no doubling starts from {FEWEST_TO_DOUBLE} similar units or more"
            return too_little(analysis, name, SIMILARITY, obstacle)
        before, after = table[:, :-1][:, enough], table[:, 1:][:, enough]
        least, means = (after / before).min(axis=0), after.mean(axis=0) / before.mean(axis=0)
        best = int(least.argmax())
        answer = "agrees" if least[best] > 2 else "disagrees" if (means <= 2).all() else "cannot be told"
        narrow = widths[:-1][enough][best]
        return Finding(
            answer,
            f"{name}: {means[best]:.2f}-fold from {narrow:g}× to {2 * narrow:g}×, in each of {len(table)} replicates "
            f"at least {least[best]:.2f}-fold",
        )

    return of_each_trend(
        f"Agrees if for {series_in_words(series)} some doubling of width more than doubles similarity in every "
        f"replicate; disagrees if none does in the mean over replicates; steps from below {FEWEST_TO_DOUBLE} similar "
        f"units do not count. {NO_TEST}",
        SIMILARITY,
        judge,
        series,
    )


def growth(analysis: Analysis, series: str, measure: Measure) -> Finding:
    """The finding on a measure of a series growing."""
    row, word = verdict_of(analysis, series), WORDS[measure]
    if row["obstacle"]:
        return too_little(analysis, series, measure, row["obstacle"])
    effect = change(analysis, series, measure)
    p_value = max(float(row[f"{word}_p_holm"]), effect.p_above())
    against = unchanged(effect, FLAT[measure])
    answer = "agrees" if row[f"{word}_grows"] else "disagrees" if against else "cannot be told"
    return Finding(answer, f"{series}: {growth_in_words(row, word)}", p_value)


def _either_grows(analysis: Analysis, series: str) -> Finding:
    """The finding on removability or similarity growing; it disagrees if both tests do.

    Its p-value is the smaller one, since each is corrected for the other.
    """
    both = [growth(analysis, series, measure) for measure in (AUC, SIMILARITY)]
    p_values = [finding.p for finding in both if finding.p is not None]
    growing = [finding for finding in both if finding.answer == "agrees"]
    if growing or all(finding.answer == "disagrees" for finding in both):
        found = together(growing or both)
    else:
        found = Finding("cannot be told", sentence(finding.evidence for finding in both))
    return replace(found, p=min(p_values, default=None))


def growth_in_words(row: pd.Series, name: str) -> str:
    """The slope of a measure in a row of the verdicts with its interval, its corrected p-value and the replicates."""
    p_value = probability(row[f"{name}_p_holm"])
    return f"{name} {slope_in_words(row, name)} per doubling, {p_value}, n = {row['replicates']}"
