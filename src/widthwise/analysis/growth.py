"""How much prunability and redundancy grow with width, as the AAAI 2021 version of the paper reports it."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from widthwise.analysis.trend import Estimate, Table, Widths, doublings_between, mean_of
from widthwise.analysis.verdict import complete, counting

SHARES = ("prunability", "non_prunability", "redundancy_pca")
"""Shares of a network's units."""
RELATIVE = "_relative"
"""What the name of a share ends with where it is a count of units relative to the widest network's."""
COLUMNS = ["protocol", "series", "measure", "relative", "factor_per_doubling", "low", "high", "replicates"]


def with_counts(networks: pd.DataFrame) -> pd.DataFrame:
    """Networks, or layers, with `non_prunability` and with each of `SHARES` as a count relative to the widest's units.

    `non_prunability` is 1 - prunability, the share of units that are needed. `prunability_relative` and so on are that
    share times the width, as a multiple of the width of the widest: the number of units of the kind, in units of the
    number of all units that the widest network has.

    Args:
        networks: a row for each network or layer; of its columns `series`, `width_factor`, `prunability` and
            `redundancy_pca` are read. The widest is that of its series.
    """
    found = networks.assign(non_prunability=1 - networks["prunability"])
    widths = found["width_factor"]
    ratio = widths / found.groupby("series")["width_factor"].transform("max")
    return found.assign(**{f"{share}{RELATIVE}": found[share] * ratio for share in SHARES})


def growth(networks: pd.DataFrame) -> pd.DataFrame:
    """The table `growth`: the factor by which each share of units, and each count, is multiplied when width doubles.

    Its columns are `protocol, series, measure, relative, factor_per_doubling, low, high, replicates`. A replicate's
    factor is the geometric mean over its steps of width, each step as many doublings as it is. `factor_per_doubling` is
    the geometric mean over the replicates that have a network at every width which has not collapsed; `low` and `high`
    are its 90% interval by Student's t over the logarithms, missing where there is one replicate. Where `relative` is
    true, the measure is the number of units; a share that stays the same then has a factor of 2. The factor is missing
    where there are fewer than two widths, no replicate, or one whose measure is 0 at an end, from which nothing grows
    by a factor.

    Args:
        networks: the chosen networks with their measures.
    """
    rows: list[dict[str, Any]] = []
    for (protocol, series), group in with_counts(networks).groupby(["protocol", "series"], sort=False):
        of_series = counting(group, str(series))
        widths = sorted(set(group["width_factor"]))
        for share in SHARES:
            for relative in (False, True):
                table = complete(of_series, f"{share}{RELATIVE}" if relative else share, widths).to_numpy()
                numbers = _factor(table, np.array(widths))
                rows.append(dict(zip(COLUMNS, (protocol, series, share, relative, *numbers, len(table)), strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)


def factor_of(networks: pd.DataFrame, series: str, share: str, widths: Iterable[float]) -> Estimate | None:
    """The logarithm to base 2 of the factor per doubling by which the units of a kind grow in number.

    Args:
        networks: those of one protocol.
        series: its name.
        share: one of `SHARES`.
        widths: those that were planned.

    Returns: None where it is not known (`growth`), or of one replicate alone.
    """
    ordered = sorted(set(widths))
    table = complete(counting(with_counts(networks), series), f"{share}{RELATIVE}", ordered).to_numpy()
    logarithms = _logarithms(table, np.array(ordered))
    return mean_of(logarithms) if len(logarithms) > 1 else None


def _factor(table: Table, widths: Widths) -> tuple[float, float, float]:
    """The factor per doubling of width, and the bounds of its interval."""
    logarithms = _logarithms(table, widths)
    if not len(logarithms):
        return math.nan, math.nan, math.nan
    mean = float(2 ** logarithms.mean())
    if len(logarithms) == 1:
        return mean, math.nan, math.nan
    low, high = mean_of(logarithms).interval()
    return mean, 2**low, 2**high


def _logarithms(table: Table, widths: Widths) -> Float[np.ndarray, " known"]:
    """For each replicate, the logarithm to base 2 of its factor per doubling; none where it is not known.

    The geometric mean over the steps of a replicate is that of its whole way: what lies between cancels.
    """
    if len(widths) < 2 or (table[:, [0, -1]] <= 0).any():
        return np.empty(0)
    return np.log2(table[:, -1] / table[:, 0]) / doublings_between(widths)
