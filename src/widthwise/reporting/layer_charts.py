"""Charts of single layers: their ablation curves, and the distributions of |r| as violins or as lines."""

import json

import altair as alt
import numpy as np

from widthwise.reporting.composing import Specification, layered, view
from widthwise.reporting.depth_axis import LAYERS, about_layer, bright
from widthwise.reporting.numbers import MEASURED
from widthwise.reporting.profile_rows import FEW_LAYERS, Row
from widthwise.reporting.theme import ordered_colours

WIDTH = 355
HEIGHT = 260
VIOLIN_REACH = 0.42
VIOLIN_NAMES = 9
NAMED_LAYERS = 12
"""Up to this many layers each have an entry in the legend; for more, a scale shows their depth."""


def curves(rows: list[Row], levels: int) -> Specification:
    """The share of labels that stay, by the share of units that is dropped."""
    chart = (
        _flattened("unchanged", "deviation")
        .transform_calculate(dropped=f"datum.index / {levels - 1}")
        .mark_line(point=_points(rows), strokeWidth=1.6)
        .encode(
            x=alt.X("dropped:Q", title="Share of units dropped", axis=alt.Axis(format=".1f", grid=False)),
            y=alt.Y(
                "unchanged:Q",
                title="Share of unchanged labels",
                axis=alt.Axis(format=".1f"),
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=_colour(rows),
            detail="layer:N",
            opacity=_opacity(rows),
            tooltip=about_layer(
                alt.Tooltip("dropped:Q", title="Units dropped", format=MEASURED),
                alt.Tooltip("unchanged:Q", title="Unchanged labels", format=MEASURED),
                alt.Tooltip("deviation:Q", title="Deviation", format=MEASURED),
            ),
        )
    )
    return view(chart, width=WIDTH, height=HEIGHT)


def violins(rows: list[Row], bins: int, threshold: float) -> Specification:
    """The distribution of |r| over the pairs of units, one violin for each layer; a dashed line at the threshold."""
    names = [row["short"] for row in rows]
    ticks = sorted({round(tick) for tick in np.linspace(1, len(rows), min(len(rows), VIOLIN_NAMES))})
    axis = alt.Axis(
        values=ticks,
        labelExpr=f"{json.dumps(names)}[datum.value - 1]",
        labelAngle=-40 if len(rows) > 4 else 0,
        labelLimit=150,
        grid=False,
    )
    scale = alt.Scale(domain=[0.5, len(rows) + 0.5], nice=False, zero=False)
    shapes = (
        _distribution(bins)
        .transform_joinaggregate(peak="max(pairs)", groupby=["depth"])
        .transform_calculate(half=f"{VIOLIN_REACH} * datum.pairs / datum.peak")
        .transform_calculate(left="datum.depth - datum.half", right="datum.depth + datum.half")
        .mark_area(orient="horizontal", interpolate="monotone", fillOpacity=0.75)
        .encode(
            x=alt.X("left:Q", title=None, scale=scale, axis=axis),
            x2="right:Q",
            y=alt.Y("middle:Q", title="|r| between units", scale=alt.Scale(domain=[0, 1])),
            color=_colour(rows),
            detail="layer:N",
            opacity=_opacity(rows),
            tooltip=_pairs_tooltip(),
        )
    )
    line = _dashed().encode(y=alt.YDatum(threshold))
    return layered([shapes, line], width=WIDTH, height=HEIGHT)


def distributions(rows: list[Row], bins: int, threshold: float) -> Specification:
    """The distribution of |r| over the pairs of units, one line for each layer; a dashed line at the threshold."""
    lines = (
        _distribution(bins)
        .mark_line(strokeWidth=1.6)
        .encode(
            x=alt.X("middle:Q", title="|r| between units", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(grid=False)),
            y=alt.Y("pairs:Q", title="Share of pairs", axis=alt.Axis(format=MEASURED)),
            color=_colour(rows),
            detail="layer:N",
            opacity=_opacity(rows),
            tooltip=_pairs_tooltip(),
        )
    )
    line = _dashed().encode(x=alt.XDatum(threshold))
    return layered([lines, line], width=WIDTH, height=HEIGHT)


def _flattened(*fields: str) -> alt.Chart:
    """A row for each number in a layer's lists, with its `index`."""
    chart = alt.Chart(LAYERS).transform_calculate(index=f"sequence(length(datum.{fields[0]}))")
    return chart.transform_flatten([*fields, "index"])


def _distribution(bins: int) -> alt.Chart:
    chart = alt.Chart(LAYERS).transform_filter("length(datum.pairs) > 0")
    chart = chart.transform_calculate(index=f"sequence({bins})").transform_flatten(["pairs", "index"])
    return chart.transform_calculate(middle=f"(datum.index + 0.5) / {bins}")


def _dashed() -> alt.Chart:
    return alt.Chart(LAYERS).transform_filter("datum.depth == 1").mark_rule(strokeDash=[4, 3], opacity=0.6)


def _pairs_tooltip() -> list[alt.Tooltip]:
    return about_layer(
        alt.Tooltip("middle:Q", title="|r|", format=MEASURED),
        alt.Tooltip("pairs:Q", title="Share of pairs", format=MEASURED),
    )


def _points(rows: list[Row]) -> alt.OverlayMarkDef | bool:
    return alt.OverlayMarkDef(size=24, filled=True) if len(rows) <= FEW_LAYERS else False


def _opacity(rows: list[Row]) -> alt.OpacityValue:
    """Lines of many layers are drawn thinly, so that those on top do not hide all others."""
    if len(rows) <= FEW_LAYERS:
        return bright()
    thin = max(0.05, 20 / len(rows))
    return alt.OpacityValue(
        0.02,
        condition=[{"test": "!length(shown)", "value": thin}, {"test": "indexof(shown, datum.depth) >= 0", "value": 1}],
    )


def _colour(rows: list[Row]) -> alt.Color:
    if len(rows) <= NAMED_LAYERS:
        names = [row["short"] for row in rows]
        scale = alt.Scale(domain=names, range=ordered_colours(len(rows)))
        legend = alt.Legend(title="Layer", orient="right", symbolOpacity=1, labelLimit=150)
        return alt.Color("short:N", sort=names, scale=scale, legend=legend)
    colours = ordered_colours(7)
    scale = alt.Scale(domain=np.linspace(1, len(rows), len(colours)).tolist(), range=colours)
    return alt.Color("depth:Q", title="Depth", scale=scale, legend=alt.Legend(type="gradient", gradientLength=150))
