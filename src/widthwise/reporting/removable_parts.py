"""What a network can do without, as a profile's page shows it: shares that can go, in all and layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from widthwise.errors import RequestError
from widthwise.wording import listed, with_minus

SIZES = {"units": "Units", "parameters": "Parameters", "flops": "Operations"}
NEEDED = (
    *("labels", "layer", "compared", "labels_kept", "labels_kept_low", "labels_kept_high"),
    *(f"{size}_{when}" for size in SIZES for when in ("before", "after")),
)


@dataclass(frozen=True)
class RemovableParts:
    """What can go.

    reason: why nothing can go; empty: something can, or how much was tried.
    compared: the number of labels that were compared.
    levels: the shares of labels to keep, in words.
    whole: for each of them the share of labels that stayed with its interval, and the share of each size that can go.
    layers: for each layer its name and, for each size, how large it is and the shares that can go.
    """

    reason: str
    compared: int
    levels: list[str]
    whole: list[list[str]]
    layers: list[list[str]]


def removable_parts(given: pd.DataFrame | str) -> RemovableParts:
    """What can go, from the table of `widthwise.what_can_go` or the reason why nothing can.

    Raises:
        RequestError: it is another table.
    """
    if isinstance(given, str):
        return RemovableParts(given, 0, [], [], [])
    missing = [name for name in NEEDED if name not in given.columns]
    if missing or given.empty:
        lacks = f"lacks {listed(missing)}" if missing else "has no rows"
        raise RequestError(f"must be the table that widthwise.what_can_go returns; it {lacks}", field="what_can_go")
    records = given.to_dict("records")
    wholes = [row for row in records if not row["layer"]]
    by_layer: dict[str, list[Mapping[Any, Any]]] = {}
    for row in records:
        if row["layer"]:
            by_layer.setdefault(row["layer"], []).append(row)
    return RemovableParts(
        "",
        int(wholes[0]["compared"]),
        [f"{100 * row['labels']:.4g}%" for row in wholes],
        [_of_network(row) for row in wholes],
        [[name, *(cell for size in SIZES for cell in _of_layer(size, rows))] for name, rows in by_layer.items()],
    )


def _of_network(row: Mapping[Any, Any]) -> list[str]:
    interval = f"{row['labels_kept_low']:.1%} to {row['labels_kept_high']:.1%}"
    return [f"{row['labels_kept']:.1%}", interval, *(_share(size, row) for size in SIZES)]


def _of_layer(size: str, rows: list[Mapping[Any, Any]]) -> list[str]:
    before = rows[0][f"{size}_before"]
    return ["–" if pd.isna(before) else f"{before:,}", *(_share(size, row) for row in rows)]


def _share(size: str, row: Mapping[Any, Any]) -> str:
    """The share of a size that can go; of what is 0 there is none."""
    before, after = row[f"{size}_before"], row[f"{size}_after"]
    if pd.isna(before) or not before:
        return "–"
    return with_minus(f"{1 - after / before:.0%}")
