"""The tables of units and of pairs on a profile's page, with a bounded number of rows, so that the page stays small."""

import json
from collections.abc import Sequence

import pandas as pd

from widthwise.measurement.result import Profile
from widthwise.measurement.units import MECHANISMS

MOST_ROWS = 20_000
"""Rows of a table on a page. They take about 2 MB."""
DIGITS = 4
UNIT_TITLES = {
    "layer": "Layer",
    "unit": "Unit",
    "mechanism": "Mechanism",
    "active_share": "Active on",
    "mean": "Mean activity",
    "outgoing_norm": "Outgoing weights",
    "similar_units": "Similar units",
    "most_similar": "Most similar",
    "r": "r",
    "unchanged_alone": "Kept without it",
    "unchanged_with_most_similar": "… without both",
}
PAIR_TITLES = {
    "layer": "Layer",
    "unit": "Unit i",
    "other": "Unit j",
    "r": "r",
    "r_squared": "r²",
    "slope": "γ",
    "intercept": "c",
}
Table = dict[str, object]
"""A table for the page's script: `titles`, whether each column is `numeric`, the `rows`, in which a layer is its index,
and `total`, the number of rows that there are."""


def unit_table(profile: Profile, most: int = MOST_ROWS) -> Table:
    """The units, in the columns that are not empty.

    If there are more than `most`, every layer has the same number of rows at most: those of the units that are most
    clearly removable, by mechanism and, within one, by the r of the unit that they resemble most.
    """
    units = profile.units
    ranks = units["mechanism"].map({kind: rank for rank, kind in enumerate(MECHANISMS)}).fillna(len(MECHANISMS))
    likeness = -units["r"].abs().fillna(0)
    ordered = units.assign(_rank=ranks, _likeness=likeness).sort_values(["_rank", "_likeness"], kind="stable")
    titles = {name: title for name, title in UNIT_TITLES.items() if units[name].notna().any()}
    return table_of(profile.layers["layer"].tolist(), units.loc[first_of_each_layer(ordered, most)], titles, len(units))


def pair_table(profile: Profile, most: int = MOST_ROWS) -> Table:
    """The strongest pairs; if there are more than `most`, the same number of each layer at most."""
    pairs = profile.pairs
    return table_of(
        profile.layers["layer"].tolist(), pairs.loc[first_of_each_layer(pairs, most)], PAIR_TITLES, len(pairs)
    )


def first_of_each_layer(table: pd.DataFrame, most: int) -> pd.Index:
    """The index of the first rows of each layer, as many of each as fit into `most` rows, in ascending order."""
    numbers = sorted(table["layer"].value_counts())
    each, room = max(numbers, default=0), most
    for index, number in enumerate(numbers):
        share = room // (len(numbers) - index)
        if number > share:
            each = share
            break
        room -= number
    return table.index[table.groupby("layer").cumcount() < each].sort_values()


def table_of(
    layers: Sequence[str], shown: pd.DataFrame, titles: dict[str, str], total: int, digits: int = DIGITS
) -> Table:
    """Rows of a table in some of its columns.

    Args:
        layers: the names of layers, for whose index a layer's name is exchanged.
        shown: the rows.
        titles: the titles of the columns that are shown, by name.
        total: the number of rows that there are.
        digits: decimals of each number.
    """
    indices = {name: index for index, name in enumerate(layers)}
    content = shown[list(titles)].assign(layer=shown["layer"].map(indices)).round(digits)
    return {
        "titles": list(titles.values()),
        "numeric": [name != "layer" and bool(pd.api.types.is_numeric_dtype(content[name])) for name in titles],
        "rows": json.loads(content.to_json(orient="values", double_precision=digits)),
        "total": total,
    }
