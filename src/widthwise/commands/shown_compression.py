"""A smaller network, a plan of one and a frontier, as they are shown in the terminal."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from widthwise.commands.terminal import number_column, plain_table, print_json, results, scaled, text_column
from widthwise.wording import listed

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from widthwise.compression.compressed import Compressed
    from widthwise.compression.plan import CompressionPlan


def show_frontier(curve: "DataFrame", as_json: bool) -> None:
    if as_json:
        print_json(json.loads(curve.to_json(orient="records")))
        return
    table = plain_table(
        *map(number_column, ("Units", "Labels kept", "95% interval", "Parameters", "FLOPs", "One input"))
    )
    for row in curve.to_dict("records"):
        interval = "" if row["keep"] == 1 else f"{row['labels_kept_low']:.1%} to {row['labels_kept_high']:.1%}"
        table.add_row(
            f"{row['keep']:.1%}",
            f"{row['labels_kept']:.1%}",
            interval,
            scaled(row["parameters"], ""),
            scaled(row["flops"], ""),
            f"{1e3 * row['seconds_one']:.2f} ms",
        )
    results.print(table)
    if curve["collapsed"].any():
        shares = listed([f"{keep:.1%}" for keep in curve.loc[curve["collapsed"], "keep"]])
        results.print(f"\nWith {shares} of the units the network gives one label to nearly all of the examples.")


def tables_of(found: "Compressed") -> dict[str, object]:
    return {name: json.loads(getattr(found, name).to_json(orient="records")) for name in ("layers", "left", "classes")}


def show_compressed(found: "Compressed", out: str | None, page: str | None) -> None:
    known = found.comparison
    results.print(f"{found.keep:.1%} of the units of these layers stay.")
    low, high = known["labels_kept_low"], known["labels_kept_high"]
    results.print(
        f"{known['labels_kept']:.1%} of {known['labels']:,} labels stay, with 95% confidence {low:.1%} to {high:.1%}."
    )
    for line in found.of_labels():
        results.print(line)
    sizes = plain_table(Column(""), *map(number_column, ("Before", "After", "Share")))
    plain = (("parameters", "parameters", ""), ("one example", "flops", "FLOP"), ("memory", "bytes", "B"))
    _add_sizes(sizes, known, plain)
    for title, name in (("one at a time", "one"), (f"{known['batch']} at a time", "batch")):
        before, after = known[f"seconds_{name}_before"], known[f"seconds_{name}_after"]
        sizes.add_row(title, f"{1e3 * before:.2f} ms", f"{1e3 * after:.2f} ms", f"{after / before:.0%}")
    results.print(sizes)
    table = plain_table(
        text_column("Layer"),
        number_column("Units"),
        number_column("Stay"),
        number_column("Error"),
        text_column("Reader"),
    )
    for row in found.layers.to_dict("records"):
        table.add_row(row["layer"], str(row["units"]), str(row["kept"]), f"{row['error']:.3f}", row["reader"])
    results.print()
    results.print(table)
    _show_reasons(found)
    for note in found.notes():
        results.print(f"\n{note}", markup=False)
    _show_left(found.left_by_reason())
    if out is not None:
        results.print(f"\nThe smaller network: {out}", soft_wrap=True, markup=False)
    if page is not None:
        results.print(f"\nThe page: {page}", soft_wrap=True, markup=False)


def show_plan(plan: "CompressionPlan", as_json: bool) -> None:
    from widthwise.compression.tables import by_reason

    known = plan.sizes
    if as_json:
        layers, left = (json.loads(each.to_json(orient="records")) for each in (plan.layers, plan.left))
        print_json({"sizes": json.loads(known.to_json()), "layers": layers, "left": left})
        return
    sizes = plain_table(Column(""), *map(number_column, ("Before", "After", "Share")))
    _add_sizes(sizes, known, (("parameters", "parameters", ""), ("one example", "flops", "FLOP")))
    results.print(sizes)
    table = plain_table(text_column("Layer"), *map(number_column, ("Units", "Would stay")), text_column("Reader"))
    for row in plan.layers.to_dict("records"):
        table.add_row(row["layer"], str(row["units"]), str(row["kept"]), row["reader"])
    results.print()
    results.print(table)
    _show_left(by_reason(plan.left))


def _add_sizes(table: Table, known: "Series[Any]", sizes: Iterable[tuple[str, str, str]]) -> None:
    for title, name, unit in sizes:
        before, after = known[f"{name}_before"], known[f"{name}_after"]
        table.add_row(title, scaled(before, unit), scaled(after, unit), f"{after / before:.0%}")


def _show_left(left: Iterable[tuple[str, str]]) -> None:
    """The layers that stay whole, and why; nothing if there are none."""
    whole = plain_table(text_column("Left whole"), text_column("Since"))
    for names, reason in left:
        whole.add_row(names, reason)
    if whole.row_count:
        results.print()
        results.print(whole)


def _show_reasons(found: "Compressed") -> None:
    """How many units of each layer went for each reason for which any did."""
    from widthwise.compression.reasons import REASONS

    named = [reason for reason in REASONS if found.layers[reason].any()]
    if not named:
        return
    table = plain_table(text_column("Went from"), *(number_column(reason.capitalize()) for reason in named))
    for row in found.layers.to_dict("records"):
        table.add_row(row["layer"], *(str(row[reason]) for reason in named))
    results.print()
    results.print(table)
