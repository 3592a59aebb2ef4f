"""Charts of an experiment's tables."""

import copy
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import curves_of_networks
from widthwise.reporting.composing import Specification, joined, layered, named, view, where_isolated
from widthwise.reporting.theme import SERIES_COLOURS, SERIES_SHAPES, width_colours

PANEL = 250
"""Width and height of the paper's three panels, in pixels."""
SMALL_PANEL_HEIGHT = 180
VIOLIN_REACH = 0.42
"""Half the greatest width of a violin, as a share of the distance to the next violin."""
ROUNDED = dict.fromkeys(("left", "right", "middle", "share"), 4)
COLUMNS = 3
LEGEND_COLUMNS = 3
FADED = 0.06
NUMERATORS = (1, 3, 5, 7, 9)


def width_label(width: str) -> str:
    """A Vega expression that writes a width factor as `4x`, `1/4x` or `5/32x`, as `widthText` does on the page."""
    fractions = (
        f"abs({top} / {width} - round({top} / {width})) < 1e-6 ? '{top}/' + round({top} / {width}) : "
        for top in NUMERATORS
    )
    number = f"format({width}, '~r')"
    return f"({width} < 1 ? ({''.join(fractions)}{number}) : {number}) + 'x'"


MEASURES = {
    "test_accuracy": "Test accuracy",
    "auc": "Removability (AUC)",
    "similarity": "Similarity (similar units per unit)",
}
"""Titles of axes for the paper's three measures of a network."""
OF_LAYERS = ("auc", "similarity")


def panels(analysis: Analysis, series: Sequence[str], measures: Sequence[str] = tuple(MEASURES)) -> Specification:
    """Measures against the width factor, one panel each, one line per series (as the paper's Figs. 1, 4 to 6, B3 …).

    Error bars as in the paper: of AUC and accuracy one standard deviation between replicates, of similarity the mean
    deviation between samplings. Faint points are the single networks.
    """
    shown = [name for name in analysis.series if name in set(series) & set(analysis.summary["series"])]
    summary = analysis.summary[analysis.summary["series"].isin(shown)]
    networks = analysis.networks[analysis.networks["series"].isin(shown)]
    views = [_over_widths(summary, networks, measure, "series", shown) for measure in measures]
    return joined(views, ["color", "shape"], isolating="series")


def layer_panels(analysis: Analysis, series: Sequence[str], layers: Sequence[str] = ()) -> Specification:
    """Removability and similarity of the layers of one series against the width factor (as the paper's Figs. B6 to
    B9).

    Args:
        series: the one series.
        layers: the layers to show; empty: all of them.
    """
    of_series = analysis.layers[analysis.layers["series"].isin(series)]
    table = of_series[of_series["layer"].isin(layers)] if layers else of_series
    shown = list(table.sort_values("depth")["layer"].unique())
    views = [_over_widths(table, None, measure, "layer", shown) for measure in OF_LAYERS]
    return joined(views, ["color", "shape"], isolating="layer")


def parameter_panel(analysis: Analysis, series: Sequence[str]) -> Specification:
    """Trainable parameters against the width factor, both on a logarithmic scale (as the paper's Fig. B1)."""
    table = analysis.summary[analysis.summary["series"].isin(series)]
    shown = [name for name in analysis.series if name in set(table["series"])]
    colour, shape = _kinds("series", shown)
    y = alt.Y("parameters:Q", title="Trainable parameters", scale=alt.Scale(type="log"), axis=alt.Axis(format="~s"))
    base = alt.Chart(table[["series", "width_factor", "parameters"]]).encode(x=_width_axis(table), y=y, color=colour)
    tooltip = [
        alt.Tooltip("series:N", title="Network"),
        alt.Tooltip("width_factor:Q", title="Width factor"),
        alt.Tooltip("parameters:Q", title="Parameters", format=",d"),
    ]
    points = base.mark_point(filled=True, size=55).encode(shape=shape, tooltip=tooltip)
    return layered([base.mark_line(strokeWidth=1.8), points], width=PANEL, height=PANEL)


def _kinds(field: str, names: list[str]) -> tuple[alt.Color, alt.Shape]:
    """A colour and a shape for each name, in their order."""
    legend = alt.Legend(
        orient="bottom", direction="horizontal", columns=LEGEND_COLUMNS, title=None, symbolOpacity=1, labelLimit=240
    )

    indices = range(len(names))
    colours = [SERIES_COLOURS[index % len(SERIES_COLOURS)] for index in indices]
    shapes = [SERIES_SHAPES[(index + index // len(SERIES_COLOURS)) % len(SERIES_SHAPES)] for index in indices]
    return (
        alt.Color(f"{field}:N", sort=names, scale=alt.Scale(domain=names, range=colours), legend=legend),
        alt.Shape(f"{field}:N", sort=names, scale=alt.Scale(domain=names, range=shapes), legend=legend),
    )


def _width_axis(table: pd.DataFrame) -> alt.X:
    widths = sorted(table["width_factor"].unique())
    return alt.X(
        "width_factor:Q",
        title="Width factor",
        scale=alt.Scale(type="log", base=2, domain=[widths[0] / 1.15, widths[-1] * 1.15], nice=False),
        axis=alt.Axis(values=widths, labelExpr=width_label("datum.value"), grid=False),
    )


def _over_widths(
    summary: pd.DataFrame, networks: pd.DataFrame | None, measure: str, field: str, shown: list[str]
) -> Specification:
    """One panel: a measure against the width factor, a line for each value of `field`, which are `shown` in order."""
    colour, shape = _kinds(field, shown)
    title, deviation = MEASURES[measure], f"{measure}_std"
    table = summary.assign(
        low=lambda each: each[measure] - each[deviation].fillna(0),
        high=lambda each: each[measure] + each[deviation].fillna(0),
    )
    x = _width_axis(table)
    y = alt.Y(f"{measure}:Q", title=title, scale=alt.Scale(zero=measure == "similarity"))
    base = alt.Chart(table[[field, "width_factor", measure, "low", "high", deviation, "n"]]).encode(
        x=x, color=colour, opacity=where_isolated(field, FADED)
    )
    bars = base.mark_rule(strokeWidth=1.2).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.8).encode(y=y)
    means = base.mark_point(filled=True, size=55).encode(
        y=y,
        shape=shape,
        tooltip=[
            alt.Tooltip(f"{field}:N", title=field.capitalize()),
            alt.Tooltip("width_factor:Q", title="Width factor"),
            alt.Tooltip(f"{measure}:Q", title=title, format=".4~f"),
            alt.Tooltip(f"{deviation}:Q", title="Deviation", format=".2~g"),
            alt.Tooltip("n:Q", title="Replicates"),
        ],
    )
    layers = [bars, lines, means]
    if networks is not None:
        single = alt.Chart(networks[[field, "width_factor", measure]]).mark_circle(size=14)
        faint = where_isolated(field, FADED / 3, bright=0.35)
        layers.insert(2, single.encode(x=x, y=y, color=colour, opacity=faint))
    return layered(layers, width=PANEL, height=PANEL)


def ablation_curves(analysis: Analysis, series: Sequence[str]) -> Specification:
    """The share of unchanged labels against the share of dropped units, one line per width (as the paper's Fig. 2)."""
    curves = curves_of_networks(analysis.ablation).drop(columns="layer")
    line = (
        alt.Chart()
        .mark_line(point=alt.OverlayMarkDef(size=22, filled=True), strokeWidth=1.6)
        .encode(
            x=alt.X("share_dropped:Q", title="Share of units dropped", axis=alt.Axis(format="~%", grid=False)),
            y=alt.Y(
                "unchanged:Q",
                title="Unchanged labels",
                axis=alt.Axis(format="~%"),
                scale=alt.Scale(zero=False),
            ),
            color=_width_colour(curves),
            opacity=where_isolated("width_factor", FADED),
            tooltip=[
                alt.Tooltip("series:N", title="Series"),
                alt.Tooltip("width_factor:O", title="Width factor"),
                alt.Tooltip("share_dropped:Q", title="Units dropped", format=".1~%"),
                alt.Tooltip("unchanged:Q", title="Unchanged labels", format=".1~%"),
                alt.Tooltip("unchanged_std:Q", title="Deviation", format=".2~%"),
                alt.Tooltip("n:Q", title="Replicates"),
            ],
        )
    )
    return _by_series(view(line), curves, analysis, series)


def correlation_violins(analysis: Analysis, series: Sequence[str], layer: str = "") -> Specification:
    """The distribution of |r| over the pairs of units of a layer, by default each network's last, one violin per width
    (as the paper's Fig. 3).

    Each violin is scaled to its own most frequent value; the dashed line is the threshold from which units count as
    similar.
    """
    table = analysis.correlation
    wanted = table["layer"] == layer if layer else table["layer"] == table.groupby("series")["layer"].transform("last")
    shares = table[wanted].drop(columns="layer")
    peak = shares.groupby(["series", "width_factor"])["share"].transform("max")
    centre = np.log2(shares["width_factor"])
    apart = min([1.0, *np.diff(np.unique(centre))])
    half = VIOLIN_REACH * apart * (shares["share"] / peak).fillna(0)
    middle = (shares["low"] + shares["high"]) / 2
    outline = shares.assign(left=centre - half, right=centre + half, middle=middle).drop(columns=["low", "high"])
    positions = [float(np.log2(width)) for width in sorted(shares["width_factor"].unique())]
    violin = (
        alt.Chart()
        .mark_area(orient="horizontal", interpolate="monotone", fillOpacity=0.75)
        .encode(
            x=alt.X(
                "left:Q",
                title="Width factor",
                scale=alt.Scale(domain=[positions[0] - apart / 2, positions[-1] + apart / 2], nice=False, zero=False),
                axis=alt.Axis(
                    values=positions,
                    labelExpr=width_label("pow(2, datum.value)"),
                    grid=False,
                ),
            ),
            x2="right:Q",
            y=alt.Y("middle:Q", title="|r| between units", scale=alt.Scale(domain=[0, 1])),
            color=_width_colour(shares),
            opacity=where_isolated("width_factor", FADED),
            tooltip=[
                alt.Tooltip("series:N", title="Series"),
                alt.Tooltip("width_factor:O", title="Width factor"),
                alt.Tooltip("middle:Q", title="|r|", format=".2f"),
                alt.Tooltip("share:Q", title="Share of pairs", format=".2~%"),
            ],
        )
    )
    threshold = next(analysis.sweep.runs(analysis.scale)).trial.measurement.threshold
    line = alt.Chart().mark_rule(strokeDash=[4, 3], opacity=0.6).encode(y=alt.datum(threshold))
    return _by_series(layered([violin, line]), outline.round(ROUNDED), analysis, series)


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
                tooltip=["series:N", "replicate:O", "kind:N", alt.Tooltip("value:Q", format=".4~f")],
            )
        )
        charts.append(view(chart, title=quantity[0].upper() + quantity[1:], width=PANEL, height=SMALL_PANEL_HEIGHT))
    return joined(charts, ["color", "shape"], columns=COLUMNS)


def _width_colour(table: pd.DataFrame) -> alt.Color:
    widths = sorted(table["width_factor"].unique())
    return alt.Color(
        "width_factor:O",
        title="Width factor",
        scale=alt.Scale(domain=widths, range=width_colours(len(widths))),
        legend=alt.Legend(
            orient="bottom", direction="horizontal", labelExpr=width_label("datum.value"), symbolOpacity=1
        ),
    )


def _by_series(content: Specification, table: pd.DataFrame, analysis: Analysis, series: Sequence[str]) -> Specification:
    """The same view for each series, side by side, on the same scales."""
    size = {"width": PANEL, "height": SMALL_PANEL_HEIGHT}
    views = [
        {**copy.deepcopy(content), "data": named(table[table["series"] == name]), "title": name, **size}
        for name in analysis.series
        if name in set(series) & set(table["series"])
    ]
    return joined(views, ["color", "x", "y"], isolating="width_factor", columns=COLUMNS)
