"""The test of the paper's claim (Section 2.4) that removability or repetition grows with width, series by series."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

from widthwise.analysis.trend import (
    change_over_widths,
    holm,
    page_p_value,
    slope_per_doubling,
    smallest_page_p_value,
)

SIGNIFICANCE = 0.05
ACCURACY_MARGIN = 0.02
"""The test accuracy that a wider network may lose and still count as generalizing as well."""
FEWEST_REPLICATES, FEWEST_WIDTHS = 2, 3

MEASURES = ("removability", "similarity")
COLUMN_OF = {"removability": "auc", "similarity": "similarity", "accuracy": "test_accuracy"}

Answer = Literal["supported", "not supported", "no valid evidence"]


def verdicts(networks: pd.DataFrame, series: list[str], widths: list[float], replicates: int) -> pd.DataFrame:
    """One row per series: the tests, the slopes, the answer and its reason.

    A replicate counts if it has, at every width, a chosen network that has not collapsed to one label. Removability
    (AUC) and similarity are each tested for an increase by Page's trend test, the p-values of all series and both
    measures corrected together by Holm's method. `supported`: accuracy was kept, its change over the widths being at
    least -0.02 with 95% confidence, and a measure grows; `not supported`: accuracy was kept and neither grows;
    `no valid evidence`: too little to test, or the claim's condition, kept accuracy, is not shown.

    Args:
        networks: the chosen networks with their measures.
        series, widths, replicates: those that the sweep planned.
    """
    ordered = np.array(sorted(set(widths)))
    rows: list[dict[str, Any]] = []
    tested: list[tuple[dict[str, Any], dict[str, np.ndarray]]] = []
    for name in series:
        of_series = counting(networks, name)
        tables = {measure: complete(of_series, column, widths).to_numpy() for measure, column in COLUMN_OF.items()}
        found = len(tables["accuracy"])
        obstacle = _obstacle(of_series, ordered, found, replicates)
        rows.append({"series": name, "replicates": found, "obstacle": obstacle})
        if not obstacle:
            tested.append((rows[-1], tables))
    for row, tables in tested:
        for name in MEASURES:
            row[f"{name}_p"] = page_p_value(tables[name])
            slope = slope_per_doubling(tables[name], ordered)
            row |= {f"{name}_slope": slope.estimate, f"{name}_slope_low": slope.low, f"{name}_slope_high": slope.high}
        row["accuracy_change"], row["accuracy_change_low"] = change_over_widths(tables["accuracy"], ordered)
        row["accuracy_kept"] = row["accuracy_change_low"] >= -ACCURACY_MARGIN
    for row, tables in tested:
        reach = smallest_page_p_value(*tables["accuracy"].shape) * len(MEASURES) * len(tested)
        if reach >= SIGNIFICANCE:
            row["obstacle"] = (
                f"{row['replicates']} replicates at {len(ordered)} widths cannot show a trend: even a perfect one "
                f"has p = {min(reach, 1.0):.2g} after correction; more replicates or widths are needed"
            )
    tests = [(row, name) for row, _ in tested for name in MEASURES]
    corrected = holm(np.array([row[f"{name}_p"] for row, name in tests]))
    for (row, name), p_value in zip(tests, corrected, strict=True):
        row[f"{name}_p_holm"] = float(p_value)
        row[f"{name}_grows"] = bool(p_value < SIGNIFICANCE)
    for row in rows:
        row["verdict"], row["reason"] = _answer(row)
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    *("series", "verdict", "reason", "replicates", "obstacle"),
    *(f"{name}_{part}" for name in MEASURES for part in ("grows", "slope", "slope_low", "slope_high", "p", "p_holm")),
    *("accuracy_change", "accuracy_change_low", "accuracy_kept"),
]


def counting(networks: pd.DataFrame, series: str) -> pd.DataFrame:
    """The networks of a series that have not collapsed to one label."""
    return networks[(networks["series"] == series) & ~networks["degenerate"].astype(bool)]


def complete(networks: pd.DataFrame, measure: str, widths: Iterable[float]) -> pd.DataFrame:
    """A measure, one column per width, of the replicates that have a network at each of them."""
    table = networks.pivot(index="replicate", columns="width_factor", values=measure)
    return table.reindex(columns=sorted(set(widths))).dropna().astype(float)


def _obstacle(networks: pd.DataFrame, widths: np.ndarray, complete: int, planned: int) -> str:
    """The reason why nothing can be tested; empty if something can.

    Args:
        networks: those of a series that count.
        widths: the planned widths.
        complete, planned: the number of replicates that have a network at every width, and of those that were planned.
    """
    if len(widths) < FEWEST_WIDTHS:
        return f"a trend needs at least {FEWEST_WIDTHS} widths, and there are {len(widths)}"
    if complete >= FEWEST_REPLICATES:
        return ""
    excluded = planned - complete
    note = f" ({excluded} left out: a network diverged, collapsed to one label, or is missing)" if excluded else ""
    without = [f"{width:g}x" for width in widths if width not in set(networks["width_factor"])]
    nowhere = f"; no network counts at {', '.join(without)}" if 0 < len(without) < len(widths) else ""
    return f"a test needs at least {FEWEST_REPLICATES} complete replicates, and there are {complete}{note}{nowhere}"


def _answer(row: dict) -> tuple[Answer, str]:
    if row["obstacle"]:
        return "no valid evidence", f"{row['obstacle']}."
    change, low = row["accuracy_change"], row["accuracy_change_low"]
    if not row["accuracy_kept"]:
        return "no valid evidence", (
            f"the claim is about networks that stay as accurate, and accuracy changes by {change:+.3f} over the "
            f"widths, possibly by {low:+.3f}, which is beyond {-ACCURACY_MARGIN:+.2f}."
        )
    accuracy = f"accuracy is kept ({change:+.3f}, at least {low:+.3f})"
    growing = [
        f"{name} grows by {row[f'{name}_slope']:.3g} per doubling (p = {row[f'{name}_p_holm']:.2g})"
        for name in MEASURES
        if row[f"{name}_grows"]
    ]
    if growing:
        return "supported", f"{' and '.join(growing)}; {accuracy}."
    return "not supported", (
        f"neither removability (p = {row['removability_p_holm']:.2g}) nor similarity "
        f"(p = {row['similarity_p_holm']:.2g}) grows with width; {accuracy}."
    )
