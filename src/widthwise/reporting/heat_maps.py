"""Heat maps by depth: the ablation curve and the correlations of every layer, for networks of many layers."""

import altair as alt

from widthwise.reporting.composing import Specification, view
from widthwise.reporting.depth_axis import about_layer, bright, depth_axis, in_view
from widthwise.reporting.numbers import MEASURED

HEIGHT = 150
COLOURS = "viridis"
"""Even in lightness, so that it can be read in grey, on light and dark ground, and by colour-blind readers."""


def curves_map(names: list[str], levels: int, labels: bool) -> Specification:
    """The share of labels that stay, by depth and by the share of units that is dropped."""
    step = 1 / (levels - 1)
    chart = _cells("unchanged", f"datum.cell * {step}", step).encode(
        x=depth_axis(names, "start", labels),
        y=alt.Y("low:Q", title="Units dropped", scale=_from_to(-step / 2, 1 + step / 2), axis=_shares()),
        color=_colour("Unchanged labels", ".1f", alt.Scale(scheme=COLOURS, domain=[0, 1])),
        tooltip=about_layer(
            alt.Tooltip("middle:Q", title="Units dropped", format=MEASURED),
            alt.Tooltip("value:Q", title="Unchanged labels", format=MEASURED),
        ),
    )
    return view(chart, height=HEIGHT)


def correlations_map(names: list[str], bins: int, labels: bool) -> Specification:
    """The distribution of |r| over the pairs of a layer's units, by depth."""
    chart = _cells("pairs", f"(datum.cell + 0.5) / {bins}", 1 / bins).encode(
        x=depth_axis(names, "start", labels),
        y=alt.Y("low:Q", title="|r| between units", scale=_from_to(0.0, 1.0), axis=alt.Axis(tickCount=5, grid=False)),
        # most pairs have a small |r|: the root makes the few with a large one visible
        color=_colour("Share of pairs", MEASURED, alt.Scale(scheme=COLOURS, type="sqrt", domainMin=0)),
        tooltip=about_layer(
            alt.Tooltip("middle:Q", title="|r|", format=MEASURED),
            alt.Tooltip("value:Q", title="Share of pairs", format=MEASURED),
        ),
    )
    return view(chart, height=HEIGHT)


def _cells(field: str, middle: str, height: float) -> alt.Chart:
    """A cell for each number in a layer's list."""
    return (
        in_view()
        .transform_filter(f"length(datum.{field}) > 0")
        .transform_calculate(cell=f"sequence(length(datum.{field}))")
        .transform_flatten([field, "cell"], as_=["value", "cell"])
        .transform_calculate(middle=middle, start="datum.depth - 0.5", end="datum.depth + 0.5")
        .transform_calculate(low=f"datum.middle - {height / 2}", high=f"datum.middle + {height / 2}")
        .mark_rect(strokeWidth=0)
        .encode(x2="end:Q", y2="high:Q", opacity=bright(faded=0.25))
    )


def _colour(title: str, form: str, scale: alt.Scale) -> alt.Color:
    legend = alt.Legend(title=title, orient="top", titleOrient="left", gradientLength=160, format=form, tickCount=4)
    return alt.Color("value:Q", scale=scale, legend=legend)


def _from_to(low: float, high: float) -> alt.Scale:
    return alt.Scale(domain=[low, high], nice=False, zero=False)


def _shares() -> alt.Axis:
    return alt.Axis(format=".1f", values=[0, 0.5, 1], grid=False)
