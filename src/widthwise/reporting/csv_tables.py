"""Tables as CSV files that a spreadsheet may open: text that it would take for a formula is marked as text."""

import io
from collections.abc import Callable

import pandas as pd

AS_TEXT = "'"
FORMULA = ("=", "+", "-", "@", "\t", "\r", AS_TEXT)
"""First characters of text that a spreadsheet would take for a formula, and the mark itself."""


def to_csv(table: pd.DataFrame) -> bytes:
    """A table as CSV, with an apostrophe before text that looks like a formula."""
    return _with_texts(table, _marked).to_csv(index=False, lineterminator="\n").encode()


def from_csv(content: bytes) -> pd.DataFrame:
    """The table that `to_csv` wrote; its column `series` is text even where all names look like numbers."""
    table = pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""], dtype={"series": str})
    return _with_texts(table, _unmarked)


def _with_texts(table: pd.DataFrame, function: Callable[[object], object]) -> pd.DataFrame:
    """A table with `function` of each value in its columns that are not of numbers."""
    texts = table.select_dtypes(exclude=["number", "bool"])
    return table.assign(**{str(name): column.map(function) for name, column in texts.items()})


def _marked(value: object) -> object:
    return f"{AS_TEXT}{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _unmarked(value: object) -> object:
    return value.removeprefix(AS_TEXT) if isinstance(value, str) else value
