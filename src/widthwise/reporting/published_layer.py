"""The authors' published values, in grey behind ours, in charts of the protocol that they were measured by."""

from collections.abc import Callable, Sequence

import altair as alt
import numpy as np
import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.published import comparable
from widthwise.experiments.published_values import published
from widthwise.reporting.composing import where_isolated
from widthwise.reporting.numbers import MEASURED, width_text
from widthwise.reporting.quantities import Quantity, QuantityName, protocol_of, valued

GREY = "#868a90"
"""Legible on light and on dark ground."""
SIZE = 100
"""Of a point, which shows around one of ours that lies on it."""
FADED = 0.06
SOURCE = {"non_prunability": "prunability"}
"""Quantities that are computed from a published measure of another name."""
OF_VIOLINS = ("abs_r_q25", "abs_r_median", "abs_r_q75", "abs_r_mean")
HALO = "white"
"""Around marks that lie on violins."""
CAPTION = "Grey: the paper's own values, read off its plots"
MARKS = {
    OF_VIOLINS[
        0
    ]: ", of each violin a bar from the lower to the upper quartile, a line at the median and a point at the mean",
    "unchanged": ", with points in the colour of their width",
}
"""What is drawn of a measure; of all others points, with the error bars that are visible in the plots."""


def beside(
    analysis: Analysis, measures: Sequence[str], series: Sequence[str], layers: Sequence[str] | None = ("",)
) -> pd.DataFrame:
    """The published values that stand beside ours in a chart, at the widths between our narrowest and our widest.

    Args:
        analysis: an experiment, reduced to one protocol.
        measures: of `published`.
        series: those that are shown.
        layers: those that are shown; `""` is a network's own number; None: all of them.

    Returns: rows of `published`; none under another protocol than `figures`, and of no experiment but the paper's.
    """
    if protocol_of(analysis) != "figures" or not comparable(analysis.sweep):
        return published()[:0]
    values = published(analysis.sweep.experiment)
    widths = analysis.networks.loc[analysis.networks["series"].isin(series), "width_factor"]
    return values[
        values["beside_ours"]
        & values["measure"].isin(measures)
        & values["series"].isin(series)
        & (True if layers is None else values["layer"].isin(layers))
        & values["width_factor"].between(widths.min(), widths.max())
    ]


def over_widths(
    analysis: Analysis,
    name: QuantityName,
    drawn: Quantity,
    series: Sequence[str],
    layers: Sequence[str] = ("",),
    widest: float = 1.0,
) -> pd.DataFrame:
    """The published values of a quantity, with the columns that ours have in a panel over the widths, and `about`, the
    reading's uncertainty and its doubts in words."""
    table = beside(analysis, [SOURCE.get(name, name)], series, layers)
    named = table.rename(columns={"value": drawn.column, "error_bar": drawn.deviation})
    return valued(named, drawn, widest).assign(about=[_about(row) for row in table.to_dict("records")])


def points_over_widths(
    table: pd.DataFrame, field: str, x: alt.X, y: Callable[[str], alt.Y], shape: alt.Shape, title: str
) -> list[alt.Chart]:
    """Grey bars, thin lines and hollow points of published values, to be drawn below ours.

    Args:
        table: `over_widths`, with a `position` on the axis of widths.
        field: the column of the names of the lines.
        x, y, shape: the encodings of our points.
        title: the name of the quantity.
    """
    if table.empty:
        return []
    columns = [field, "width", "position", "value", "low", "high", "deviation", "about"]
    base = alt.Chart(table[columns]).encode(x=x, opacity=where_isolated(field, FADED))
    tooltip = [
        alt.Tooltip(f"{field}:N", title=f"Published {field}"),
        alt.Tooltip("width:N", title="Width factor"),
        alt.Tooltip("value:Q", title=title, format=MEASURED),
        alt.Tooltip("deviation:Q", title="Error bar", format=MEASURED),
        alt.Tooltip("about:N", title="Reading"),
    ]
    return [
        base.mark_rule(color=GREY, strokeWidth=1).encode(y=y("low:Q"), y2="high:Q"),
        base.mark_line(color=GREY, strokeWidth=1).encode(y=y("value:Q"), detail=f"{field}:N"),
        base.mark_point(color=GREY, filled=False, size=SIZE, strokeWidth=1.2).encode(
            y=y("value:Q"), shape=shape, tooltip=tooltip
        ),
    ]


def curves(analysis: Analysis, series: str) -> pd.DataFrame:
    """The published ablation curves of a series at the widths that we have, with the columns of ours."""
    ours = analysis.ablation.loc[analysis.ablation["series"] == series, "width_factor"]
    table = beside(analysis, ["unchanged"], [series])
    table = table[table["width_factor"].isin(ours)]
    none_dropped = table.drop_duplicates("width_factor").assign(share_dropped=0.0, value=1.0, about="by definition")
    table = pd.concat([none_dropped, table.assign(about=[_about(row) for row in table.to_dict("records")])])
    table = table.assign(width=table["width_factor"].map(width_text), unchanged=table["value"])
    return table[["series", "width_factor", "width", "share_dropped", "unchanged", "about"]]


def lines_of_curves(table: pd.DataFrame, x: alt.X, y: alt.Y, colour: alt.Color) -> list[alt.Chart]:
    """Grey lines of published ablation curves, with hollow points in the colour of their width, to be drawn below ours.

    Args:
        table: `curves`.
        x, y, colour: the encodings of our curves.
    """
    if table.empty:
        return []
    base = alt.Chart(table).encode(x=x, y=y, opacity=where_isolated("width_factor", FADED))
    tooltip = [
        alt.Tooltip("series:N", title="Published series"),
        alt.Tooltip("width:N", title="Width factor"),
        alt.Tooltip("share_dropped:Q", title="Units dropped", format=MEASURED),
        alt.Tooltip("unchanged:Q", title="Unchanged labels", format=MEASURED),
        alt.Tooltip("about:N", title="Reading"),
    ]
    return [
        base.mark_line(color=GREY, strokeWidth=1.2, strokeDash=[4, 2]).encode(detail="width_factor:O"),
        base.mark_point(filled=False, size=36, strokeWidth=1.2).encode(color=colour, tooltip=tooltip),
    ]


def violins(analysis: Analysis, series: str, layer: str) -> pd.DataFrame:
    """`x, low, middle, high, mean, width, about` of the published violins of a layer, one row for each width that we
    have: quartiles and mean of |r|, with x at log2 of the width."""
    ours = analysis.correlation.loc[analysis.correlation["series"] == series, "width_factor"]
    names = dict(zip(OF_VIOLINS, ("low", "middle", "high", "mean"), strict=True))
    table = beside(analysis, OF_VIOLINS, [series], [layer])
    table = table[table["width_factor"].isin(ours)]
    numbers = table.pivot(index="width_factor", columns="measure", values="value").rename(columns=names)
    about = {width: _about(rows.to_dict("records")[-1]) for width, rows in table.groupby("width_factor")}
    numbers = numbers.reindex(columns=list(names.values())).reset_index()
    return numbers.assign(
        x=np.log2(numbers["width_factor"]),
        width=[width_text(width) for width in numbers["width_factor"]],
        about=numbers["width_factor"].map(about),
    )


def marks_of_violins(table: pd.DataFrame, x: alt.X) -> list[alt.Chart]:
    """A grey bar from the lower to the upper quartile of each published violin, a line at its median, and a hollow
    point at its mean, to be drawn on ours.

    Args:
        table: `violins`.
        x: the encoding of our violins.
    """
    if table.empty:
        return []
    base = alt.Chart(table).encode(x=x)
    tooltip = [
        alt.Tooltip("width:N", title="Published, width factor"),
        alt.Tooltip("mean:Q", title="Mean |r|", format=MEASURED),
        alt.Tooltip("low:Q", title="Lower quartile", format=MEASURED),
        alt.Tooltip("middle:Q", title="Median", format=MEASURED),
        alt.Tooltip("high:Q", title="Upper quartile", format=MEASURED),
        alt.Tooltip("about:N", title="Reading"),
    ]
    marks = []
    for colour, more in ((HALO, 2), (GREY, 0)):
        quartiles = base.mark_rule(color=colour, strokeWidth=3 + more)
        median = base.mark_tick(color=colour, orient="horizontal", size=16 + more, thickness=2 + more, opacity=1)
        marks += [quartiles.encode(y="low:Q", y2="high:Q"), median.encode(y="middle:Q")]
    mean = base.mark_point(filled=True, fill=HALO, stroke=GREY, size=60, opacity=1)
    return [*marks, mean.encode(y="mean:Q", tooltip=tooltip)]


def caption(analysis: Analysis, measures: Sequence[str], series: Sequence[str], by_layer: bool) -> list[str]:
    """What the grey marks are and what is doubtful about them, one sentence each; none where none is drawn.

    Args:
        by_layer: whether they are of single layers; those of violins always are.
    """
    names = [SOURCE.get(name, name) for name in measures]
    table = beside(analysis, names, series, None if by_layer or set(names) & set(OF_VIOLINS) else ("",))
    if table.empty:
        return []
    marks = next((MARKS[name] for name in names if name in MARKS), ", with the error bars that are visible there")
    doubts = [doubt for doubt in table["doubt"].unique() if doubt]
    return [
        f"{CAPTION}{marks}, from our narrowest to our widest width.",
        *([f"Doubtful about them: {'; '.join(doubts)}."] if doubts else []),
    ]


def _about(row: dict) -> str:
    """The uncertainty of a reading, and what is doubtful about it."""
    exact = f"± {row['uncertainty']:.2g}" if row["uncertainty"] else "printed with all digits"
    return "; ".join(filter(None, [exact, row["doubt"]]))
