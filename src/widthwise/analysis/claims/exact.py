"""Kinds of check that need no test of significance: counts, and statements about every network."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from widthwise.analysis.claims.claim import Check, Finding, Names
from widthwise.analysis.claims.measures import NO_TEST, SIMILARITY, collapsed_widths, counting, of_each, series_in_words
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import curves_of_networks
from widthwise.analysis.trainings import ENOUGH_ACCURACY
from widthwise.wording import counted, listed

NEGLIGIBLE = 0.01
"""A negligible difference in AUC, in a share of labels, and in similarity as a share of it."""

AddedUnits = Literal["both", "removable", "repeated", "dead"]
"""A construction, named for its added units."""


def fits_training_set(series: Names = (), from_width: float = 1.0) -> Check:
    """Every network of that width or wider has fitted its training set: it disagrees where one that counts has not.

    If one has collapsed to one label, diverged or is missing, the answer is `cannot be told`.
    """

    def judge(analysis: Analysis, name: str) -> Finding:
        axes = analysis.sweep.at(analysis.scale)
        planned = sum(width >= from_width for width in axes.widths) * axes.replicates
        if not planned:
            return Finding("cannot be told", f"{name}: this scale has no width of {from_width:g}× or more")
        networks = counting(analysis, name)
        reached = networks.loc[networks["width_factor"] >= from_width, "train_accuracy"]
        count = int((reached >= ENOUGH_ACCURACY).sum())
        least = f", the least at {reached.min():.3f}" if len(reached) else ""
        evidence = f"{name}: {count} of {planned} networks have fitted, {planned - len(reached)} do not count{least}"
        complete = len(reached) == planned
        answer = "disagrees" if count < len(reached) else "agrees" if complete else "cannot be told"
        return Finding(answer, evidence)

    return of_each(
        f"Agrees if every network of {from_width:g}× and wider of {series_in_words(series)} has a training accuracy of "
        f"at least {ENOUGH_ACCURACY}; disagrees if one has less; cannot be told if one has collapsed, diverged or is "
        f"missing. {NO_TEST}",
        judge,
        series,
    )


def samplings_agree() -> Check:
    """The samplings of one network deviate by little, in the mean over all networks."""

    def judge(analysis: Analysis, names: Sequence[str]) -> Finding:
        networks = analysis.networks[~analysis.networks["degenerate"].astype(bool)]
        if networks.empty:
            return Finding("cannot be told", "Every network has collapsed to one label.")
        removability, deviation, similarity = (
            networks[name].mean() for name in ("auc_std", "similarity_std", SIMILARITY)
        )
        if math.isnan(removability) or math.isnan(deviation):
            return Finding("cannot be told", "Each network was measured with one sampling.")
        share = deviation / similarity if similarity else 0.0
        return Finding(
            "agrees" if removability <= NEGLIGIBLE and share <= NEGLIGIBLE else "disagrees",
            f"Mean standard deviation between samplings {removability:.2g} of AUC and {share:.2%} of similarity, "
            f"{len(networks)} networks.",
        )

    return Check(
        f"Agrees if the standard deviation between samplings of one network is, in the mean over all networks, at most "
        f"{NEGLIGIBLE} of AUC and {NEGLIGIBLE:.0%} of similarity; disagrees if it is more. {NO_TEST}",
        judge,
    )


def multiplies(at_least: Annotated[float, Field(gt=1)], series: Names = ()) -> Check:
    """Every doubling of width multiplies the parameters by `at_least` or more: they grow exponentially in doublings."""

    def judge(analysis: Analysis, name: str) -> Finding:
        of_series = analysis.summary[analysis.summary["series"] == name].sort_values("width_factor")
        doubled = of_series["width_factor"].div(of_series["width_factor"].shift()) == 2
        ratios = of_series["parameters"].div(of_series["parameters"].shift())[doubled]
        if ratios.empty:
            return Finding("cannot be told", f"{name}: no width is the double of another")
        return Finding(
            "agrees" if ratios.min() >= at_least else "disagrees",
            f"{name}: {ratios.min():.2f}- to {ratios.max():.2f}-fold, {len(ratios)} doublings",
        )

    return of_each(
        f"Agrees if every doubling of width multiplies the trainable parameters of {series_in_words(series)} by "
        f"{at_least:g} or more; disagrees if one does by less. {NO_TEST}",
        judge,
        series,
    )


def as_theory(construction: AddedUnits) -> Check:
    """Every quantity of a construction of Section 2.3 is what theory expects of it (`constructions`)."""

    def judge(analysis: Analysis, names: Sequence[str]) -> Finding:
        rows = analysis.comparison[analysis.comparison["series"] == construction]
        failed = rows.loc[~rows["holds"].astype(bool), "quantity"].unique()
        replicates = counted(rows["replicate"].nunique(), "replicate")
        evidence = f"{int(rows['holds'].sum())} of {len(rows)} expectations hold, {replicates}"
        if len(failed):
            return Finding("disagrees", f"{evidence}; not of {listed(list(failed))}.")
        return Finding("agrees" if len(rows) else "cannot be told", f"{evidence}.")

    return Check(
        f"Agrees if the output, the removable units, the similarity, the share of dead units and the AUC of the "
        f"construction {construction!r} are all what theory expects in every replicate; disagrees if one is not. "
        f"{NO_TEST}",
        judge,
        ("small", construction),
    )


def curves_fall(series: Names = ()) -> Check:
    """No ablation curve, the mean over layers and replicates, rises: more dropped units change more labels."""

    def judge(analysis: Analysis, name: str) -> Finding:
        curves = analysis.ablation
        of_series = curves[curves["series"] == name]
        of_network = curves_of_networks(of_series) if len(of_series) else of_series
        mean = of_network[~of_network["width_factor"].isin(collapsed_widths(analysis, name))]
        if mean.empty:
            return Finding("cannot be told", f"{name}: every width has a network that has collapsed to one label")
        steps = mean.pivot(index="width_factor", columns="share_dropped", values="unchanged").diff(axis=1).iloc[:, 1:]
        fall = (steps <= NEGLIGIBLE).all(axis=1) & (steps.sum(axis=1) < -NEGLIGIBLE)
        falling = int(fall.sum())
        evidence = f"{name}: {falling} of {len(steps)} curves fall, the greatest step is {steps.to_numpy().max():+.3g}"
        return Finding("agrees" if falling == len(steps) else "disagrees", evidence)

    return of_each(
        f"Agrees if in {series_in_words(series)} dropping more units never raises the share of unchanged labels by "
        f"more than {NEGLIGIBLE}, at any width, in means over layers and replicates, and dropping all lowers it by "
        f"more; disagrees if not. {NO_TEST}",
        judge,
        series,
    )
