"""Charts of several views, put together as Vega-Lite specifications.

Single views are Altair's. It can also layer and join them, but it copies and checks all that they consist of at every
step, which for a report of thirty figures took longer than everything else together.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from string import ascii_lowercase
from typing import Any

import altair as alt
import pandas as pd
from altair.utils.schemapi import debug_mode

from widthwise.analysis.experiment import Analysis
from widthwise.files import digest

Specification = dict[str, Any]
Chart = Callable[[Analysis, Sequence[str]], Specification]
"""A function from tables and the series to show, in order, to a chart."""
DIGITS = 10
APART = "widthwise"
NO_TABLE = {"name": "empty"}
"""Altair's mark of a chart without a table; in a layer it would take precedence over the table around it."""

_tables: ContextVar[dict[str, list[dict[str, Any]]]] = ContextVar("tables")


def complete(make: Callable[[], Specification], **properties: Any) -> Specification:
    """The specification that `make` returns, with each of its tables once, under `datasets`."""
    with _tables_apart() as tables:
        content = {**make(), **properties}
    return {"$schema": alt.SCHEMA_URL, **content, "datasets": tables}


def view(chart: alt.Chart, **properties: Any) -> Specification:
    """A single view; a chart without a table draws from the table of the chart that it is layered in."""
    content = chart.to_dict(validate=False, context={"top_level": False})
    if content["data"] == NO_TABLE:
        del content["data"]
    return {**content, **properties}


def layered(charts: Sequence[alt.Chart], **properties: Any) -> Specification:
    """Views on top of each other, the first at the bottom."""
    return {"layer": [view(chart) for chart in charts], **properties}


def joined(
    views: Sequence[Specification], shared: Sequence[str], isolating: str = "", columns: int | None = None
) -> Specification:
    """Views side by side, in rows of `columns`, lettered a, b, c where there are several, as in the paper.

    Args:
        shared: the scales that they have in common.
        isolating: a field; a click on a legend's entry sets the parameter `isolated_FIELD`.
    """
    if isolating:  # a selection belongs to one view and acts on all; the legend is that of the first that has one
        first = next(each for each in views[0].get("layer", [views[0]]) if _has_legend(each, isolating))
        selection = {"type": "point", "fields": [isolating]}
        first["params"] = [{"name": f"isolated_{isolating}", "select": selection, "bind": "legend"}]
    if len(views) > 1:
        for index, each in enumerate(views):
            each["title"] = "  ".join(filter(None, (letter(index), each.get("title"))))
    resolved = {"scale": dict.fromkeys(shared, "shared")}
    if columns is None:
        return {"hconcat": list(views), "resolve": resolved}
    return {"concat": list(views), "columns": columns, "resolve": resolved}


def _has_legend(mark: Specification, field: str) -> bool:
    return any(mark["encoding"].get(channel, {}).get("field") == field for channel in ("color", "shape"))


def letter(index: int) -> str:
    """The letter of a panel: a to z, then aa, ab …"""
    before, place = divmod(index, len(ascii_lowercase))
    return (letter(before - 1) if before else "") + ascii_lowercase[place]


def where_isolated(field: str, faded: float, bright: float = 1.0) -> alt.OpacityValue:
    """An opacity that makes everything that is not isolated almost invisible."""
    return alt.OpacityValue(faded, condition={"param": f"isolated_{field}", "value": bright})


def named(table: pd.DataFrame) -> dict[str, str]:
    """A table by its name in `datasets`."""
    content = table.to_json(orient="records", double_precision=DIGITS)
    name = f"data-{digest(content.encode())[:12]}"
    tables = _tables.get()
    if name not in tables:
        tables[name] = json.loads(content)
    return {"name": name}


@contextmanager
def _tables_apart() -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Collect the tables of charts in place of writing them into each view. The tests check Vega-Lite's schema."""
    tables: dict[str, list[dict[str, Any]]] = {}
    token = _tables.set(tables)
    alt.data_transformers.register(APART, lambda data: named(data) if isinstance(data, pd.DataFrame) else data)
    try:
        with alt.data_transformers.enable(APART), debug_mode(False):
            yield tables
    finally:
        _tables.reset(token)
