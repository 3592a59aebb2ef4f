"""The explorer of layers: every layer's curves, correlations and two measures, for the chosen series and widths.

Its charts are one specification with empty tables, which the page's script fills from the content made here.
"""

from typing import Any

import altair as alt
import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import curves_of_layers
from widthwise.measurement.settings import Protocol
from widthwise.reporting.embedding import views
from widthwise.reporting.numbers import COUNTED, MEASURED
from widthwise.reporting.theme import ordered_colours

DEPTH_WIDTH, DEPTH_HEIGHT = 390, 170
FACET_WIDTH, FACET_HEIGHT = 165, 110
FACETS_BESIDE = 5
DIGITS = 5
Key = tuple[str, float, str]
"""A series, a width factor and a layer."""
KEY = ("series", "width_factor", "layer")
SHOWN = ("auc", "auc_std", "similarity", "similarity_std", "dead_fraction")


def content(analysis: Analysis) -> dict[str, object]:
    """An experiment's layers as plain data.

    `layers` has one entry for each series, width factor and layer, in order of depth: `violin` (the share of pairs of
    units in each of the intervals of |r| around `middles`) and, by protocol, in `measured` the fields of
    `Analysis.layers` and `curve` (pairs of the share dropped and the share of unchanged labels). Under `figures`
    similarity is the paper's, in which a constant unit counts -1, and deviates between the units of a layer.
    """
    violin_of = _by_layer(analysis.correlation, ["share"])
    intervals = analysis.correlation[["low", "high"]].drop_duplicates()
    layers: dict[Key, dict[str, Any]] = {}
    for protocol, view in views(analysis).items():
        curve_of = _by_layer(curves_of_layers(view.ablation), ["share_dropped", "unchanged"])
        rounded = _shown(view.layers, protocol).round(DIGITS).astype(object)
        for row in rounded.where(rounded.notna(), None).to_dict("records"):
            key = (row["series"], row["width_factor"], row["layer"])
            fixed = {name: row.pop(name) for name in (*KEY, "depth", "units")}
            violin = [share for (share,) in violin_of.get(key, [])]
            entry = layers.setdefault(key, {**fixed, "violin": violin, "measured": {}})
            entry["measured"][protocol or ""] = {**row, "curve": curve_of.get(key, [])}
    widths = sorted(float(width) for width in analysis.layers["width_factor"].unique())
    return {
        "series": [name for name in analysis.series if name in set(analysis.layers["series"])],
        "widths": widths,
        "colours": ordered_colours(len(widths)),
        "middles": intervals.mean(axis=1).round(DIGITS).tolist(),
        "layers": list(layers.values()),
    }


def _shown(layers: pd.DataFrame, protocol: Protocol | None) -> pd.DataFrame:
    """The columns of `layers` that the page shows."""
    if protocol == "figures":
        layers = layers.assign(similarity=layers["similarity_reference"], similarity_std=layers["similarity_std_units"])
    return layers[[*KEY, "depth", "units", "n", *SHOWN]]


def _by_layer(table: pd.DataFrame, columns: list[str]) -> dict[Key, list[list[float]]]:
    values = table[columns].round(DIGITS).to_numpy()
    indices: dict[Any, Any] = table.groupby(list(KEY), sort=False).indices
    return {key: values[rows].tolist() for key, rows in indices.items()}


def specification() -> dict[str, object]:
    """The charts, without their tables `layers`, `curves` and `violins`."""
    by_depth = alt.hconcat(
        _by_depth("auc", "Removability (AUC)", alt.Scale(domain=[0, 1])),
        _by_depth("similarity", "Similarity", alt.Scale(zero=True)),
    )
    return alt.vconcat(by_depth, _curves(), _violins(), spacing=22).resolve_scale(color="independent").to_dict()


def _colour() -> alt.Color:
    return alt.Color("colour:N", scale=None)


def _by_depth(measure: str, title: str, scale: alt.Scale) -> alt.LayerChart | alt.FacetChart:
    base = alt.Chart(alt.NamedData("layers")).encode(
        x=alt.X("layer:N", title=None, sort=alt.EncodingSortField("depth", op="min"), axis=alt.Axis(labelAngle=-35)),
        color=_colour(),
        detail="width_factor:N",
    )
    points = base.mark_point(filled=True, size=45).encode(
        y=alt.Y(f"{measure}:Q", title=title, scale=scale, axis=alt.Axis(format=MEASURED)),
        tooltip=[
            alt.Tooltip("layer:N", title="Layer"),
            alt.Tooltip("width:N", title="Width factor"),
            alt.Tooltip("units:Q", title="Units", format=COUNTED),
            alt.Tooltip(f"{measure}:Q", title=title, format=MEASURED),
            alt.Tooltip(f"{measure}_std:Q", title="Deviation", format=MEASURED),
            alt.Tooltip("n:Q", title="Replicates", format=COUNTED),
        ],
    )
    lines = base.mark_line(strokeWidth=1.6).encode(y=f"{measure}:Q")
    bars = base.mark_rule(strokeWidth=1.2).encode(y=f"{measure}_low:Q", y2=f"{measure}_high:Q")
    return (bars + lines + points).properties(width=DEPTH_WIDTH, height=DEPTH_HEIGHT)


def _curves() -> alt.FacetChart:
    unit = alt.Scale(domain=[0, 1])
    return (
        alt.Chart(alt.NamedData("curves"))
        .mark_line(strokeWidth=1.6, point=alt.OverlayMarkDef(size=16, filled=True))
        .encode(
            x=alt.X("share_dropped:Q", title="Units dropped", axis=alt.Axis(format=".1f", grid=False, tickCount=3)),
            y=alt.Y("unchanged:Q", title="Unchanged labels", axis=alt.Axis(format=".1f", tickCount=4), scale=unit),
            color=_colour(),
            detail="width_factor:N",
            tooltip=[
                alt.Tooltip("layer:N", title="Layer"),
                alt.Tooltip("width:N", title="Width factor"),
                alt.Tooltip("share_dropped:Q", title="Units dropped", format=MEASURED),
                alt.Tooltip("unchanged:Q", title="Unchanged labels", format=MEASURED),
            ],
        )
        .properties(width=FACET_WIDTH, height=FACET_HEIGHT)
        .facet(_facet(), columns=FACETS_BESIDE)
    )


def _violins() -> alt.FacetChart:
    return (
        alt.Chart(alt.NamedData("violins"))
        .mark_area(orient="horizontal", interpolate="monotone", fillOpacity=0.75)
        .encode(
            x=alt.X("left:Q", title=None, axis=None, scale=alt.Scale(nice=False, zero=False)),
            x2="right:Q",
            y=alt.Y("middle:Q", title="|r| between units", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=4)),
            color=_colour(),
            detail="width_factor:N",
            tooltip=[
                alt.Tooltip("layer:N", title="Layer"),
                alt.Tooltip("width:N", title="Width factor"),
                alt.Tooltip("middle:Q", title="|r|", format=MEASURED),
                alt.Tooltip("share:Q", title="Share of pairs", format=MEASURED),
            ],
        )
        .properties(width=FACET_WIDTH, height=FACET_HEIGHT)
        .facet(_facet(), columns=FACETS_BESIDE)
    )


def _facet() -> alt.Facet:
    return alt.Facet("layer:N", title=None, sort=alt.EncodingSortField("depth", op="min"))
