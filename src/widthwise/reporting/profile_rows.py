"""The table behind the charts of a profile: one row for each layer, with its curve and its correlations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from widthwise.measurement.profile_text import of_first_protocol
from widthwise.measurement.result import Profile
from widthwise.measurement.short_names import short_names
from widthwise.measurement.units import MECHANISMS

NAME_ROOM = 22
FEW_LAYERS = 24
"""Up to this many layers have a violin each; the correlations of more are a heat map."""
COARSE_BINS = 25
"""Bins of |r| in a heat map, which has less room than a violin."""
DIGITS = 4
KINDS = (*MECHANISMS, "unknown")
Row = dict[str, Any]


def layer_rows(profile: Profile) -> list[Row]:
    """One row for each layer, in order of depth.

    The fields are `depth` (from 1), `layer`, `short` (a name that fits on an axis), `units`, `dead`; `auc`,
    `auc_corrected` and `similarity`, each with `_low` and `_high`, one standard deviation away; `unchanged` and
    `deviation`, lists over the shares dropped; `pairs`, the share of the pairs of units in each of equally wide bins
    of |r| (empty if there are no pairs); `kinds` and `counts`, the mechanisms of its units.
    """
    layers = profile.layers
    short = short_names(layers["layer"].tolist(), NAME_ROOM)
    curves = of_first_protocol(profile.ablation).groupby(["layer", "share_dropped"], sort=False)["unchanged"]
    mean, deviation = (_by_layer(table) for table in (curves.mean(), curves.std()))
    pairs = profile.correlation.groupby(["layer", "low"], sort=False)["pairs"].sum()
    counts = _by_layer(pairs)
    named = profile.units.assign(mechanism=profile.units["mechanism"].fillna("unknown"))
    kinds = named.groupby("layer")["mechanism"].value_counts().unstack(fill_value=0).reindex(columns=list(KINDS))
    return [
        {
            "depth": depth,
            "layer": row["layer"],
            "short": short[depth - 1],
            "units": row["units"],
            "dead": round(row["dead_fraction"], DIGITS),
            **_between(row, "auc"),
            **_between(row, "auc_corrected"),
            **_between(row, "similarity"),
            "unchanged": _plain(mean[row["layer"]]),
            "deviation": _plain(deviation[row["layer"]]),
            "pairs": _shares(counts[row["layer"]], len(layers)),
            **_mechanisms(kinds.loc[row["layer"]].dropna()),
        }
        for depth, row in enumerate(layers.to_dict("records"), start=1)
    ]


def _by_layer(table: pd.Series) -> dict[str, np.ndarray]:
    """The values of each layer, from a table whose index begins with the layer."""
    return {str(layer): values.to_numpy() for layer, values in table.groupby(level=0, sort=False)}


def _between(row: Mapping[Any, Any], measure: str) -> Row:
    value, deviation = row[measure], row[f"{measure}_std"]
    spread = 0.0 if pd.isna(deviation) else deviation
    low = max(0.0, value - spread) if measure == "similarity" else value - spread
    values = {measure: value, f"{measure}_low": low, f"{measure}_high": value + spread}
    return {name: None if pd.isna(each) else round(each, DIGITS) for name, each in values.items()}


def _shares(pairs: np.ndarray, layers: int) -> list[float]:
    """The share of pairs in each bin."""
    if layers > FEW_LAYERS:
        pairs = pairs.reshape(COARSE_BINS, -1).sum(1)
    return [] if pairs.sum() == 0 else _plain(pairs / pairs.sum())


def _mechanisms(counts: pd.Series) -> Row:
    present = counts[counts > 0].astype(int)
    return {"kinds": present.index.tolist(), "counts": present.tolist()}


def _plain(values: np.ndarray) -> list:
    return [None if np.isnan(value) else round(float(value), DIGITS) for value in values]
