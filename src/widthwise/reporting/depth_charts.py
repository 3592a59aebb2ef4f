"""Charts of every layer by depth: its measures, the mechanisms of its units, and the strip of the whole network."""

import json

import altair as alt

from widthwise.reporting.composing import Specification, layered, view
from widthwise.reporting.depth_axis import IS_SHOWN, LAYERS, LAYERS_IN_VIEW, about_layer, bright, in_view
from widthwise.reporting.numbers import COUNTED, MEASURED
from widthwise.reporting.profile_rows import KINDS, Row
from widthwise.reporting.theme import SERIES_COLOURS

HEIGHT = 120
OVERVIEW_HEIGHT = 30
KIND_COLOURS = ["#7F7F7F", "#CC79A7", "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#C9CDD2"]
BAR = alt.ExprRef(f"clamp(0.8 * room / {LAYERS_IN_VIEW}, 0.8, 40)")
POINT = alt.ExprRef(f"clamp(4000 / {LAYERS_IN_VIEW}, 9, 60)")
LEGEND = alt.Legend(title=None, orient="top", symbolOpacity=1)


def overview(rows: list[Row], width: int) -> Specification:
    """The AUC of all layers in a strip, with a frame around those that the other charts show.

    Dragging over it sets the selection `window`.
    """
    scale = alt.Scale(domain=[0.5, len(rows) + 0.5], nice=False, zero=False)
    x = alt.X("depth:Q", scale=scale, axis=None)
    title = alt.Axis(labels=False, ticks=False, grid=False, domain=False, titleAngle=0, titleAlign="right")
    y = alt.Y("auc:Q", title=["All layers’", "AUC"], scale=alt.Scale(domain=[0, 1]), axis=title)
    area = alt.Chart(LAYERS).mark_area(color=SERIES_COLOURS[0], opacity=0.4, interpolate="step").encode(x=x, y=y)
    chosen = alt.Chart(LAYERS).transform_filter(f"length(shown) && {IS_SHOWN}")
    frame = (
        alt.Chart(LAYERS)
        .transform_filter("datum.depth == 1")
        .transform_calculate(start="first - 0.5", end="last + 0.5")
        .mark_rect(fill=SERIES_COLOURS[0], fillOpacity=0.12, stroke=SERIES_COLOURS[0], strokeWidth=1.2)
        .encode(x=alt.X("start:Q", scale=scale, axis=None), x2="end:Q")
    )
    marks = chosen.mark_rule(color=SERIES_COLOURS[1], strokeWidth=1.5).encode(x=x)
    strip = layered([area, frame, marks], width=width, height=OVERVIEW_HEIGHT)
    unseen = {"fillOpacity": 0, "strokeOpacity": 0}
    select = {"type": "interval", "encodings": ["x"], "mark": unseen, "translate": False, "zoom": False}
    strip["layer"][0]["params"] = [{"name": "window", "select": select}]
    return strip


def removability(rows: list[Row], x: alt.X) -> Specification:
    """AUC and AUC corrected for chance, with their deviations."""
    titles = {"auc": "AUC", "auc_corrected": "AUC corrected for chance"}
    names = list(titles.values())
    y = alt.Y("value:Q", title="Removability", scale=alt.Scale(domain=[min(0, *_known(rows, "auc_corrected_low")), 1]))
    colours = alt.Scale(domain=names, range=[SERIES_COLOURS[0], SERIES_COLOURS[5]])
    shapes = alt.Scale(domain=names, range=["circle", "square"])
    base = (
        in_view()
        .transform_fold(list(titles), as_=["name", "value"])
        .transform_calculate(
            measure=f"{json.dumps(titles)}[datum.name]",
            low="datum[datum.name + '_low']",
            high="datum[datum.name + '_high']",
        )
        .encode(x=x, color=alt.Color("measure:N", scale=colours, legend=LEGEND))
    )
    lines = base.mark_line(strokeWidth=1.2).encode(y=y, opacity=alt.value(0.5))
    bars = base.mark_rule(strokeWidth=1.4).encode(y=alt.Y("low:Q", title="Removability"), y2="high:Q", opacity=bright())
    points = base.mark_point(filled=True, size=POINT).encode(
        y=y,
        shape=alt.Shape("measure:N", scale=shapes, legend=None),
        opacity=bright(),
        tooltip=about_layer(
            alt.Tooltip("units:Q", title="Units", format=COUNTED),
            alt.Tooltip("auc:Q", title="AUC", format=MEASURED),
            alt.Tooltip("auc_corrected:Q", title="Corrected for chance", format=MEASURED),
        ),
    )
    return layered([lines, bars, points], height=HEIGHT)


def similarity(rows: list[Row], x: alt.X) -> Specification:
    """The number of units that a unit resembles, with its deviation."""
    scale = alt.Scale(domain=[0, max(0.1, *_known(rows, "similarity_high"))])
    base = in_view().encode(x=x, opacity=bright())
    bars = base.mark_bar(color=SERIES_COLOURS[2], size=BAR).encode(
        y=alt.Y("similarity:Q", title="Similar units", scale=scale),
        tooltip=about_layer(
            alt.Tooltip("units:Q", title="Units", format=COUNTED),
            alt.Tooltip("similarity:Q", title="Similar units per unit", format=MEASURED),
        ),
    )
    deviations = base.mark_rule(strokeWidth=1.2).encode(y="similarity_low:Q", y2="similarity_high:Q")
    return layered([bars, deviations], height=HEIGHT)


def mechanisms(rows: list[Row], x: alt.X) -> Specification:
    """The share of each layer's units that is removable for each reason."""
    present = {kind for row in rows for kind in row["kinds"]}
    colours = {kind: colour for kind, colour in zip(KINDS, KIND_COLOURS, strict=True) if kind in present}
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    chart = (
        in_view()
        .transform_flatten(["kinds", "counts"], as_=["mechanism", "count"])
        .transform_calculate(order=f"indexof({json.dumps(KINDS)}, datum.mechanism)")
        .mark_bar(size=BAR)
        .encode(
            x=x,
            y=alt.Y("count:Q", stack="normalize", title="Share of units", axis=alt.Axis(format=".1f")),
            color=alt.Color("mechanism:N", scale=scale, legend=LEGEND),
            order="order:Q",
            opacity=bright(),
            tooltip=about_layer(
                alt.Tooltip("mechanism:N", title="Mechanism"), alt.Tooltip("count:Q", title="Units", format=COUNTED)
            ),
        )
    )
    return view(chart, height=HEIGHT)


def _known(rows: list[Row], field: str) -> list[float]:
    """The numbers in a field that are not missing, with a zero in case there are none."""
    return [0.0, *(row[field] for row in rows if row[field] is not None)]
