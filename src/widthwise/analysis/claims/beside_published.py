"""A claim's published numbers beside ours, in a sentence."""

import math
import re
from collections.abc import Hashable, Mapping
from functools import cache

import numpy as np
import pandas as pd

from widthwise.analysis.claims.claim import Check, CheckedClaim
from widthwise.analysis.claims.measures import ACCURACY, AUC, SIMILARITY
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.published import SERIES, THEIRS, Agreement
from widthwise.experiments.figure import NUMBER, is_named
from widthwise.experiments.published_values import published
from widthwise.experiments.sweep import Sweep
from widthwise.wording import listed

OF_KIND: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("supported", "either_grows", "same_trend"), (AUC, SIMILARITY)),
    **dict.fromkeys(("every_layer_grows", "no_order_of_depth"), (AUC, SIMILARITY)),
    "accuracy_kept": (ACCURACY,),
    "more_than_doubles": (SIMILARITY,),
    "curves_fall": ("unchanged",),
    "fits_training_set": ("train_accuracy",),
}
"""The measures of a check that does not name its own."""
INSTEAD = {AUC: "prunability", SIMILARITY: "abs_r_share_at_least_0.5"}
"""What is published of single layers in place of a measure."""
WORDS = {
    **{AUC: "AUC", SIMILARITY: "similarity", ACCURACY: "test accuracy", "train_accuracy": "training accuracy"},
    **{"unchanged": "unchanged labels, the mean of the curve", "abs_r_share_at_least_0.5": "pairs with |r| ≥ 0.5"},
}
MOST_NAMED = 4
"""With more published series than this, they are counted and not named."""
COUNTED: dict[Agreement, str] = {
    "agrees within uncertainties": "within uncertainties",
    "trend alike": "with a trend alike",
    "not alike": "not alike",
    "cannot be told": "of which it cannot be told",
}
REFERENCE = re.compile(r"Figs?\. ([^;]*)")


def in_words(claim: CheckedClaim, analysis: Analysis | None) -> str:
    """The published numbers of a claim of the paper at the narrowest and the widest width that we have, beside ours.

    Both are by the protocol `figures`. The numbers are those of the figures that the claim's source names, and of the
    series and the measures of its check; of a layer's AUC, which is not published, its prunability. `±` is theirs: the
    uncertainty of the reading, and the deviation between networks where a bar shows it; ours: the deviation between
    replicates. Empty where nothing is published, and for a claim that is not the paper's.

    Args:
        analysis: the experiment that answers the claim; None: nothing was run.
    """
    values = _of_claim(claim).rename(columns=THEIRS)
    if values.empty:
        return ""
    keys = values.groupby(SERIES, sort=False, as_index=False).agg({"doubt": "max"})
    compared = analysis.published_series if analysis else keys[:0]
    run = pd.merge(keys[SERIES], compared, on=SERIES) if len(compared) else compared
    if analysis is None or run.empty:
        return _in_words(values, keys)
    return _in_words(pd.merge(analysis.published, keys[SERIES], on=SERIES), run)


def _of_claim(claim: CheckedClaim) -> pd.DataFrame:
    """The published values that a claim is about, one row for each point."""
    values = published(claim.experiment)
    values = values[values["beside_ours"]]
    if values.empty:
        return values
    figures, check = figures_of(claim.source), _checks(claim.experiment)[claim.name]
    measures = [check["measure"]] if "measure" in check else OF_KIND.get(str(check["kind"]), ())
    in_figures = values[[any(name and is_named(name, each) for each in figures) for name in values["figure"]]]
    chosen = []
    for measure in measures:
        for rows, name in ((in_figures, measure), (in_figures, INSTEAD.get(str(measure), ""))):
            found = _narrowed(rows[rows["measure"] == name], claim.check)
            if len(found):
                chosen.append(found)
                missing = [each for each in claim.check.series if each not in set(found["series"])]
                others = values[(values["measure"] == name) & values["series"].isin(missing)]
                chosen.append(others[others["layer"] == ""])
                break
    return pd.concat(chosen) if chosen else values[:0]


def _narrowed(rows: pd.DataFrame, check: Check) -> pd.DataFrame:
    """The rows of the series and the layers that a check names; one with a control is about every series."""
    named = [*check.series] if not check.control else []
    rows = rows[rows["series"].isin(named)] if named else rows[~rows["series"].isin(check.excluding)]
    return rows[rows["layer"].isin(check.layers)] if check.layers else rows


def figures_of(source: str) -> list[str]:
    """The figures that a claim's source names: `2a` and `6` of `Sections 2 and 4, Figs. 2a and 6`."""
    return [found[0] for text in REFERENCE.findall(source) for found in NUMBER.finditer(text)]


@cache
def _checks(experiment: str) -> dict[str, dict[str, object]]:
    """The checks of an experiment's claims as its file has them, by the claim's name."""
    return {claim.identity: claim.check for claim in Sweep.load(experiment).claims}


def _in_words(points: pd.DataFrame, groups: pd.DataFrame) -> str:
    """A sentence on each of `groups`, or if there are many, how many of them agree."""
    if len(groups) > MOST_NAMED:
        counts = groups["agreement"].value_counts() if "agreement" in groups else {}
        found = [f"{counts[answer]} {words}" for answer, words in COUNTED.items() if answer in counts]
        return f"{len(groups)} series are published{f': {listed(found)}' if found else ''}."
    sentences = []
    for group in groups.to_dict("records"):
        of_group = np.logical_and.reduce([points[name] == group[name] for name in SERIES])
        sentences.append(f"{_subject(group)}: {_ends(points[of_group])}{_remark(group)}.")
    return " ".join(sentences)


def _subject(group: Mapping[Hashable, object]) -> str:
    """The series, its layer and the measure: `Glorot normal, AUC`."""
    measure = str(group["measure"])
    return ", ".join(filter(None, [str(group["series"]), str(group["layer"]), WORDS.get(measure, measure)]))


def _ends(points: pd.DataFrame) -> str:
    """Both sides at the narrowest and at the widest width; a curve by its mean at a width."""
    bars = points["their_error_bar"].where(points["error_bar_between"] == "networks").fillna(0.0)
    points = points.assign(their_deviation=np.hypot(points["their_uncertainty"], bars))
    means = points.groupby("width_factor").mean(numeric_only=True).reset_index()
    ends = means.iloc[[0, -1] if len(means) > 1 else [0]].to_dict("records")
    theirs = [f"{plus_minus(end['theirs'], end['their_deviation'])} at {end['width_factor']:g}×" for end in ends]
    ours = [plus_minus(end["ours"], end["our_std"]) for end in ends] if "ours" in points else []
    return f"theirs {listed(theirs)}{f', ours {listed(ours)}' if ours else ''}"


def _remark(group: Mapping[Hashable, object]) -> str:
    remarks = [str(group["agreement"])] if "agreement" in group else []
    remarks += ["theirs is doubtful"] if group.get("doubt") else []
    return f" ({', '.join(remarks)})" if remarks else ""


def plus_minus(value: float, deviation: float) -> str:
    """A value with its deviation, of which the first digit counts: `0.340 ± 0.003`, `26.5 ± 0.2`, `60 ± 10`.

    Without a deviation, or one that is 0, it has three digits.
    """
    if not deviation > 0:
        return f"{value:.3g}"
    digits = -math.floor(math.log10(deviation))
    shown = round(deviation, digits)  # 0.096 is 0.1
    digits = max(-math.floor(math.log10(shown)), 0)
    return f"{value:.{digits}f} ± {shown:.{digits}f}"
