"""Kinds of test of single layers, on their means over replicates.

A claim that one layer has more than another is about each network, so every width is an observation. A claim that a
layer changes with width is about a trend, and needs replicates like a trend of networks.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from widthwise.analysis.claims.between_series import ALIKE, LEAST_SIMILARITY
from widthwise.analysis.claims.claim import Check, Finding, Names, SomeNames, together
from widthwise.analysis.claims.measures import (
    AUC,
    NO_TEST,
    SIMILARITY,
    WORDS,
    Measure,
    collapsed_widths,
    equivalence,
    of_each,
    unchanged,
)
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.trend import Widths, doublings_between, holm, slope_of_means, smallest_page_p_value
from widthwise.analysis.verdict import FEWEST_REPLICATES, FEWEST_WIDTHS, SIGNIFICANCE
from widthwise.wording import listed, probability

ORDERED = 0.5
"""The |τ| from which layers count as ordered by their depth."""


def lead(measure: Measure, series: str, layers: SomeNames, among: Names = ()) -> Check:
    """These layers have more of a measure than all others, or than all others of `among`, at every width."""

    def holds(values: pd.Series) -> bool:
        others = values.drop(list(layers))
        return bool(values[list(layers)].min() > others.max())

    return _at_each_width(
        f"{listed(layers)} {'has' if len(layers) == 1 else 'have'} the most {WORDS[measure]} of "
        f"{listed(among) or 'all measured layers'}",
        measure,
        series,
        holds,
        layers,
        among,
    )


def in_order(measure: Measure, series: str, layers: SomeNames) -> Check:
    """Each of these layers has more of a measure than the one before, at every width."""
    return _at_each_width(
        f"{WORDS[measure]} rises from {' over '.join(layers[:-1])} to {layers[-1]}",
        measure,
        series,
        lambda values: bool((np.diff(values[list(layers)]) > 0).all()),
        layers,
        layers,
    )


def layer_grows(measure: Measure, series: str, layer: str) -> Check:
    """A line through a layer's means over replicates rises, with its 90% interval, and Kendall's one-sided test finds
    the order of the widths in them.

    It disagrees if, in addition, the change over all widths is a fall or within the margin of `layers_flat`.
    """

    def judge(analysis: Analysis, name: str) -> Finding:
        found = _trends(analysis, name, measure)
        if isinstance(found, Finding):
            return found
        means, widths = found[layer]
        effect = slope_of_means(means, widths).times(doublings_between(widths))
        p_value = max(_p_value_of_order(means, widths), effect.p_above())
        margin = ALIKE[measure] * (max(float(means.mean()), LEAST_SIMILARITY) if measure == SIMILARITY else 1.0)
        against = smallest_page_p_value(1, len(means)) < SIGNIFICANCE and unchanged(effect, margin)
        return Finding(
            "agrees" if p_value < SIGNIFICANCE else "disagrees" if against else "cannot be told",
            f"{layer}: {effect.in_words()} over {len(widths)} widths, {probability(p_value)}",
            p_value,
        )

    return of_each(
        f"Agrees if {WORDS[measure]} of {layer} of {series} grows with width (the 90% interval of a line through the "
        f"means over {FEWEST_REPLICATES} replicates or more rises, and Kendall's one-sided test of them has p < "
        f"{SIGNIFICANCE}); disagrees if it does not and the interval is a fall or within ±{ALIKE[measure]}"
        f"{' of its mean' if measure == SIMILARITY else ''}.",
        judge,
        (series,),
        (layer,),
    )


def layers_flat(measure: Measure, series: str, layers: SomeNames) -> Check:
    """Equivalence, as for whole networks (`trends.flat`), for a line through each layer's means over replicates.

    The margin is that of networks that are alike: for similarity a share of the layer's mean, or of 0.5 if it is less.
    """

    def judge(analysis: Analysis, name: str) -> Finding:
        found = _trends(analysis, name, measure)
        if isinstance(found, Finding):
            return found
        findings = []
        for layer in layers:
            means, widths = found[layer]
            scale = max(float(means.mean()), LEAST_SIMILARITY) if measure == SIMILARITY else 1.0
            effect = slope_of_means(means / scale, widths).times(doublings_between(widths))
            findings.append(equivalence(effect, ALIKE[measure], f"{layer}: ", f" over {len(widths)} widths"))
        return together(findings)

    return of_each(
        f"Agrees if the change of {WORDS[measure]}{', as a share of its mean,' if measure == SIMILARITY else ''} over "
        f"all widths lies, with its 90% interval, within ±{ALIKE[measure]} in {listed(layers)} of {series} (means over "
        f"{FEWEST_REPLICATES} replicates or more; equivalence, two one-sided t-tests, p < {SIGNIFICANCE}); disagrees "
        "if the interval lies wholly outside.",
        judge,
        (series,),
        layers,
    )


def every_layer_grows(series: str) -> Check:
    """Removability or similarity of every layer grows: as `layer_grows`, the two measures corrected by Holm's method.

    It disagrees where a layer has less of both at the widest than at the narrowest.
    """

    def judge(analysis: Analysis, name: str) -> Finding:
        found = {measure: _trends(analysis, name, measure) for measure in (AUC, SIMILARITY)}
        tables = {measure: each for measure, each in found.items() if not isinstance(each, Finding)}
        if len(tables) < len(found):
            return together(each for each in found.values() if isinstance(each, Finding))
        findings = []
        for layer in tables[AUC]:
            both, widths = [tables[measure][layer][0] for measure in (AUC, SIMILARITY)], tables[AUC][layer][1]
            effects = [slope_of_means(means, widths).times(doublings_between(widths)) for means in both]
            p_values = [_p_value_of_order(means, widths) for means in both]
            p_values = [max(p_value, effect.p_above()) for p_value, effect in zip(p_values, effects, strict=True)]
            p_value = float(holm(np.array(p_values)).min())
            fell = all(means[-1] < means[0] for means in both)
            removability, similarity = (effect.in_words() for effect in effects)
            findings.append(
                Finding(
                    "agrees" if p_value < SIGNIFICANCE else "disagrees" if fell else "cannot be told",
                    f"{layer}: AUC {removability}, similarity {similarity} over {len(widths)} widths, "
                    f"{probability(p_value)} for the one that is clearer",
                    p_value,
                )
            )
        return together(findings)

    return of_each(
        f"Agrees if removability or similarity of every layer of {series} grows with width (a line through the means "
        f"over {FEWEST_REPLICATES} replicates or more rises, and Kendall's one-sided test of them finds growth, p < "
        f"{SIGNIFICANCE} of both after Holm's correction for the two measures); disagrees if a layer has less of both "
        "at the widest than at the narrowest.",
        judge,
        (series,),
    )


def no_order_of_depth(series: SomeNames) -> Check:
    """Neither measure follows a layer's depth in one direction in all of these series; no test of significance.

    It disagrees if one does: if Kendall's τ between depth and the layers' means over widths has one sign in
    every series and is at least 0.5 in each.
    """

    def judge(analysis: Analysis, names: Sequence[str]) -> Finding:
        few = [name for name in names if _layers(analysis, name)["width_factor"].nunique() < FEWEST_WIDTHS]
        if few:
            return Finding("cannot be told", f"{listed(few)}: {FEWEST_WIDTHS} widths are needed.")
        single = [name for name in names if _layers(analysis, name)["depth"].nunique() < 2]
        if single:
            return Finding("cannot be told", f"{listed(single)}: one layer has no order.")
        findings = []
        for measure in (AUC, SIMILARITY):
            means = [_layers(analysis, name).groupby("depth")[measure].mean() for name in names]
            taus = np.array([stats.kendalltau(each.index, each).statistic for each in means])
            ordered = bool((taus >= ORDERED).all() or (taus <= -ORDERED).all())
            by_series = listed([f"{tau:+.2f} in {name}" for tau, name in zip(taus, names, strict=True)])
            evidence = f"{WORDS[measure]} with depth: τ {by_series}"
            findings.append(Finding("disagrees" if ordered else "agrees", evidence))
        return together(findings)

    return Check(
        f"Agrees if neither removability nor similarity goes with depth in one direction in {listed(series)}; "
        f"disagrees if for one of them Kendall's τ between depth and the layers' means over all widths is at least "
        f"{ORDERED} in each, with one sign; {FEWEST_WIDTHS} widths or more. {NO_TEST}",
        judge,
        series,
    )


def _p_value_of_order(means: Widths, widths: Widths) -> float:
    """Kendall's test of means against their rising with width; 1 where nothing changes."""
    if np.ptp(means) == 0:
        return 1.0
    return float(stats.kendalltau(widths, means, alternative="greater").pvalue)


def _at_each_width(
    claimed: str, measure: Measure, series: str, holds: Callable[[pd.Series], bool], layers: Names, among: Names
) -> Check:
    """A check that something holds of the layers at every width; it disagrees if it fails at more than half of them."""

    def judge(analysis: Analysis, name: str) -> Finding:
        of_series = _layers(analysis, name)
        by_width = of_series.pivot(index="width_factor", columns="layer", values=measure)
        if among:
            by_width = by_width.reindex(columns=list(among))
        held = [width for width, values in by_width.iterrows() if holds(values)]
        count, widths = len(held), len(by_width)
        at = f", at {listed([f'{width:g}×' for width in held])}" if 0 < count < widths else ""
        evidence = f"{name}: at {count} of {widths} widths{at}, n = {of_series['n'].min() if widths else 0}"
        if widths < FEWEST_WIDTHS:
            return Finding("cannot be told", f"{evidence}, and {FEWEST_WIDTHS} widths are needed")
        answer = "agrees" if count == widths else "disagrees" if 2 * count < widths else "cannot be told"
        return Finding(answer, evidence)

    return of_each(
        f"Agrees if in {series} {claimed}, in means over replicates at every width; disagrees if this fails at more "
        f"than half of the widths; {FEWEST_WIDTHS} widths or more. {NO_TEST}",
        judge,
        (series,),
        (*layers, *among),
    )


def _layers(analysis: Analysis, series: str) -> pd.DataFrame:
    """The layers of a series at the widths at which no network has collapsed to one label."""
    layers = analysis.layers
    return layers[(layers["series"] == series) & ~layers["width_factor"].isin(collapsed_widths(analysis, series))]


def _trends(analysis: Analysis, series: str, measure: Measure) -> dict[str, tuple[Widths, Widths]] | Finding:
    """For each layer, in order of depth, its means over replicates and their widths; or that there is too little."""
    layers = _layers(analysis, series)
    widths, n = layers["width_factor"].nunique(), layers["n"].min()
    if widths < FEWEST_WIDTHS or n < FEWEST_REPLICATES:
        return Finding(
            "cannot be told",
            f"{series}: a trend needs at least {FEWEST_REPLICATES} replicates at {FEWEST_WIDTHS} widths, and there are "
            f"{n if widths else 0} at {widths}",
        )
    by_width = layers.pivot(index="width_factor", columns="layer", values=measure).sort_index()
    order = layers.drop_duplicates("layer").sort_values("depth")["layer"]
    return {name: (by_width[name].to_numpy(dtype=float), by_width.index.to_numpy(dtype=float)) for name in order}
