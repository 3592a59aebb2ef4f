"""Charts against the width factor: measures of networks and of layers, and their parameters."""

from collections.abc import Callable, Sequence
from functools import partial

import altair as alt
import numpy as np
import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.reporting import published_layer
from widthwise.reporting.composing import Specification, joined, layered, where_isolated
from widthwise.reporting.numbers import COUNTED, MEASURED, labels, round_axis, ticks, width_text
from widthwise.reporting.quantities import (
    OF_LAYERS,
    PAPERS,
    Quantity,
    QuantityName,
    protocol_of,
    quantity,
    valued,
)
from widthwise.reporting.theme import SERIES_COLOURS, SERIES_SHAPES

PANEL = 250
"""Width and height of a panel, in pixels."""
FADED = 0.06
LEGEND_COLUMNS = 3
DODGE = 0.12
"""The greatest distance between neighbouring series, in doublings of width."""
DODGED_SHARE = 0.4
"""The greatest share of the distance between two widths over which series are set apart."""
LEAST_REACH = 0.1
"""The least range of an axis of a proportion, so that noise does not look like a trend."""
ROOM = 0.05
"""The share of its range by which an axis extends beyond what is drawn, so that no mark is cut."""


def panels(
    analysis: Analysis,
    series: Sequence[str],
    quantities: Sequence[QuantityName] = PAPERS,
    relative: bool = False,
) -> Specification:
    """Quantities against the width factor, one panel each, one line per series (as the paper's Figs. 1, 4 to 6, B3 …).

    Error bars as in the paper: of AUC and accuracy one standard deviation between replicates; of similarity, under the
    protocol `figures` the deviation between units, otherwise the mean deviation between samplings. Faint points are the
    single networks. Series are set apart a little, so that none hides another.

    Args:
        relative: whether shares are drawn as counts relative to all units of the widest network.
    """
    shown = [name for name in analysis.series if name in set(series) & set(analysis.summary["series"])]
    summary = analysis.summary[analysis.summary["series"].isin(shown)]
    networks = analysis.networks[analysis.networks["series"].isin(shown)]
    drawn = [quantity(name, protocol_of(analysis), relative=relative) for name in quantities]
    names = _Names("series", shown, analysis.series)
    widest = max(analysis.sweep.at(analysis.scale).widths)
    views = [
        _panel(
            valued(summary, each, widest),
            valued(networks, each, widest),
            published_layer.over_widths(analysis, name, each, shown, widest=widest),
            each,
            names,
        )
        for name, each in zip(quantities, drawn, strict=True)
    ]
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
    drawn = [quantity(name, protocol_of(analysis), by_layer=True) for name in OF_LAYERS]
    names = _Names("layer", shown, shown)
    views = [
        _panel(valued(table, each), None, published_layer.over_widths(analysis, name, each, series, shown), each, names)
        for name, each in zip(OF_LAYERS, drawn, strict=True)
    ]
    return joined(views, ["color", "shape"], isolating="layer")


def parameter_panel(analysis: Analysis, series: Sequence[str]) -> Specification:
    """Trainable parameters against the width factor, both on a logarithmic scale (as the paper's Fig. B1)."""
    table = analysis.summary[analysis.summary["series"].isin(series)]
    names = _Names("series", [name for name in analysis.series if name in set(table["series"])], analysis.series)
    table = table[["series", "width_factor", "parameters"]].assign(width=table["width_factor"].map(width_text))
    powers = [float(10**power) for power in _powers_of_ten(table["parameters"])]
    y = alt.Y(
        "parameters:Q",
        title="Trainable parameters",
        scale=alt.Scale(type="log", domain=[powers[0], powers[-1]]),
        axis=alt.Axis(format="~s", values=powers),
    )
    x = width_axis(table["width_factor"].unique(), 0.0, "width_factor")
    base = alt.Chart(table).encode(x=x, y=y, color=names.colour())
    tooltip = [
        alt.Tooltip("series:N", title="Network"),
        alt.Tooltip("width:N", title="Width factor"),
        alt.Tooltip("parameters:Q", title="Parameters", format=COUNTED),
    ]
    points = base.mark_point(filled=True, size=55, opacity=1).encode(shape=names.shape(), tooltip=tooltip)
    return layered([base.mark_line(strokeWidth=1.8), points], width=PANEL, height=PANEL)


def compressed_panel(analysis: Analysis, series: Sequence[str]) -> Specification:
    """Parameters of the smallest networks that keep 95% of the labels, and of the networks as they are (dashed),
    against the width factor, both on a logarithmic scale. Large marks are means over replicates."""
    sizes = ["compressed_parameters", "parameters"]
    networks, summary = (
        each[each["series"].isin(series)].dropna(subset=sizes[0]) for each in (analysis.networks, analysis.summary)
    )
    names = _Names("series", [name for name in series if name in set(summary["series"])], analysis.series)
    columns = ["series", "width_factor", *sizes]
    table = summary[[*columns, "compressibility", "n"]].assign(width=summary["width_factor"].map(width_text))
    powers = [float(10**power) for power in _powers_of_ten(pd.concat([networks[size] for size in sizes]))]

    def y(size: str) -> alt.Y:
        return alt.Y(
            f"{size}:Q",
            title="Parameters, once compressed",
            scale=alt.Scale(type="log", domain=[powers[0], powers[-1]]),
            axis=alt.Axis(format="~s", values=powers),
        )

    x = width_axis(table["width_factor"].unique(), 0.0, "width_factor")
    base = alt.Chart(table).encode(x=x, color=names.colour(), opacity=where_isolated("series", FADED))
    tooltip = [
        alt.Tooltip("series:N", title="Series"),
        alt.Tooltip("width:N", title="Width factor"),
        alt.Tooltip(f"{sizes[0]}:Q", title="Parameters, once compressed", format=COUNTED),
        alt.Tooltip("compressibility:Q", title="Their share", format=MEASURED),
        alt.Tooltip("n:Q", title="Replicates"),
    ]
    single = alt.Chart(networks[columns]).mark_point(filled=True, size=12)
    views = [
        base.mark_line(strokeWidth=1, strokeDash=[4, 3]).encode(y=y(sizes[1])),
        single.encode(
            x=x, y=y(sizes[0]), color=names.colour(), shape=names.shape(), opacity=where_isolated("series", 0.0, 0.3)
        ),
        base.mark_line(strokeWidth=1.8).encode(y=y(sizes[0])),
        base.mark_point(filled=True, size=55, opacity=1).encode(y=y(sizes[0]), shape=names.shape(), tooltip=tooltip),
    ]
    return joined([layered(views, width=PANEL, height=PANEL)], ["color", "shape"], isolating="series")


def _powers_of_ten(values: pd.Series) -> range:
    """The exponents of the powers of ten from below the least value to above the greatest."""
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    return range(int(low), int(max(high, low + 1)) + 1)


class _Names:
    """The names of a field's values that are shown, with a colour, a shape and an offset for each.

    Colours and shapes go by the order in `all_names`, so that a name keeps its own whatever else is shown.
    """

    def __init__(self, field: str, shown: list[str], all_names: list[str]):
        self.field, self.shown = field, shown
        self._indices = [all_names.index(name) for name in shown]

    def colour(self) -> alt.Color:
        colours = [SERIES_COLOURS[index % len(SERIES_COLOURS)] for index in self._indices]
        scale = alt.Scale(domain=self.shown, range=colours)
        return alt.Color(f"{self.field}:N", sort=self.shown, scale=scale, legend=self._legend())

    def shape(self) -> alt.Shape:
        # the colours come round again after eight names, and then with other shapes
        places = [index + index // len(SERIES_COLOURS) for index in self._indices]
        scale = alt.Scale(domain=self.shown, range=[SERIES_SHAPES[place % len(SERIES_SHAPES)] for place in places])
        return alt.Shape(f"{self.field}:N", sort=self.shown, scale=scale, legend=self._legend())

    def positions(self, table: pd.DataFrame, step: float) -> pd.Series:
        """The width factors of a table, with names set apart by `step` doublings."""
        offsets = {name: (index - (len(self.shown) - 1) / 2) * step for index, name in enumerate(self.shown)}
        return table["width_factor"] * 2 ** table[self.field].map(offsets)

    def _legend(self) -> alt.Legend:
        return alt.Legend(
            orient="bottom", direction="horizontal", columns=LEGEND_COLUMNS, title=None, symbolOpacity=1, labelLimit=240
        )


def width_axis(widths: Sequence[float] | np.ndarray, margin: float, field: str = "position") -> alt.X:
    """The logarithmic axis of width factors, with `margin` doublings more at both ends than a line needs."""
    values = sorted(float(width) for width in widths)
    reach = 2 ** (0.2 + margin)
    return alt.X(
        f"{field}:Q",
        title="Width factor",
        scale=alt.Scale(type="log", base=2, domain=[values[0] / reach, values[-1] * reach], nice=False),
        axis=alt.Axis(values=values, labelExpr=labels(values, list(map(width_text, values))), grid=False),
    )


def _panel(
    summary: pd.DataFrame, networks: pd.DataFrame | None, theirs: pd.DataFrame, drawn: Quantity, names: _Names
) -> Specification:
    """One panel: a quantity against the width factor, a line for each of `names`, above the published one."""
    widths = np.unique(summary["width_factor"])
    step = _dodge(widths, len(names.shown))
    field = names.field
    x = width_axis(widths, step * (len(names.shown) - 1) / 2)
    extremes = [summary["low"], summary["high"], *([] if networks is None else [networks["value"]])]
    extremes += [theirs["low"], theirs["high"]] if len(theirs) else []
    y = _value_axis(pd.concat(extremes), drawn)
    table = summary.assign(position=names.positions(summary, step))
    columns = [field, "width", "position", "value", "low", "high", "deviation", "n"]
    base = alt.Chart(table[columns]).encode(x=x, color=names.colour(), opacity=where_isolated(field, FADED))
    bars = base.mark_rule(strokeWidth=1.2).encode(y=y("low:Q"), y2="high:Q")
    lines = base.mark_line(strokeWidth=1.8).encode(y=y("value:Q"))
    means = base.mark_point(filled=True, size=55, opacity=1).encode(
        y=y("value:Q"),
        shape=names.shape(),
        tooltip=[
            alt.Tooltip(f"{field}:N", title=field.capitalize()),
            alt.Tooltip("width:N", title="Width factor"),
            alt.Tooltip("value:Q", title=drawn.title, format=MEASURED),
            alt.Tooltip("deviation:Q", title="Deviation", format=MEASURED),
            alt.Tooltip("n:Q", title="Replicates", format=COUNTED),
        ],
    )
    layers = [bars, lines, means]
    if networks is not None:
        single = networks.assign(position=names.positions(networks, step))[[field, "position", "value"]]
        faint = where_isolated(field, FADED / 3, bright=0.35)
        layers.insert(
            2, alt.Chart(single).mark_circle(size=14).encode(x=x, y=y("value:Q"), color=names.colour(), opacity=faint)
        )
    if len(theirs):
        below = theirs.assign(position=names.positions(theirs, step))
        layers[:0] = published_layer.points_over_widths(below, field, x, y, names.shape(), drawn.title)
    return layered(layers, width=PANEL, height=PANEL)


def _dodge(widths: np.ndarray, count: int) -> float:
    """The distance between neighbouring names, in doublings of width."""
    apart = min([1.0, *np.diff(np.log2(widths))])
    return min(DODGE, DODGED_SHARE * apart / count)


def _value_axis(values: pd.Series, drawn: Quantity) -> Callable[[str], alt.Y]:
    """An axis for a field, on which all `values` fit whole; for a proportion it has labels from 0 to 1 alone."""
    known = values.dropna()
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if drawn.relative or not drawn.proportion:
        low = min(low, 0.0)
    lacking = max(0.0, LEAST_REACH - (high - low))
    if drawn.proportion:  # half of it on either side, where there is room
        low, high = max(min(low, 0.0), low - lacking / 2), min(max(high, 1.0), high + lacking / 2)
    else:
        high += lacking
    room = ROOM * (high - low)
    bounds = (low if low == 0 else low - room, high + room)
    labelled = (max(bounds[0], 0.0), min(bounds[1], 1.0)) if drawn.proportion else bounds
    shown = ticks(*labelled)
    return partial(
        alt.Y,
        title=drawn.title,
        scale=alt.Scale(domain=bounds, nice=False, zero=False),
        axis=round_axis(shown),
    )
