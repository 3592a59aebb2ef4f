"""Charts, one function a figure, from an experiment's tables."""

from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import MEAN_OF_LAYERS
from widthwise.reporting.theme import SERIES_COLOURS, SERIES_SHAPES, width_colours

PANEL = 250
"""Width and height of the paper's three panels, in pixels."""
SMALL_PANEL_HEIGHT = 180
VIOLIN_REACH = 0.42
"""Half the width of the widest place of a violin, in doublings of width."""
COLUMNS = 3
WIDTH_LABEL = "datum.value < 1 ? '1/' + format(1 / datum.value, '~r') + 'x' : format(datum.value, '~r') + 'x'"
FADED = 0.06
Layered = alt.LayerChart | alt.FacetChart


def figures(analysis: Analysis) -> dict[str, Callable[[Analysis], Any]]:
    """The figures that an experiment has, by name, in the order of the page."""
    if len(analysis.comparison):
        first: dict[str, Callable[[Analysis], Any]] = {"constructions": constructions}
    else:
        first = {"panels": panels}
    return {**first, "ablation-curves": ablation_curves, "correlation-violins": correlation_violins}


def panels(analysis: Analysis) -> alt.HConcatChart:
    """Accuracy, removability and similarity against the width factor, a line a series (as the paper's Figs. B4, B5).

    Error bars as in the paper: of AUC and accuracy one standard deviation between replicates, of similarity the mean
    deviation between samplings. Faint points are the single networks.
    """
    isolated = alt.selection_point(name="isolated_series", fields=["series"], bind="legend")
    measures = (
        ("test_accuracy", "Test accuracy", False),
        ("auc", "Removability (AUC)", False),
        ("similarity", "Similarity (similar units per unit)", True),
    )
    charts = [_panel(analysis, *measure, isolated) for measure in measures]
    charts[0] = charts[0].add_params(isolated)  # a selection belongs to one view and acts on all
    return alt.hconcat(*charts).resolve_scale(color="shared", shape="shared")


def _panel(analysis: Analysis, measure: str, title: str, from_zero: bool, isolated: alt.Parameter) -> Layered:
    deviation = f"{measure}_std"
    summary = analysis.summary.assign(
        low=lambda table: table[measure] - table[deviation].fillna(0),
        high=lambda table: table[measure] + table[deviation].fillna(0),
    )
    widths = sorted(summary["width_factor"].unique())
    x = alt.X(
        "width_factor:Q",
        title="Width factor",
        scale=alt.Scale(type="log", base=2, domain=[widths[0] / 1.15, widths[-1] * 1.15], nice=False),
        axis=alt.Axis(values=widths, labelExpr=WIDTH_LABEL, grid=False),
    )
    y = alt.Y(f"{measure}:Q", title=title, scale=alt.Scale(zero=from_zero))
    series = analysis.series
    legend = alt.Legend(orient="bottom", direction="horizontal", columns=5, title=None, symbolOpacity=1)

    def scale(choices: list[str]) -> alt.Scale:
        return alt.Scale(domain=series, range=[choices[place % len(choices)] for place in range(len(series))])

    colour = alt.Color("series:N", sort=series, scale=scale(SERIES_COLOURS), legend=legend)
    shape = alt.Shape("series:N", sort=series, scale=scale(SERIES_SHAPES), legend=legend)
    base = alt.Chart(summary[["series", "width_factor", measure, "low", "high", deviation, "n"]]).encode(
        x=x, color=colour, opacity=alt.condition(isolated, alt.value(1.0), alt.value(FADED))
    )
    bars = base.mark_rule(strokeWidth=1.2).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.8).encode(y=y)
    networks = alt.Chart(analysis.networks[["series", "width_factor", measure]])
    single = networks.mark_circle(size=14).encode(
        x=x, y=y, color=colour, opacity=alt.condition(isolated, alt.value(0.35), alt.value(FADED / 3))
    )
    means = base.mark_point(filled=True, size=55).encode(
        y=y,
        shape=shape,
        tooltip=[
            alt.Tooltip("series:N", title="Series"),
            alt.Tooltip("width_factor:Q", title="Width factor"),
            alt.Tooltip(f"{measure}:Q", title=title, format=".4~f"),
            alt.Tooltip(f"{deviation}:Q", title="Deviation", format=".2~g"),
            alt.Tooltip("n:Q", title="Replicates"),
        ],
    )
    return alt.layer(bars, lines, single, means).properties(width=PANEL, height=PANEL)


def ablation_curves(analysis: Analysis) -> alt.ConcatChart:
    """The proportion of unchanged labels against the share of dropped units, a line a width (as the paper's Fig. 2)."""
    layers = list(analysis.ablation["layer"].unique())
    shown = MEAN_OF_LAYERS if MEAN_OF_LAYERS in layers else layers[0]
    curves = analysis.ablation[analysis.ablation["layer"] == shown].drop(columns="layer")
    isolated = _isolated_width()
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
            opacity=alt.condition(isolated, alt.value(1.0), alt.value(FADED)),
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
    return _by_series(line, curves, analysis, isolated)


def correlation_violins(analysis: Analysis) -> alt.ConcatChart:
    """How |r| is distributed over the pairs of units, a violin a width (as the paper's Fig. 3), in the last layer.

    Each violin is as wide as its own commonest value asks; the dashed line is the threshold from which units count as
    similar.
    """
    last = analysis.correlation["layer"].iloc[-1]
    shares = analysis.correlation[analysis.correlation["layer"] == last].drop(columns="layer")
    peak = shares.groupby(["series", "width_factor"])["share"].transform("max")
    half = VIOLIN_REACH * (shares["share"] / peak).fillna(0)
    centre = np.log2(shares["width_factor"])
    middle = (shares["low"] + shares["high"]) / 2
    outline = shares.assign(left=centre - half, right=centre + half, middle=middle).drop(columns=["low", "high"])
    positions = [float(np.log2(width)) for width in sorted(shares["width_factor"].unique())]
    isolated = _isolated_width()
    violin = (
        alt.Chart()
        .mark_area(orient="horizontal", interpolate="monotone", fillOpacity=0.75)
        .encode(
            x=alt.X(
                "left:Q",
                title="Width factor",
                scale=alt.Scale(domain=[positions[0] - 0.5, positions[-1] + 0.5], nice=False, zero=False),
                axis=alt.Axis(
                    values=positions,
                    labelExpr=WIDTH_LABEL.replace("datum.value", "pow(2, datum.value)"),
                    grid=False,
                ),
            ),
            x2="right:Q",
            y=alt.Y("middle:Q", title="|r| between units", scale=alt.Scale(domain=[0, 1])),
            color=_width_colour(shares),
            opacity=alt.condition(isolated, alt.value(1.0), alt.value(FADED)),
            tooltip=[
                alt.Tooltip("series:N", title="Series"),
                alt.Tooltip("width_factor:O", title="Width factor"),
                alt.Tooltip("middle:Q", title="|r|", format=".2f"),
                alt.Tooltip("share:Q", title="Share of pairs", format=".2~%"),
            ],
        )
    )
    threshold = analysis.sweep.trials(analysis.scale)[0].measurement.similarity_threshold
    line = alt.Chart().mark_rule(strokeDash=[4, 3], opacity=0.6).encode(y=alt.datum(threshold))
    return _by_series(violin + line, outline.round(4), analysis, isolated)


def constructions(analysis: Analysis) -> alt.ConcatChart:
    """What Section 2.3 leads to expect of each construction, beside what was measured; a mark a replicate."""
    shown = analysis.comparison[analysis.comparison["quantity"] != "output difference"]
    series = [name for name in analysis.series if name in set(shown["series"])]
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
            alt.Chart(long, title=quantity[0].upper() + quantity[1:])
            .mark_point(size=60, strokeWidth=1.8)
            .encode(
                x=alt.X("series:N", sort=series, title=None, axis=alt.Axis(labelAngle=0)),
                xOffset=alt.XOffset("kind:N", sort=kinds),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=True)),
                color=colour,
                shape=shape,
                tooltip=["series:N", "replicate:O", "kind:N", alt.Tooltip("value:Q", format=".4~f")],
            )
            .properties(width=PANEL, height=SMALL_PANEL_HEIGHT)
        )
        charts.append(chart)
    return alt.concat(*charts, columns=COLUMNS).resolve_scale(color="shared", shape="shared")


def _isolated_width() -> alt.Parameter:
    return alt.selection_point(name="isolated_width", fields=["width_factor"], bind="legend")


def _width_colour(table: pd.DataFrame) -> alt.Color:
    widths = sorted(table["width_factor"].unique())
    return alt.Color(
        "width_factor:O",
        title="Width factor",
        scale=alt.Scale(domain=widths, range=width_colours(len(widths))),
        legend=alt.Legend(orient="bottom", direction="horizontal", labelExpr=WIDTH_LABEL, symbolOpacity=1),
    )


def _by_series(
    chart: alt.Chart | Layered, table: pd.DataFrame, analysis: Analysis, isolated: alt.Parameter
) -> alt.ConcatChart:
    """The same chart for each series, side by side, on the same scales."""
    charts = [
        chart.properties(data=table[table["series"] == name], title=name, width=PANEL, height=SMALL_PANEL_HEIGHT)
        for name in analysis.series
        if name in set(table["series"])
    ]
    charts[0] = charts[0].add_params(isolated)  # a selection belongs to one view and acts on all
    return alt.concat(*charts, columns=COLUMNS).resolve_scale(color="shared", x="shared", y="shared")
