"""How small networks can be made at each width, and whether wider ones compress to the same size."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from widthwise.analysis.trend import slope_per_doubling
from widthwise.analysis.verdict import FEWEST_REPLICATES, complete, counting
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import PlannedTrial
from widthwise.wording import counted

SIZE = "compressed_parameters"
MEASURES = ("compressibility", SIZE)
RESULTS = (*MEASURES, "compressed_labels_kept")
MARGIN = 0.1
"""The growth, in doublings of size per doubling of width, up to which sizes are the same: a factor of 1.07."""
FEWEST_WIDTHS = 2

Answer = Literal["to the same size", "to larger ones", "to smaller ones", "cannot be told"]
COLUMNS = ["series", "answer", "reason", "replicates", "factor_per_doubling", "low", "high", "whole_factor"]


def with_compressibility(chosen: pd.DataFrame, planned: Iterable[PlannedTrial], store: Store) -> pd.DataFrame:
    """The chosen networks with their columns of compressibility, if any of them was asked for it.

    `compressed_parameters`, `compressibility` and `compressed_labels_kept` are a trial's results, missing where it was
    not asked for or not found; `compresses_most` says whether the network is the smallest, once compressed, of those of
    its series and width that have not collapsed; `not_compressed` is the reason why it could not be compressed.
    """
    asked = {run.trial.id for run in planned if run.trial.compressibility}
    if not asked.intersection(chosen["trial"]):
        return chosen
    found = chosen.reindex(columns=[*chosen.columns, *(name for name in RESULTS if name not in chosen)])
    sizes = found[SIZE].mask(found["degenerate"].astype(bool))
    least = sizes.groupby([found["series"], found["width_factor"]]).transform("min")
    lacking = {trial for trial in found.loc[found[SIZE].isna(), "trial"] if trial in asked}
    reasons = {trial: store.table(trial, "not_compressed")["reason"].iloc[0] for trial in lacking}
    return found.assign(
        compresses_most=sizes == least, not_compressed=[reasons.get(trial, "") for trial in found["trial"]]
    )


def compressed_sizes(networks: pd.DataFrame, series: Sequence[str], widths: Sequence[float]) -> pd.DataFrame:
    """The table `compressibility`: for each series, whether wider networks compress to the same size.

    Its columns are `series, answer, reason, replicates, factor_per_doubling, low, high, whole_factor`: the factor by
    which the parameters of the compressed networks are multiplied when width doubles, with its 90% interval, and that
    of the networks as they were. A replicate counts if it has, at every width, a network that was compressed and has
    not collapsed to one label. Factors are those of lines through the logarithms of each replicate's sizes, and the
    interval is Student's t over their slopes. `to the same size`: the interval lies within ±0.1 doublings of size per
    doubling of width; otherwise `to larger ones` or `to smaller ones` if it lies wholly above or below 0.

    Args:
        networks: the chosen networks, one row each; without the column `compressed_parameters` the table is empty.
        series, widths: those that the sweep planned.
    """
    if SIZE not in networks:
        return pd.DataFrame()
    asked = networks.loc[networks[SIZE].notna() | (networks["not_compressed"] != ""), "series"]
    rows = [_row(networks, name, widths) for name in series if name in set(asked)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(networks: pd.DataFrame, series: str, widths: Sequence[float]) -> dict[str, Any]:
    of_series = counting(networks, series)
    compressed = complete(of_series, SIZE, widths)
    row: dict[str, Any] = {"series": series, "replicates": len(compressed)}
    if len(compressed.columns) < FEWEST_WIDTHS or len(compressed) < FEWEST_REPLICATES:
        reason = (
            f"this needs at least {FEWEST_REPLICATES} complete replicates at {FEWEST_WIDTHS} widths, and there are "
            f"{len(compressed)} at {len(compressed.columns)} (complete: compressed at every width, and not collapsed "
            "to one label at any)"
        )
        return row | {"answer": "cannot be told", "reason": f"{reason}{_failures(networks, series)}."}
    ordered = compressed.columns.to_numpy(dtype=float)
    whole = complete(of_series, "parameters", widths).loc[compressed.index]
    of_compressed, of_whole = (slope_per_doubling(np.log2(each.to_numpy()), ordered) for each in (compressed, whole))
    ends = of_compressed.interval()
    factor, low, high, same, grown = (float(2**each) for each in (of_compressed.value, *ends, MARGIN, of_whole.value))
    reason = (
        f"when width doubles, the size once compressed is multiplied by {factor:.2f} [{low:.2f}, {high:.2f}], that of "
        f"the networks as they are by {grown:.2f}; {1 / same:.2f} to {same:.2f} counts as the same"
        f"{_failures(networks, series)}."
    )
    numbers = {"factor_per_doubling": factor, "low": low, "high": high, "whole_factor": grown}
    return row | {"answer": _answer(*ends), "reason": reason, **numbers}


def _failures(networks: pd.DataFrame, series: str) -> str:
    """How many networks of a series could not be compressed, with the first one's reason; empty if all could be."""
    reasons = networks.loc[(networks["series"] == series) & (networks["not_compressed"] != ""), "not_compressed"]
    if reasons.empty:
        return ""
    return f"; {counted(len(reasons), 'network')} could not be compressed ({reasons.iloc[0]})"


def _answer(low: float, high: float) -> Answer:
    """The answer by the interval of the slope: equivalence comes first, as a growth within the margin is none."""
    if low >= -MARGIN and high <= MARGIN:
        return "to the same size"
    return "to larger ones" if low > 0 else "to smaller ones" if high < 0 else "cannot be told"
