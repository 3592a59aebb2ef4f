"""The output of commands: results to stdout, everything else to stderr."""

import json

import typer
from rich.console import Console
from rich.table import Column, Table

messages = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False)


def print_json(content: object) -> None:
    """Print one JSON value to stdout."""
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))


def plain_table(*columns: Column) -> Table:
    """A table without lines around it."""
    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def text_column(heading: str, no_wrap: bool = False) -> Column:
    """A column of text, which is folded where there is too little room."""
    return Column(heading, overflow="fold", no_wrap=no_wrap)


def number_column(heading: str) -> Column:
    """A column of numbers."""
    return Column(heading, justify="right", no_wrap=True)


def scaled(number: int, unit: str) -> str:
    """A count in thousands, millions and so on; small ones are exact."""
    if number < 100_000 and not unit:
        return f"{number:,}"
    for power, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= power:
            return f"{number / power:.3g} {prefix}{unit}"
    return f"{number} {unit}"
