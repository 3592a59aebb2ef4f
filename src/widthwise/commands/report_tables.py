"""A report's tables on the terminal."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from widthwise.commands.terminal import number_column, plain_table, print_json, results, scaled, text_column
from widthwise.wording import with_minus

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from widthwise.reporting.report import Report

IN_WORDS = {
    "text": "units of one layer at a time are dropped, each at every position by itself",
    "figures": "whole units of all layers are dropped together",
}
IN_JSON = ("summary", "verdicts", "compressibility", "claims", "comparison")
"""Tables that `--json` prints."""
ANSWER_STYLES = {
    **{"supported": "green", "not supported": "red", "no valid evidence": "yellow"},
    **{"agrees": "green", "disagrees": "red", "cannot be told": "yellow", "not run": "yellow"},
}


def show_tables(report: "Report", reported: Mapping[str, "Mapping[str, DataFrame]"], as_json: bool) -> None:
    """Print the most important columns of the tables of some experiments of a report, and its page's path."""
    if as_json:
        tables = {
            experiment: {
                name: json.loads(table.to_json(orient="records")) for name, table in tables.items() if name in IN_JSON
            }
            for experiment, tables in reported.items()
        }
        print_json({"page": report.page, "experiments": tables})
        return
    for experiment, tables in reported.items():
        results.print(f"\n{experiment}", style="bold", markup=False)
        if "verdicts" in tables:
            protocol = report.protocols[experiment]
            results.print(_verdict_table(tables["verdicts"].query("protocol == @protocol")))
            if protocol:
                results.print(f"Removability by the protocol {protocol}: {IN_WORDS[protocol]}.", style="dim")
        elif "comparison" in tables:
            results.print(_comparison_table(tables["comparison"]))
        elif "summary" in tables:
            results.print(_parameter_table(tables["summary"]))
        else:
            results.print("no trained network yet")
        if "compressibility" in tables:
            results.print(_compressibility_table(tables["compressibility"]))
        if "claims" in tables:
            results.print(_claim_table(tables["claims"]))
    results.print(f"\nThe page: {report.page}", soft_wrap=True, markup=False)


def _verdict_table(verdicts: "DataFrame") -> Table:
    table = plain_table(Column("Series", no_wrap=True), Column("Claim", no_wrap=True), text_column("Why"))
    for row in verdicts.to_dict("records"):
        reason = row["reason"][0].upper() + row["reason"][1:]
        answer = Text(row["verdict"], ANSWER_STYLES[row["verdict"]])
        table.add_row(Text(str(row["series"])), answer, Text(with_minus(reason)))
    return table


def _compressibility_table(compressibility: "DataFrame") -> Table:
    table = plain_table(
        Column("Series", no_wrap=True), text_column("Wider networks compress", no_wrap=True), text_column("Why")
    )
    for row in compressibility.to_dict("records"):
        reason = row["reason"][0].upper() + row["reason"][1:]
        table.add_row(Text(str(row["series"])), Text(row["answer"]), Text(reason))
    return table


def _claim_table(claims: "DataFrame") -> Table:
    """Answers to the claims that the author of the sweep states."""
    table = plain_table(text_column("Your claim"), text_column("Answer", no_wrap=True), text_column("Why"))
    for row in claims.to_dict("records"):
        answer = Text(row["answer"], ANSWER_STYLES[row["answer"]])
        table.add_row(Text(row["statement"]), answer, Text(with_minus(row["evidence"])))
    return table


def _comparison_table(comparison: "DataFrame") -> Table:
    """Replicates together: ranges of what was expected and measured."""
    names, values = map(text_column, ("Construction", "Quantity")), map(number_column, ("Expected", "Measured"))
    table = plain_table(*names, *values, Column("Holds", no_wrap=True))
    relations = {"<": "< ", "≈": "≈ ", "=": ""}
    for (series, quantity), rows in comparison.groupby(["series", "quantity"], sort=False):
        held = f"{int(rows['holds'].sum())} of {len(rows)}"
        style = "green" if rows["holds"].all() else "red"
        expected = relations[rows["relation"].iloc[0]] + _range(rows["expected"])
        table.add_row(Text(str(series)), str(quantity), expected, _range(rows["measured"]), Text(held, style))
    return table


def _parameter_table(summary: "DataFrame") -> Table:
    """Parameters by network and width."""
    widths = sorted(summary["width_factor"].unique())
    table = plain_table(text_column("Parameters"), *(number_column(f"{width:g}x") for width in widths))
    for series, rows in summary.groupby("series", sort=False):
        counts = dict(zip(rows["width_factor"], rows["parameters"], strict=True))
        table.add_row(
            Text(str(series)), *(scaled(int(counts[width]), "") if width in counts else "" for width in widths)
        )
    return table


def _range(values: "Series") -> str:
    low, high = (with_minus(f"{value:.3g}") for value in (values.min(), values.max()))
    return low if low == high else f"{low} – {high}"
