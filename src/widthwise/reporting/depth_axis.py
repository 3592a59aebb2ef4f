"""The axis that a profile's charts share: depth, from the layer `first` to the layer `last`.

These two are parameters of the whole specification, like `room`, the width of a chart, and `shown`, the depths of the
layers that are chosen; the page's script sets them.
"""

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

LAYERS = alt.NamedData("layers")
"""The table of `layer_rows`."""
LAYERS_IN_VIEW = "(last - first + 1)"
FADED = 0.08
LABEL_ROOM = 26
"""Pixels between the names of two layers."""
LEVEL_NAMES = 6
"""The names of up to this many layers are level, those of more are tilted."""
IS_SHOWN = "(!length(shown) || indexof(shown, datum.depth) >= 0)"


def parameters(count: int, width: int) -> list[dict[str, Any]]:
    """The parameters, with all layers in view and none chosen."""
    values = {"first": 1, "last": count, "room": width, "shown": []}
    return [{"name": name, "value": value} for name, value in values.items()]


def in_view() -> alt.Chart:
    """A chart of the layers in view."""
    return alt.Chart(LAYERS).transform_filter("datum.depth >= first && datum.depth <= last")


def depth_axis(names: Sequence[str], field: str = "depth", labels: bool = True) -> alt.X:
    """The axis, with names of layers or without."""
    level = len(names) <= LEVEL_NAMES
    axis = alt.Axis(
        tickCount=alt.ExprRef(f"min({LAYERS_IN_VIEW}, room / {LABEL_ROOM})"),
        tickMinStep=1,
        labels=labels,
        labelExpr=f"{json.dumps(list(names))}[datum.value - 1] || ''" if labels else alt.Undefined,
        labelAngle=0 if level else -45,
        labelLimit=150,
        labelOverlap=level,
        grid=False,
    )
    ends = {"domainMin": alt.ExprRef("first - 0.5"), "domainMax": alt.ExprRef("last + 0.5")}
    scale = alt.Scale(**ends, nice=False, zero=False, padding=0)
    return alt.X(f"{field}:Q", title=None, scale=scale, axis=axis)


def bright(opaque: float = 1.0, faded: float = FADED) -> alt.OpacityValue:
    """Opaque for the chosen layers, faded for the others; opaque for all if none is chosen."""
    return alt.OpacityValue(faded, condition={"test": IS_SHOWN, "value": opaque})


def about_layer(*further: alt.Tooltip) -> list[alt.Tooltip]:
    """The layer under the mouse, and more about it."""
    return [alt.Tooltip("layer:N", title="Layer"), alt.Tooltip("depth:Q", title="Depth"), *further]
