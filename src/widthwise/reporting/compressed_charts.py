"""The charts of a smaller network: what networks of several sizes keep, its layers, and ablation curves of both."""

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from widthwise.compression.compressed import Compressed
from widthwise.measurement.result import Profile
from widthwise.measurement.short_names import short_names
from widthwise.reporting.composing import Specification, layered, view
from widthwise.reporting.depth_axis import about_layer, bright, depth_axis, in_view, parameters
from widthwise.reporting.depth_charts import BAR, HEIGHT, LEGEND, POINT
from widthwise.reporting.layer_charts import curves
from widthwise.reporting.numbers import COUNTED, MEASURED
from widthwise.reporting.profile_charts import WIDTH
from widthwise.reporting.profile_rows import DIGITS, FEW_LAYERS, NAME_ROOM, Row, layer_rows
from widthwise.reporting.theme import SERIES_COLOURS

PANEL_WIDTH, PANEL_HEIGHT = 225, 210
PERCENT = ".0%"
STAY, GONE = "stay", "went"
BEFORE, AFTER = "intact network", "smaller network"


def frontier_chart(frontier: pd.DataFrame, found: Compressed) -> Specification:
    """The labels that networks of several sizes keep, by their parameters, operations and time.

    Args:
        frontier: the table that `widthwise.frontier` returns.
        found: the smaller network, which has a mark of its own.
    """
    known = found.comparison
    batch = f"{known['batch']:,} at a time"
    sizes = {
        "Parameters": {"": "parameters"},
        "Operations": {"": "flops"},
        "Time": {"one example": "seconds_one", batch: "seconds_batch"},
    }
    panels = [_panel(title, each) for title, each in sizes.items()]
    names = [(title, series, name) for title, each in sizes.items() for series, name in each.items()]
    whole = frontier.iloc[-1]
    rows = [
        {
            **_point(row, title, series, row.get(f"{name}_share", row[name] / whole[name])),
            "amount": _amount(row[name], name),
        }
        for title, series, name in names
        for row in frontier.to_dict("records")
    ]
    own = {**known, "keep": found.keep}
    marked = [
        {
            **_point(own, title, series, own[f"{name}_after"] / own[f"{name}_before"]),
            "amount": _amount(own[f"{name}_after"], name),
        }
        for title, series, name in names
    ]
    return {
        "$schema": alt.SCHEMA_URL,
        "hconcat": panels,
        "resolve": {"scale": {"color": "independent", "shape": "independent", "y": "shared"}},
        "datasets": {"frontier": rows, "marked": marked},
    }


def layers_chart(found: Compressed) -> Specification:
    """The units of each layer that stay and that went, and the error of what reads them, by depth."""
    rows = compressed_rows(found)
    names = [row["short"] for row in rows]
    charts = [
        _units(rows, depth_axis(names, labels=False)),
        _errors(depth_axis(names, labels=True)),
    ]
    return {
        "$schema": alt.SCHEMA_URL,
        "params": parameters(len(rows), WIDTH),
        "vconcat": [{**chart, "width": WIDTH} for chart in charts],
        "spacing": 18,
        "resolve": {"scale": {"color": "independent"}},
        "datasets": {"layers": rows},
    }


def curves_chart(before: Profile, after: Profile) -> Specification:
    """The area under each layer's ablation curve in both networks, and the curves."""
    of_each = [layer_rows(profile) for profile in (before, after)]
    rows = [
        {
            **{name: one[name] for name in ("depth", "layer", "short")},
            **{f"{name}_before": one[name] for name in ("units", "auc")},
            **{f"{name}_after": other[name] for name in ("units", "auc")},
        }
        for one, other in zip(*of_each, strict=True)
    ]
    names = [row["short"] for row in rows]
    panels = [
        {**curves(each, len(each[0]["unchanged"])), "data": {"name": name}, "title": name.capitalize()}
        for name, each in zip((BEFORE, AFTER), of_each, strict=True)
    ]
    fields = ("depth", "layer", "short", "unchanged", "deviation")
    return {
        "$schema": alt.SCHEMA_URL,
        "params": parameters(len(rows), WIDTH),
        "vconcat": [
            {**_areas(depth_axis(names, labels=len(rows) <= FEW_LAYERS)), "width": WIDTH},
            {"hconcat": panels, "resolve": {"scale": {"color": "shared"}}},
        ],
        "spacing": 18,
        "resolve": {"scale": {"color": "independent"}},
        "datasets": {
            "layers": rows,
            **{
                name: [{field: row[field] for field in fields} for row in each]
                for name, each in zip((BEFORE, AFTER), of_each, strict=True)
            },
        },
    }


def compressed_rows(found: Compressed) -> list[Row]:
    """One row for each layer that could be made smaller, in order of depth.

    The fields are `depth` (from 1), `layer`, `short` (a name that fits on an axis), `units`, `stay`, `went`, `error`,
    `reader` and `coupled`.
    """
    layers = found.layers
    short = short_names(layers["layer"].tolist(), NAME_ROOM)
    return [
        {
            "depth": depth,
            "short": short[depth - 1],
            **{name: row[name] for name in ("layer", "units", "reader", "coupled")},
            STAY: row["kept"],
            GONE: row["units"] - row["kept"],
            "error": None if pd.isna(row["error"]) else float(f"{row['error']:.{DIGITS}g}"),
        }
        for depth, row in enumerate(layers.to_dict("records"), start=1)
    ]


def _point(row: Any, title: str, series: str, share: float) -> Row:
    """A network of a frontier in one of the panels."""
    labels = {name: row[name] for name in ("labels_kept", "labels_kept_low", "labels_kept_high")}
    known = {name: None if pd.isna(value) else round(value, DIGITS) for name, value in labels.items()}
    return {"size": title, "series": series, "share": round(share, DIGITS), "keep": row["keep"], **known}


def _amount(value: float | int, name: str) -> str:
    return f"{1e3 * value:.3g} ms" if name.startswith("seconds") else f"{value:,.0f}"


def _panel(title: str, series: dict[str, str]) -> Specification:
    """What networks keep, by one of their sizes."""
    names = list(series)
    colours = [SERIES_COLOURS[0], SERIES_COLOURS[2]][: len(names)]
    shapes = ["circle", "square"][: len(names)]
    legend = LEGEND if len(names) > 1 else None
    colour = alt.Color("series:N", scale=alt.Scale(domain=names, range=colours), legend=legend)
    x = alt.X(
        "share:Q",
        title=f"{title}, share of the intact network's",
        axis=alt.Axis(format=PERCENT, tickCount=3),
        scale=alt.Scale(domainMin=0),
    )
    y = alt.Y(
        "labels_kept:Q",
        title="Labels kept",
        axis=alt.Axis(format=PERCENT),
        scale=alt.Scale(zero=False, domainMax=1),
    )
    here = f"datum.size == {json.dumps(title)}"
    base = alt.Chart(alt.NamedData("frontier")).transform_filter(here).encode(x=x, color=colour)
    tooltip = [
        alt.Tooltip("keep:Q", title="Units", format=".1%"),
        alt.Tooltip("labels_kept:Q", title="Labels kept", format=".1%"),
        alt.Tooltip("labels_kept_low:Q", title="At least", format=".1%"),
        alt.Tooltip("labels_kept_high:Q", title="At most", format=".1%"),
        alt.Tooltip("amount:N", title=title),
    ]
    own = alt.Chart(alt.NamedData("marked")).transform_filter(here)
    return layered(
        [
            base.mark_rule(strokeWidth=1.2, opacity=0.6).encode(
                y=alt.Y("labels_kept_low:Q", title="Labels kept"), y2="labels_kept_high:Q"
            ),
            base.mark_line(strokeWidth=1.2).encode(y=y, order="keep:Q", opacity=alt.value(0.5)),
            base.mark_point(filled=True, size=45).encode(
                y=y,
                shape=alt.Shape("series:N", scale=alt.Scale(domain=names, range=shapes), legend=legend),
                tooltip=tooltip,
            ),
            own.mark_point(filled=True, size=110, shape="diamond", color=SERIES_COLOURS[1], opacity=1).encode(
                x=x, y=y, tooltip=tooltip
            ),
        ],
        width=PANEL_WIDTH,
        height=PANEL_HEIGHT,
    )


def _units(rows: Sequence[Row], x: alt.X) -> Specification:
    """The units that stay, and above them those that went."""
    scale = alt.Scale(domain=[STAY, GONE], range=[SERIES_COLOURS[0], "#A8B3BD"])
    chart = (
        in_view()
        .transform_fold([STAY, GONE], as_=["what", "count"])
        .transform_calculate(order=f"datum.what == '{GONE}' ? 1 : 0")
        .mark_bar(size=BAR)
        .encode(
            x=x,
            y=alt.Y("count:Q", title="Units", axis=alt.Axis(format=COUNTED, tickMinStep=1)),
            color=alt.Color("what:N", scale=scale, legend=LEGEND),
            order="order:Q",
            opacity=bright(),
            tooltip=about_layer(
                alt.Tooltip("units:Q", title="Units before", format=COUNTED),
                alt.Tooltip(f"{STAY}:Q", title="Units after", format=COUNTED),
                alt.Tooltip("reader:N", title="Read by"),
                *([alt.Tooltip("coupled:N", title="Together with")] if any(row["coupled"] for row in rows) else []),
            ),
        )
    )
    return view(chart, height=HEIGHT)


def _errors(x: alt.X) -> Specification:
    """The error of the sum that the reader is a part of."""
    chart = (
        in_view()
        .mark_bar(color=SERIES_COLOURS[1], size=BAR)
        .encode(
            x=x,
            y=alt.Y("error:Q", title=["Error, share", "of the variance"], axis=alt.Axis(format=MEASURED)),
            opacity=bright(),
            tooltip=about_layer(
                alt.Tooltip("error:Q", title="Error", format=MEASURED), alt.Tooltip("reader:N", title="Read by")
            ),
        )
    )
    return view(chart, height=HEIGHT)


def _areas(x: alt.X) -> Specification:
    """The area under each layer's ablation curve, in both networks."""
    titles = {"auc_before": BEFORE, "auc_after": AFTER}
    names = list(titles.values())
    base = (
        in_view()
        .transform_fold(list(titles), as_=["name", "value"])
        .transform_calculate(network=f"{json.dumps(titles)}[datum.name]")
        .encode(
            x=x,
            y=alt.Y("value:Q", title="Removability (AUC)", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "network:N", scale=alt.Scale(domain=names, range=[SERIES_COLOURS[0], SERIES_COLOURS[1]]), legend=LEGEND
            ),
        )
    )
    lines = base.mark_line(strokeWidth=1.2).encode(opacity=alt.value(0.5))
    points = base.mark_point(filled=True, size=POINT).encode(
        shape=alt.Shape("network:N", scale=alt.Scale(domain=names, range=["circle", "square"]), legend=None),
        tooltip=about_layer(
            alt.Tooltip("auc_before:Q", title="AUC before", format=MEASURED),
            alt.Tooltip("auc_after:Q", title="AUC after", format=MEASURED),
            alt.Tooltip("units_before:Q", title="Units before", format=COUNTED),
            alt.Tooltip("units_after:Q", title="Units after", format=COUNTED),
        ),
    )
    return layered([lines, points], height=HEIGHT)
