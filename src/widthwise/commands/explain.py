"""`--explain PATH`: the value of a field of the trial, and the layer of settings that set it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from widthwise.commands.terminal import plain_table, print_json, results, text_column

if TYPE_CHECKING:
    from widthwise.experiments.explanation import Explanation, FieldOrigin
    from widthwise.experiments.sweep import Scale, Sweep

FEW = 6
"""The most values of an axis that are listed in full."""


def show_explanation(sweep: "Sweep", path: str, scale: "Scale", as_json: bool) -> None:
    """Print the value of a field, or of each field of a section, in the series of a sweep."""
    found = sweep.explain(path, scale)
    if as_json:
        print_json([vars(each) for each in found])
        return
    _show([(each.path, _values(each), each.layer, "; ".join(each.series) or "every series") for each in found])


def show_origins(origins: "Sequence[FieldOrigin]", as_json: bool) -> None:
    """Print the values of fields of one trial, and the layers that set them."""
    if as_json:
        print_json([vars(each) for each in origins])
        return
    _show([(each.path, _value(each.value), each.layer) for each in origins])


def _show(rows: Sequence[tuple[str, ...]]) -> None:
    headings = ("Value", "Set by", "Series")[: len(rows[0]) - 1]
    table = plain_table(text_column("Field", no_wrap=True), *map(text_column, headings))
    for row in rows:
        table.add_row(*map(Text, row))
    results.print(table)


def _values(explanation: "Explanation") -> str:
    shown = [_value(value) for value in explanation.values]
    return ", ".join(shown if len(shown) <= FEW else [*shown[:FEW], f"… ({len(shown)})"])


def _value(value: object) -> str:
    """A value as YAML writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
