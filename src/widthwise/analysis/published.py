"""An experiment beside the authors' published values: point by point, and what the points say of each series.

The authors' plots show what the protocol `figures` measures, so only that is compared; and only at the widths, layers
and shares of dropped units that both have.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import curves_of_networks
from widthwise.experiments.published_values import published
from widthwise.experiments.sweep import Sweep

OF_NETWORKS = {
    **{name: name for name in ("test_accuracy", "train_accuracy", "auc", "prunability")},
    "similarity": "similarity_reference",
}
"""Published measures of a network, and our columns: in the plots' similarity a constant unit counts -1."""
QUANTILES = {"abs_r_q25": 0.25, "abs_r_median": 0.5, "abs_r_q75": 0.75}
SIMILAR = 0.5
"""The |r| of `abs_r_share_at_least_0.5`."""
ERRORS = 2
"""The number of standard errors, of the difference of two means, that a difference by chance is allowed."""
FLAT = {"similarity": 0.5}
"""The change over the widths up to which a measure counts as flat, in similar units; all others are shares."""
FLAT_SHARE = 0.05
PRECISION = 1e-3
"""Shares of dropped units that differ by less are one."""

KEYS = ["measure", "series", "layer", "width_factor", "level"]
POINT = [*KEYS[:-1], "share_dropped"]
THEIRS = {
    **{"value": "theirs", "uncertainty": "their_uncertainty"},
    **{"error_bar": "their_error_bar", "networks": "their_networks"},
}
SERIES = ["figure", "measure", "series", "layer"]
Agreement = Literal["agrees within uncertainties", "trend alike", "not alike", "cannot be told"]


def with_published(analysis: Analysis) -> Analysis:
    """An analysis with the tables `published` (`points_beside`) and `published_series` (`distances`).

    Both stay empty where there is nothing to compare: where the experiment is not the paper's or has other settings
    than its file, where nothing was measured by the protocol `figures`, or where no point has a published one.
    """
    if not comparable(analysis.sweep) or "figures" not in analysis.protocols:
        return analysis
    points = points_beside(published(analysis.sweep.experiment), analysis.under("figures"))
    return replace(analysis, published=points, published_series=distances(points)) if len(points) else analysis


def comparable(sweep: Sweep) -> bool:
    """True of the paper's experiments, also with another number of replicates."""
    return sweep.of_paper and set(sweep.overrides) <= {"replicates"}


def points_beside(values: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """The published values of which we have a point, one row each, beside ours.

    Args:
        values: published values (`published`).
        analysis: their experiment, under the protocol `figures`.

    Returns: `figure, measure, series, layer, width_factor, share_dropped`, the published value `theirs` with
        `their_uncertainty` (of the reading), `their_error_bar`, what it is the deviation between, and the number of
        `their_networks`; `ours`, the mean over `n` replicates, with `our_std` between them (missing for one, and for
        the distribution of |r|); `difference`, ours minus theirs; `uncertainty`, of the difference; `within`, whether
        the difference is no more than that; `doubt`.

        With u the uncertainty of the reading, s the deviation between networks, t theirs and o ours, the uncertainty is
        the square root of u² + (2 e)², with the standard error e² = s_t²/n_t + s_o²/n_o. Where no bar can be seen, or
        it is not one between networks, their networks are taken to deviate as ours; an unknown deviation counts as 0.
    """
    theirs = values[values["beside_ours"]].rename(columns=THEIRS)
    both = pd.merge(_keyed(theirs), _keyed(_ours(analysis)).drop(columns="share_dropped"), on=KEYS, sort=False)
    spread = both["their_error_bar"].where(both["error_bar_between"] == "networks").fillna(both["our_std"])
    squared = (spread.pow(2) / both["their_networks"]).fillna(0.0) + (both["our_std"].pow(2) / both["n"]).fillna(0.0)
    difference = both["ours"] - both["theirs"]
    uncertainty = np.sqrt(both["their_uncertainty"].pow(2) + ERRORS**2 * squared)
    within = difference.abs() <= uncertainty
    return both.assign(difference=difference, uncertainty=uncertainty, within=within)[COLUMNS]


COLUMNS = [
    *("figure", *POINT, "theirs", "their_uncertainty", "their_error_bar", "error_bar_between", "their_networks"),
    *("ours", "our_std", "n", "difference", "uncertainty", "within", "doubt"),
]


def distances(points: pd.DataFrame) -> pd.DataFrame:
    """One row for each series of a measure in a figure: how far our points (`points_beside`) are from the published.

    Returns: `figure, measure, series, layer`; the `agreement`; the number of `points` and of `widths` in common;
        `distance`, the root mean square of the differences, in the unit of the measure; `their_change` and
        `our_change` over the common widths, each on a line over log2 of the width factor, missing where there is one
        width; `doubt`.

        The agreement is `agrees within uncertainties` where every point is within its uncertainty. Otherwise it is
        `trend alike` where the two changes differ by at most half of the larger one (so that they have one sign), or by
        no more than what is called flat, 0.5 similar units and 0.05 of all other measures; and else `not alike`. With
        one width in common a trend `cannot be told`. An ablation curve counts by its mean at each width.
    """
    rows = []
    for key, group in points.groupby(SERIES, sort=False):
        measure = str(group["measure"].iloc[0])
        means = group.groupby("width_factor")[["theirs", "ours"]].mean()
        theirs, ours = (_change(means[name]) for name in ("theirs", "ours"))
        rows.append(
            {
                **dict(zip(SERIES, key, strict=True)),
                "agreement": _agreement(bool(group["within"].all()), theirs, ours, FLAT.get(measure, FLAT_SHARE)),
                "points": len(group),
                "widths": len(means),
                "distance": float(np.sqrt(group["difference"].pow(2).mean())),
                "their_change": theirs,
                "our_change": ours,
                "doubt": "; ".join(dict.fromkeys(doubt for doubt in group["doubt"] if doubt)),
            }
        )
    return pd.DataFrame(rows)


def _agreement(within: bool, theirs: float, ours: float, flat: float) -> Agreement:
    if within:
        return "agrees within uncertainties"
    if np.isnan(theirs):
        return "cannot be told"
    larger = max(abs(theirs), abs(ours))
    return "trend alike" if abs(ours - theirs) <= max(larger / 2, flat) else "not alike"


def _change(means: pd.Series) -> float:
    """The change from the narrowest to the widest width on a line over log2 of the width factor, by least squares."""
    if len(means) < 2:
        return np.nan
    doublings = np.log2(means.index.to_numpy(dtype=float))
    return float(np.polyfit(doublings, means.to_numpy(), 1)[0] * np.ptp(doublings))


def _keyed(points: pd.DataFrame) -> pd.DataFrame:
    """Points with a `level` by which shares of dropped units are recognized: published ones have four digits."""
    return points.assign(level=(points["share_dropped"].astype(float) / PRECISION).round())


def _ours(analysis: Analysis) -> pd.DataFrame:
    """Our means by the keys of a published point: `ours, our_std, n`."""
    parts = [
        *(_of_networks(analysis.networks, *names) for names in OF_NETWORKS.items()),
        _of_layers(analysis.layers),
        *([_of_curves(analysis.ablation)] if len(analysis.ablation) else []),
        *([_of_correlations(analysis.correlation, analysis.networks)] if len(analysis.correlation) else []),
    ]
    numbers = dict.fromkeys(("width_factor", "share_dropped", "ours", "our_std", "n"), float)
    return pd.concat([part for part in parts if len(part)]).astype(numbers).astype({"n": int})


def _of_networks(networks: pd.DataFrame, measure: str, column: str) -> pd.DataFrame:
    groups = networks.groupby(["series", "width_factor"], sort=False)[column]
    return _means(groups.mean(), groups.std(), groups.count()).assign(measure=measure, layer="")


def _of_layers(layers: pd.DataFrame) -> pd.DataFrame:
    """The prunability of single layers, the only published number of theirs."""
    table = layers.set_index(["series", "width_factor", "layer"])
    between = table["prunability_std"].where(table["n"] > 1)
    return _means(table["prunability"], between, table["n"]).assign(measure="prunability")


def _of_curves(ablation: pd.DataFrame) -> pd.DataFrame:
    curves = curves_of_networks(ablation).set_index(["series", "width_factor", "share_dropped"])
    return _means(curves["unchanged"], curves["unchanged_std"], curves["n"]).assign(measure="unchanged", layer="")


def _of_correlations(correlation: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """The numbers of a violin, of the pairs of all replicates together."""
    numbers = {
        key: distribution(bins)
        for key, bins in correlation.groupby(["series", "width_factor", "layer"], sort=False)
        if bins["share"].sum() > 0
    }
    if not numbers:
        return pd.DataFrame()
    table = pd.DataFrame.from_dict(numbers, orient="index").rename_axis(["series", "width_factor", "layer"])
    long = table.melt(var_name="measure", value_name="ours", ignore_index=False).reset_index()
    counts = networks.groupby(["series", "width_factor"]).size().rename("n")
    return long.join(counts, on=["series", "width_factor"]).assign(our_std=np.nan, share_dropped=np.nan)


def distribution(bins: pd.DataFrame) -> dict[str, float]:
    """The mean, the quartiles and the share from 0.5 of a distribution of |r|, which is even within each bin.

    Args:
        bins: `low, high, share` of one layer at one width, from 0 to 1.
    """
    bins = bins.sort_values("low")
    low, high, share = (bins[name].to_numpy(dtype=float) for name in ("low", "high", "share"))
    share = share / share.sum()
    edges, reached = np.append(low, high[-1]), np.append(0.0, share.cumsum())
    quantiles = {name: float(np.interp(level, reached, edges)) for name, level in QUANTILES.items()}
    return {
        "abs_r_mean": float((share * (low + high) / 2).sum()),
        **quantiles,
        "abs_r_share_at_least_0.5": float(1 - np.interp(SIMILAR, edges, reached)),
    }


def _means(mean: pd.Series, between: pd.Series, count: pd.Series) -> pd.DataFrame:
    """`ours, our_std, n` beside their index, without missing means."""
    table = pd.DataFrame({"ours": mean, "our_std": between, "n": count}).reset_index().dropna(subset="ours")
    return table if "share_dropped" in table else table.assign(share_dropped=np.nan)
