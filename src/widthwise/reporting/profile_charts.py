"""Charts of one network's profile: its layers by depth, their ablation curves and correlations."""

import json
from dataclasses import replace

import altair as alt
import numpy as np
import pandas as pd

from widthwise.measurement.profile_text import shortened
from widthwise.measurement.result import Profile
from widthwise.measurement.units import MECHANISMS
from widthwise.reporting.theme import SERIES_COLOURS, depth_colours

NAME_ROOM = 22
MAP_WIDTH = 860
MAP_HEIGHT = 130
CURVE_WIDTH = 355
CURVE_HEIGHT = 260
VIOLIN_REACH = 0.42
FADED = 0.08
Layered = alt.LayerChart | alt.FacetChart
NAMED_LAYERS = 12
"""Up to this many layers each have an entry in the legend; for more, a scale shows their depth."""


def network_map(profile: Profile) -> dict[str, object]:
    """Removability, similarity and mechanisms of every layer in order of depth, then curves and violins.

    A click on a layer shows its curve and violin alone.
    """
    profile = _with_short_names(profile)
    layers = profile.layers.assign(depth=range(1, len(profile.layers) + 1))
    depths = layers.set_index("layer")["depth"]
    colour = _colour(layers)
    chosen = alt.selection_point(name="chosen_layer", fields=["layer"])
    rows: list[Layered | alt.Chart] = [_removability(layers, chosen).add_params(chosen), _similarity(layers, chosen)]
    if profile.units["mechanism"].notna().any():
        rows.append(_mechanisms(profile.units, layers, chosen))
    below = alt.hconcat(_curves(profile.ablation, depths, colour, chosen), _violins(profile, depths, colour, chosen))
    return alt.vconcat(*rows, below, spacing=18).resolve_scale(color="independent").to_dict()


def _with_short_names(profile: Profile) -> Profile:
    """The profile with names of layers that fit on an axis; names that would be the same are numbered."""
    short: dict[str, str] = {}
    for number, name in enumerate(profile.layers["layer"], start=1):
        fitting = shortened(name, NAME_ROOM)
        short[name] = f"{fitting} ({number})" if fitting in short.values() else fitting
    tables = {
        name: getattr(profile, name).replace({"layer": short})
        for name in ("layers", "ablation", "correlation", "units")
    }
    return replace(profile, **tables)


def _x(layers: pd.DataFrame) -> alt.X:
    return alt.X(
        "layer:N",
        sort=layers["layer"].tolist(),
        title=None,
        axis=alt.Axis(labelAngle=-40 if len(layers) > 6 else 0, labelLimit=150, labelOverlap=True, grid=False),
    )


def _bright(chosen: alt.Parameter) -> alt.OpacityValue:
    """Opaque for the chosen layers, faded for the others."""
    return alt.OpacityValue(FADED, condition={"param": chosen.name, "value": 1.0})


def _removability(layers: pd.DataFrame, chosen: alt.Parameter) -> Layered:
    measures = {"auc": "AUC", "auc_corrected": "AUC corrected for chance"}
    parts = [
        layers.assign(
            measure=title,
            value=layers[name],
            low=layers[name] - layers[f"{name}_std"].fillna(0),
            high=layers[name] + layers[f"{name}_std"].fillna(0),
        )
        for name, title in measures.items()
    ]
    table = pd.concat(parts)[["layer", "depth", "units", "measure", "value", "low", "high"]]
    scale = alt.Scale(domain=list(measures.values()), range=[SERIES_COLOURS[0], SERIES_COLOURS[5]])
    base = alt.Chart(table).encode(
        x=_x(layers),
        color=alt.Color("measure:N", scale=scale, legend=alt.Legend(title=None, orient="top", symbolOpacity=1)),
        opacity=_bright(chosen),
    )
    y = alt.Y("value:Q", title="Removability", scale=alt.Scale(domain=[min(0.0, table["low"].min()), 1]))
    lines = base.mark_line(strokeWidth=1.2, opacity=0.5).encode(y=y, opacity=alt.value(0.5))
    bars = base.mark_rule(strokeWidth=1.4).encode(y=alt.Y("low:Q", title="Removability"), y2="high:Q")
    points = base.mark_point(filled=True, size=60).encode(
        y=y,
        shape=alt.Shape(
            "measure:N",
            scale=alt.Scale(domain=list(measures.values()), range=["circle", "square"]),
            legend=None,
        ),
        tooltip=[
            alt.Tooltip("layer:N", title="Layer"),
            alt.Tooltip("units:Q", title="Units"),
            alt.Tooltip("measure:N", title="Measure"),
            alt.Tooltip("value:Q", title="Value", format=".3f"),
        ],
    )
    return (lines + bars + points).properties(width=MAP_WIDTH, height=MAP_HEIGHT)


def _similarity(layers: pd.DataFrame, chosen: alt.Parameter) -> Layered:
    table = layers[["layer", "units", "similarity", "similarity_std"]].assign(
        low=lambda each: (each["similarity"] - each["similarity_std"].fillna(0)).clip(lower=0),
        high=lambda each: each["similarity"] + each["similarity_std"].fillna(0),
    )
    base = alt.Chart(table).encode(x=_x(layers), opacity=_bright(chosen))
    bars = base.mark_bar(color=SERIES_COLOURS[2], size=max(3, min(40, 500 / len(layers)))).encode(
        y=alt.Y("similarity:Q", title="Similar units", scale=alt.Scale(domain=[0, max(table["high"].max(), 0.1)])),
        tooltip=[
            alt.Tooltip("layer:N", title="Layer"),
            alt.Tooltip("units:Q", title="Units"),
            alt.Tooltip("similarity:Q", title="Similar units per unit", format=".2f"),
        ],
    )
    deviations = base.mark_rule(strokeWidth=1.2).encode(y="low:Q", y2="high:Q")
    return (bars + deviations).properties(width=MAP_WIDTH, height=MAP_HEIGHT)


def _mechanisms(units: pd.DataFrame, layers: pd.DataFrame, chosen: alt.Parameter) -> alt.Chart:
    named = units.assign(mechanism=units["mechanism"].fillna("unknown"))
    counts = named.groupby(["layer", "mechanism"], sort=False).size().rename("units").reset_index()
    kinds = [*MECHANISMS, "unknown"]
    counts["order"] = counts["mechanism"].map({kind: index for index, kind in enumerate(kinds)})
    colours = ["#7F7F7F", "#CC79A7", "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#C9CDD2"]
    shown = [kind for kind in kinds if kind in set(counts["mechanism"])]
    scale = alt.Scale(domain=shown, range=[colours[kinds.index(kind)] for kind in shown])
    return (
        alt.Chart(counts)
        .mark_bar(size=max(3, min(40, 500 / len(layers))))
        .encode(
            x=_x(layers),
            y=alt.Y("units:Q", stack="normalize", title="Units", axis=alt.Axis(format="~%")),
            color=alt.Color("mechanism:N", scale=scale, legend=alt.Legend(title=None, orient="top", symbolOpacity=1)),
            order="order:Q",
            opacity=_bright(chosen),
            tooltip=["layer:N", "mechanism:N", alt.Tooltip("units:Q", title="units")],
        )
        .properties(width=MAP_WIDTH, height=MAP_HEIGHT)
    )


def _colour(layers: pd.DataFrame) -> alt.Color:
    count = len(layers)
    if count <= NAMED_LAYERS:
        scale = alt.Scale(domain=layers["layer"].tolist(), range=depth_colours(count))
        legend = alt.Legend(title="Layer", orient="right", symbolOpacity=1, labelLimit=150)
        return alt.Color("layer:N", sort=layers["layer"].tolist(), scale=scale, legend=legend)
    colours = depth_colours(7)
    domain = np.linspace(1, count, len(colours)).tolist()
    return alt.Color("depth:Q", title="Depth", scale=alt.Scale(domain=domain, range=colours))


def _curves(ablation: pd.DataFrame, depths: pd.Series, colour: alt.Color, chosen: alt.Parameter) -> alt.Chart:
    means = ablation.groupby(["layer", "share_dropped"], sort=False)["unchanged"].agg(["mean", "std"]).reset_index()
    means["depth"] = means["layer"].map(depths)
    return (
        alt.Chart(means.rename(columns={"mean": "unchanged", "std": "deviation"}))
        .mark_line(point=alt.OverlayMarkDef(size=24, filled=True), strokeWidth=1.6)
        .encode(
            x=alt.X("share_dropped:Q", title="Share of units dropped", axis=alt.Axis(format="~%", grid=False)),
            y=alt.Y("unchanged:Q", title="Unchanged labels", axis=alt.Axis(format="~%"), scale=alt.Scale(zero=True)),
            color=colour,
            detail="layer:N",
            opacity=_bright(chosen),
            tooltip=[
                alt.Tooltip("layer:N", title="Layer"),
                alt.Tooltip("share_dropped:Q", title="Units dropped", format=".1~%"),
                alt.Tooltip("unchanged:Q", title="Unchanged labels", format=".1~%"),
                alt.Tooltip("deviation:Q", title="Deviation", format=".2~%"),
            ],
        )
        .properties(width=CURVE_WIDTH, height=CURVE_HEIGHT)
    )


def _violins(profile: Profile, depths: pd.Series, colour: alt.Color, chosen: alt.Parameter) -> Layered:
    counts = profile.correlation.groupby(["layer", "low", "high"], sort=False)["pairs"].sum().reset_index()
    counts["share"] = counts["pairs"] / counts.groupby("layer")["pairs"].transform("sum").clip(lower=1)
    peak = counts.groupby("layer")["share"].transform("max").replace(0, 1)
    half = VIOLIN_REACH * counts["share"] / peak
    counts["depth"] = counts["layer"].map(depths)
    outline = counts.assign(
        left=(counts["depth"] - half).round(4),
        right=(counts["depth"] + half).round(4),
        middle=((counts["low"] + counts["high"]) / 2).round(4),
        share=counts["share"].round(5),
    ).drop(columns=["low", "high", "pairs"])
    ticks = sorted({round(tick) for tick in np.linspace(1, len(depths), min(len(depths), 9))})
    violins = (
        alt.Chart(outline)
        .mark_area(orient="horizontal", interpolate="monotone", fillOpacity=0.75)
        .encode(
            x=alt.X(
                "left:Q",
                title=None,
                scale=alt.Scale(domain=[0.5, len(depths) + 0.5], nice=False, zero=False),
                axis=alt.Axis(
                    values=ticks,
                    labelExpr=f"{json.dumps(list(depths.index))}[datum.value - 1]",
                    labelAngle=-40 if len(depths) > 4 else 0,
                    labelLimit=150,
                    grid=False,
                ),
            ),
            x2="right:Q",
            y=alt.Y("middle:Q", title="|r| between units", scale=alt.Scale(domain=[0, 1])),
            color=colour,
            detail="layer:N",
            opacity=_bright(chosen),
            tooltip=[
                alt.Tooltip("layer:N", title="Layer"),
                alt.Tooltip("middle:Q", title="|r|", format=".2f"),
                alt.Tooltip("share:Q", title="Share of pairs", format=".2~%"),
            ],
        )
    )
    line = (
        alt.Chart()
        .mark_rule(strokeDash=[4, 3], opacity=0.6)
        .encode(y=alt.datum(profile.about["settings"]["threshold"]))
    )
    return (violins + line).properties(width=CURVE_WIDTH, height=CURVE_HEIGHT)
