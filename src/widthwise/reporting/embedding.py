"""What a page embeds so that it can show either protocol: figures and the tables that they draw, each table once."""

from collections.abc import Iterable, Mapping
from typing import Any

from widthwise.analysis.experiment import Analysis
from widthwise.measurement.settings import Protocol
from widthwise.reporting.composing import Specification
from widthwise.reporting.figure import Figure, specification
from widthwise.reporting.theme import PAGE_INK, styled

Views = dict[Protocol | None, Analysis]
"""An experiment under each protocol that it was measured by; under None where nothing was measured."""
Drawn = Mapping[Protocol | None, Specification]
"""A figure's Vega-Lite specification under each of these."""
Pool = dict[str, dict[str, Any]]
"""Tables by name: `fields`, and `rows` of values in their order."""


def views(analysis: Analysis) -> Views:
    """An experiment under each of its protocols."""
    return {protocol: analysis.under(protocol) for protocol in analysis.protocols or (None,)}


def drawn(figures: Iterable[Figure], of: Views) -> dict[str, Drawn]:
    """The figures that can be drawn, by name, under each protocol."""
    return {
        figure.name: {protocol: specification(figure, view) for protocol, view in of.items()}
        for figure in figures
        if all(figure.shown(view) for view in of.values())
    }


def embedded(figure: Figure, by_protocol: Drawn, pool: Pool) -> dict[str, object]:
    """A figure for the page, whose tables are put into `pool`.

    Its `charts` and `captions` are pairs of a protocol and what is shown under it, or one pair with an empty protocol
    if that is the same under each.
    """
    captions = {protocol: each["usermeta"]["caption_on_page"] for protocol, each in by_protocol.items()}
    charts = {protocol: _for_page(each, pool) for protocol, each in by_protocol.items()}
    return {
        "name": figure.name,
        "heading": figure.heading,
        "panels": figure.panels,
        "captions": _told_apart(captions),
        "charts": _told_apart(charts),
    }


def _told_apart(by_protocol: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    values = list(by_protocol.values())
    if all(value == values[0] for value in values):
        return [("", values[0])]
    return [(protocol or "", value) for protocol, value in by_protocol.items()]


def _for_page(content: Specification, pool: Pool) -> Specification:
    """A specification without its heading and caption, and with the names of its tables alone."""
    tables = content["datasets"]
    for name, rows in tables.items():
        fields = list(dict.fromkeys(field for row in rows for field in row))
        pool[name] = {"fields": fields, "rows": [[row.get(field) for field in fields] for row in rows]}
    kept = {key: value for key, value in content.items() if key not in ("usermeta", "datasets")}
    return {**styled(kept, PAGE_INK), "tables": list(tables)}
