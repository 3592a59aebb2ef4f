"""Paths of a report's files in its store, and the formats of its figures. `experiment` is NAME.SCALE."""

from typing import Literal

FileFormat = Literal["png", "svg", "pdf"]
FORMATS: tuple[FileFormat, ...] = ("png", "svg", "pdf")
DEFAULT_FORMATS: tuple[FileFormat, ...] = ("svg",)

PAGE = "report/index.html"
STAMP = "report/stamp.json"
FIGURES = "report/figures.json"


def table(experiment: str, name: str) -> str:
    """A table's CSV file."""
    return f"report/{experiment}/tables/{name}.csv"


def figure(experiment: str, name: str, file_format: str) -> str:
    """A figure's file."""
    return f"report/{experiment}/figures/{name}.{file_format}"
