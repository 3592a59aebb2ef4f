"""Charts of an experiment's curves, correlations and constructions."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import curves_of_networks
from widthwise.reporting import published_layer
from widthwise.reporting.composing import Specification, joined, layered, named, view, where_isolated
from widthwise.reporting.numbers import COUNTED, MEASURED, labels, round_axis, width_text
from widthwise.reporting.over_widths import FADED, PANEL
from widthwise.reporting.theme import SERIES_COLOURS, ordered_colours

SMALL_PANEL_HEIGHT = 180
VIOLIN_PANEL_HEIGHT = 220
VIOLIN_ROOM = 78
"""Pixels for each violin: the number of its pairs stands under it."""
VIOLIN_REACH = 0.42
"""Half the greatest width of a violin, as a share of the distance to the next violin."""
ONE_ROW = alt.Data(values=[{}])
"""The table of a mark that is drawn once."""
DIGITS = 4
COLUMNS = 3
BESIDE = 840
"""Panels are put side by side up to this width, in pixels."""


def ablation_curves(analysis: Analysis, series: Sequence[str]) -> Specification:
    """The share of unchanged labels against the share of dropped units, one line per width (as the paper's Fig. 2)."""
    curves = curves_of_networks(analysis.ablation).drop(columns="layer")
    curves = curves.assign(width=curves["width_factor"].map(width_text))
    x = alt.X("share_dropped:Q", title="Share of units dropped", axis=_from_0_to_1(grid=False))
    y = alt.Y(
        "unchanged:Q",
        title="Share of unchanged labels",
        axis=_from_0_to_1(),
        scale=alt.Scale(domain=[0, 1], nice=False, zero=False),
    )
    colour = _width_colour(sorted(curves["width_factor"].unique()))
    line = (
        alt.Chart()
        .mark_line(point=alt.OverlayMarkDef(size=22, filled=True), strokeWidth=1.6)
        .encode(
            x=x,
            y=y,
            color=colour,
            opacity=where_isolated("width_factor", FADED),
            tooltip=[
                alt.Tooltip("series:N", title="Series"),
                alt.Tooltip("width:N", title="Width factor"),
                alt.Tooltip("share_dropped:Q", title="Units dropped", format=MEASURED),
                alt.Tooltip("unchanged:Q", title="Unchanged labels", format=MEASURED),
                alt.Tooltip("unchanged_std:Q", title="Deviation", format=MEASURED),
                alt.Tooltip("n:Q", title="Replicates", format=COUNTED),
            ],
        )
    )
    size = {"width": PANEL, "height": SMALL_PANEL_HEIGHT}
    views = []
    for name in (name for name in analysis.series if name in set(series) & set(curves["series"])):
        grey = published_layer.lines_of_curves(published_layer.curves(analysis, name), x, y, colour)
        views.append(layered([*grey, line], data=named(curves[curves["series"] == name]), title=name, **size))
    return joined(views, ["color", "x", "y"], isolating="width_factor", columns=COLUMNS)


def correlation_violins(analysis: Analysis, series: Sequence[str], layer: str = "") -> Specification:
    """The distribution of |r| over the pairs of units of a layer, by default each network's last, one violin per width
    (as the paper's Fig. 3).

    Each violin is scaled to its own most frequent value, and the number of its pairs stands under it: units of constant
    activity are in no pair. The dashed line is the threshold from which units count as similar.
    """
    table = analysis.correlation
    wanted = table["layer"] == layer if layer else table["layer"] == table.groupby("series")["layer"].transform("last")
    table = table[wanted]
    threshold = next(analysis.sweep.runs(analysis.scale)).trial.measurement.threshold
    widths = sorted(float(width) for width in table["width_factor"].unique())
    positions = [float(np.log2(width)) for width in widths]
    apart = min([1.0, *np.diff(positions)])
    size = {"width": max(PANEL, VIOLIN_ROOM * len(widths)), "height": VIOLIN_PANEL_HEIGHT}
    views = []
    for name in (name for name in analysis.series if name in set(series) & set(table["series"])):
        of_series = table[table["series"] == name]
        violins = {width: of_series[of_series["width_factor"] == width] for width in widths}
        outlines = [
            _outline(violins[width], VIOLIN_REACH * apart, threshold) for width in widths if len(violins[width])
        ]
        counts = [round(violins[width]["pairs"].sum()) for width in widths]
        under = [[width_text(width), f"n = {n:,}", "pairs"] for width, n in zip(widths, counts, strict=True)]
        x = alt.X(
            "x:Q",
            title="Width factor",
            scale=alt.Scale(domain=[positions[0] - apart / 2, positions[-1] + apart / 2], nice=False, zero=False),
            axis=alt.Axis(values=positions, labelExpr=labels(positions, under), labelOverlap=False, grid=False),
        )
        violin = (
            alt.Chart()
            .mark_line(filled=True, interpolate="linear-closed", fillOpacity=0.75, strokeWidth=0)
            .encode(
                x=x,
                y=alt.Y("y:Q", title="|r| between units", scale=alt.Scale(domain=[0, 1]), axis=_from_0_to_1()),
                order="index:O",
                color=_width_colour(widths, legend=False),
                tooltip=[
                    alt.Tooltip("width:N", title="Width factor"),
                    alt.Tooltip("pairs:Q", title="Pairs", format=COUNTED),
                    alt.Tooltip("similar:Q", title=f"Share with |r| ≥ {threshold:g}", format=MEASURED),
                ],
            )
        )
        line = alt.Chart(ONE_ROW).mark_rule(strokeDash=[4, 3], opacity=0.6).encode(y=alt.datum(threshold))
        grey = published_layer.marks_of_violins(published_layer.violins(analysis, name, of_series["layer"].iloc[0]), x)
        views.append(layered([violin, line, *grey], data=named(pd.concat(outlines)), title=name, **size))
    columns = max(1, BESIDE // size["width"])
    return joined(views, ["color", "x", "y"], columns=columns)


def _outline(bins: pd.DataFrame, half: float, threshold: float) -> pd.DataFrame:
    """The closed outline of a violin from its bins: up on its left and down on its right."""
    width = float(bins["width_factor"].iloc[0])
    middle = ((bins["low"] + bins["high"]) / 2).to_numpy()
    peak = bins["share"].max()
    reach = half * (bins["share"] / peak if peak > 0 else bins["share"]).to_numpy()
    centre = np.log2(width)
    return pd.DataFrame(
        {
            "width_factor": width,
            "width": width_text(width),
            "x": np.concatenate([centre - reach, (centre + reach)[::-1]]).round(DIGITS),
            "y": np.concatenate([middle, middle[::-1]]).round(DIGITS),
            "index": range(2 * len(bins)),
            "pairs": round(bins["pairs"].sum()),
            "similar": bins.loc[bins["low"] >= threshold - 1e-9, "share"].sum(),
        }
    )


def _from_0_to_1(grid: bool = True) -> alt.Axis:
    return round_axis([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], grid)


def constructions(analysis: Analysis, series: Sequence[str]) -> Specification:
    """Expected (Section 2.3) and measured quantities of each construction, one mark per replicate."""
    shown = analysis.comparison[analysis.comparison["quantity"] != "output difference"]
    series = [name for name in series if name in set(shown["series"])]
    kinds = ["expected", "expected below", "measured"]
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[SERIES_COLOURS[4], SERIES_COLOURS[3], SERIES_COLOURS[0]]),
        legend=alt.Legend(title=None, orient="bottom"),
    )
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["square", "triangle-down", "circle"]))
    charts = []
    for quantity in shown["quantity"].unique():
        long = shown[shown["quantity"] == quantity].melt(
            ["series", "replicate", "relation"], ["expected", "measured"], var_name="kind", value_name="value"
        )
        long.loc[(long["kind"] == "expected") & (long["relation"] == "<"), "kind"] = "expected below"
        chart = (
            alt.Chart(long)
            .mark_point(size=60, strokeWidth=1.8)
            .encode(
                x=alt.X("series:N", sort=series, title=None, axis=alt.Axis(labelAngle=0)),
                xOffset=alt.XOffset("kind:N", sort=kinds),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=True)),
                color=colour,
                shape=shape,
                tooltip=["series:N", "replicate:O", "kind:N", alt.Tooltip("value:Q", format=MEASURED)],
            )
        )
        charts.append(view(chart, title=quantity[0].upper() + quantity[1:], width=PANEL, height=SMALL_PANEL_HEIGHT))
    return joined(charts, ["color", "shape"], columns=COLUMNS)


def _width_colour(widths: Sequence[float], legend: bool = True) -> alt.Color:
    values = [float(width) for width in widths]
    texts = labels(values, list(map(width_text, values)))
    shown = alt.Legend(orient="bottom", direction="horizontal", labelExpr=texts, symbolOpacity=1)
    scale = alt.Scale(domain=values, range=ordered_colours(len(values)))
    return alt.Color("width_factor:O", title="Width factor", scale=scale, legend=shown if legend else None)
