"""Kinds of test of the change of a measure with width.

`agrees` needs evidence for the claim, `disagrees` evidence against it; with too little for either it `cannot be told`.
"""

from collections.abc import Sequence

import numpy as np

from widthwise.analysis.claims.claim import Answer, Check, Finding, Names, sentence, together
from widthwise.analysis.claims.measures import (
    ACCURACY,
    AUC,
    SIMILARITY,
    WORDS,
    Measure,
    Widths,
    change,
    complete,
    of_each,
    of_each_trend,
    series_in_words,
    too_little,
    unchanged,
    verdict_of,
    within,
)
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.trend import Table, page_p_value
from widthwise.analysis.verdict import ACCURACY_MARGIN, SIGNIFICANCE
from widthwise.wording import listed

FLAT: dict[Measure, float] = {AUC: 0.05, ACCURACY: 0.05, SIMILARITY: 0.5}
"""The most by which a flat measure may change over all widths; for similarity, in similar units per unit."""
FEWEST_TO_DOUBLE = 0.1
"""The least similarity from which a doubling counts: if there is less, a few more pairs of units double it."""
VERDICTS: dict[str, Answer] = {
    "supported": "agrees",
    "no valid evidence": "cannot be told",
}
UNGROWN = "the change over all widths, with its 90% interval, is a fall or within what is called flat"
PAGE = f"Page's trend test over replicates, p < {SIGNIFICANCE} after Holm's correction"


def grows(measure: Measure, series: Names = ()) -> Check:
    """Page's trend test of each series, Holm-corrected over the experiment's series and both measures (`verdict`).

    Too little evidence of growth is none against it: the check disagrees only where the change is flat or a fall.
    """
    return of_each(
        f"Agrees if {WORDS[measure]} grows with width for {series_in_words(series)} ({PAGE}); disagrees if it does not "
        f"and {UNGROWN} (±{FLAT[measure]}).",
        lambda analysis, name: _grows(analysis, name, measure),
        series,
    )


def either_grows(series: Names = ()) -> Check:
    """As `grows`, of removability or similarity: it disagrees where neither grows."""
    return of_each(
        f"Agrees if removability or similarity grows with width for {series_in_words(series)} ({PAGE}); disagrees if "
        f"neither does and of both {UNGROWN} (±{FLAT[AUC]} and ±{FLAT[SIMILARITY]}).",
        _either_grows,
        series,
    )


def supported(excluding: Names = ()) -> Check:
    """The verdicts on all series but those excluded: it disagrees where any is `not supported`, as `either_grows`."""

    def judge(analysis: Analysis, names: Sequence[str]) -> Finding:
        findings = []
        for name in names:
            row = verdict_of(analysis, name)
            why = "" if row["verdict"] == "supported" else f", {row['reason']}"
            answer = VERDICTS.get(row["verdict"]) or _either_grows(analysis, name).answer
            findings.append(Finding(answer, f"{name}: {row['verdict']}{why}"))
        return together(findings)

    return Check(
        f"Agrees if the verdict on every series{f' but {listed(excluding)}' if excluding else ''} is that the claim is "
        "supported, accuracy being kept and removability or similarity growing; disagrees if any is not supported and "
        f"of both {UNGROWN} (±{FLAT[AUC]} and ±{FLAT[SIMILARITY]}).",
        judge,
        excluding=excluding,
    )


def falls(measure: Measure, series: Names = ()) -> Check:
    """Page's trend test with the widths in reverse. It is one test per series, not corrected for others.

    With two replicates of three widths or more it can show a perfect trend.
    """

    def judge(analysis: Analysis, name: str, table: Table, widths: Widths) -> Finding:
        p_value = page_p_value(table[:, ::-1])
        middle, low, high = change(table, widths)
        against = unchanged(-high, -low, FLAT[measure])
        return Finding(
            "agrees" if p_value < SIGNIFICANCE else "disagrees" if against else "cannot be told",
            f"{name}: {middle:+.3g} [{low:+.3g}, {high:+.3g}] over the widths, p = {p_value:.2g}, n = {len(table)}",
        )

    return of_each_trend(
        f"Agrees if {WORDS[measure]} falls with width for {series_in_words(series)} (Page's trend test with the widths "
        f"in reverse, p < {SIGNIFICANCE}); disagrees if it does not and the change over all widths, with its 90% "
        f"interval, is a growth or within what is called flat (±{FLAT[measure]}).",
        measure,
        judge,
        series,
    )


def flat(measure: Measure, series: Names = ()) -> Check:
    """Equivalence: the change over all widths, on a line over log2 of the width factor, lies within a margin.

    Two one-sided tests at 5%, by an interval of 90% from Student's t, with one slope for all replicates and a level
    for each. It disagrees where the whole interval lies outside.
    """
    digits = ".3g" if measure == SIMILARITY else ".3f"

    def judge(analysis: Analysis, name: str, table: Table, widths: Widths) -> Finding:
        middle, low, high = change(table, widths)
        evidence = f"{name}: {middle:+{digits}} [{low:+{digits}}, {high:+{digits}}] over the widths, n = {len(table)}"
        if measure != ACCURACY:
            evidence += f" (growth p = {verdict_of(analysis, name)[f'{WORDS[measure]}_p_holm']:.2g})"
        return Finding(within(low, high, FLAT[measure]), evidence)

    return of_each_trend(
        f"Agrees if the change of {WORDS[measure]} over all widths for {series_in_words(series)} lies, with its 90% "
        f"interval, within ±{FLAT[measure]}{' similar units per unit' if measure == SIMILARITY else ''}; disagrees if "
        "the interval lies wholly outside.",
        measure,
        judge,
        series,
    )


def accuracy_kept(series: Names = ()) -> Check:
    """Non-inferiority of accuracy: its change over the widths is above -0.02 with 95% confidence (`verdict`).

    It disagrees where the change is below -0.02 with the same confidence; Student's t has equal arms.
    """

    def judge(analysis: Analysis, name: str) -> Finding:
        row = verdict_of(analysis, name)
        middle, low = row["accuracy_change"], row["accuracy_change_low"]
        if np.isnan(middle):
            return too_little(analysis, name, ACCURACY, row["obstacle"])
        high = 2 * middle - low
        answer = "agrees" if low >= -ACCURACY_MARGIN else "disagrees" if high < -ACCURACY_MARGIN else "cannot be told"
        evidence = f"{name}: {middle:+.3f} [{low:+.3f}, {high:+.3f}] over the widths, n = {row['replicates']}"
        return Finding(answer, evidence)

    return of_each(
        f"Agrees if test accuracy falls over the widths by at most {ACCURACY_MARGIN} with 95% confidence for "
        f"{series_in_words(series)}; disagrees if it falls by more with the same confidence.",
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
        "units do not count.",
        SIMILARITY,
        judge,
        series,
    )


def _grows(analysis: Analysis, series: str, measure: Measure) -> Finding:
    row, word = verdict_of(analysis, series), WORDS[measure]
    if row["obstacle"]:
        return too_little(analysis, series, measure, row["obstacle"])
    evidence = f"{series}: {slope_in_words(analysis, series, word)}"
    if row[f"{word}_grows"]:
        return Finding("agrees", evidence)
    table = complete(analysis, series, measure)
    _, low, high = change(table.to_numpy(), table.columns.to_numpy(dtype=float))
    return Finding("disagrees" if unchanged(low, high, FLAT[measure]) else "cannot be told", evidence)


def _either_grows(analysis: Analysis, series: str) -> Finding:
    """The finding on removability or similarity growing; it disagrees if both tests do."""
    both = [_grows(analysis, series, measure) for measure in (AUC, SIMILARITY)]
    growing = [finding for finding in both if finding.answer == "agrees"]
    if growing or all(finding.answer == "disagrees" for finding in both):
        return together(growing or both)
    return Finding("cannot be told", sentence(finding.evidence for finding in both))


def slope_in_words(analysis: Analysis, series: str, measure: str) -> str:
    """The slope of a tested series with its interval, its corrected p-value and the number of replicates."""
    row = verdict_of(analysis, series)
    slope, low, high, p_value = (row[f"{measure}_{part}"] for part in ("slope", "slope_low", "slope_high", "p_holm"))
    n = row["replicates"]
    return f"{measure} {slope:+.3g} [{low:+.3g}, {high:+.3g}] per doubling, p = {p_value:.2g}, n = {n}"
