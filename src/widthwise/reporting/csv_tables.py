"""Tables as CSV files that a spreadsheet may open: text that it would take for a formula is marked as text."""

import io

import pandas as pd

AS_TEXT = "'"
FORMULA = ("=", "+", "-", "@", "\t", "\r", AS_TEXT)
"""First characters of text that a spreadsheet would take for a formula, and the mark itself."""


def to_csv(table: pd.DataFrame) -> bytes:
    """A table as CSV, with an apostrophe before text that looks like a formula."""
    texts = {str(name): column.map(_marked) for name, column in table.items() if not _numeric(column)}
    sink = io.StringIO()
    table.assign(**texts).to_csv(sink, index=False, lineterminator="\n")
    return sink.getvalue().encode()


def from_csv(content: bytes) -> pd.DataFrame:
    """The table that `to_csv` wrote; its column `series` is text even where all names look like numbers."""
    table = pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""], dtype={"series": str})
    texts = {str(name): column.map(_unmarked) for name, column in table.items() if not _numeric(column)}
    return table.assign(**texts)


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column)


def _marked(value: object) -> object:
    return f"{AS_TEXT}{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _unmarked(value: object) -> object:
    return value.removeprefix(AS_TEXT) if isinstance(value, str) else value
