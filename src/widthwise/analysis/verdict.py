"""The test of the paper's claim (Section 2.4) that removability or repetition grows with width, series by series."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

from widthwise.analysis.trend import (
    Estimate,
    Table,
    Widths,
    doublings_between,
    holm,
    measured_variance,
    page_p_value,
    slope_per_doubling,
    smallest_page_p_value,
)
from widthwise.wording import probability, signed

SIGNIFICANCE = 0.05
ACCURACY_MARGIN = 0.02
"""The test accuracy that a wider network may lose and still count as generalizing as well."""
FEWEST_REPLICATES, FEWEST_WIDTHS = 2, 3

MEASURES = ("removability", "similarity")
COLUMN_OF = {"removability": "auc", "similarity": "similarity", "accuracy": "test_accuracy"}
LEVELS_OF = {"removability": ("samplings",), "similarity": ("samplings", "units")}
"""The levels below the replicate at which a measure was drawn; `measurement_error` has their standard errors."""

Answer = Literal["supported", "not supported", "no valid evidence"]


def verdicts(networks: pd.DataFrame, series: list[str], widths: list[float], replicates: int) -> pd.DataFrame:
    """One row per series: the effects with their intervals, the tests, the answer and its reason.

    A replicate counts if it has, at every width, a chosen network that has not collapsed to one label. Removability
    (AUC) and similarity each have a slope per doubling with an interval of 90%, and are each tested for an increase by
    Page's trend test, the p-values of all series and both measures corrected together by Holm's method. A measure grows
    if the test finds it and the interval lies above 0: the test asks whether the order of the widths is there in these
    replicates, the interval whether it would be in others.

    `supported`: accuracy was kept, its change over the widths being at least -0.02 with 95% confidence, and a measure
    grows; `not supported`: accuracy was kept and neither is shown to grow; `no valid evidence`: too little to test,
    replicates that differ too much, or the claim's condition, kept accuracy, is not shown.

    Args:
        networks: the chosen networks with their measures of one protocol, and the errors of these where they are known
            (`measurement_error`).
        series, widths, replicates: those that the sweep planned.
    """
    ordered = np.array(sorted(set(widths)))
    rows: list[dict[str, Any]] = []
    tested: list[tuple[dict[str, Any], pd.DataFrame]] = []
    for name in series:
        of_series = counting(networks, name)
        found = len(complete(of_series, COLUMN_OF["accuracy"], widths))
        obstacle = _obstacle(of_series, ordered, found, replicates)
        rows.append({"series": name, "replicates": found, "obstacle": obstacle})
        if not obstacle:
            tested.append((rows[-1], of_series))
    for row, of_series in tested:
        for name in MEASURES:
            row |= _effect(of_series, name, ordered)
        change = slope_of(of_series, "accuracy", ordered).times(doublings_between(ordered))
        row |= {"accuracy_change": change.value, "accuracy_change_error": change.error}
        row["accuracy_change_low"], row["accuracy_change_high"] = change.interval()
        row["accuracy_kept"] = row["accuracy_change_low"] >= -ACCURACY_MARGIN
    for row, _ in tested:
        reach = smallest_page_p_value(row["replicates"], len(ordered)) * len(MEASURES) * len(tested)
        if reach >= SIGNIFICANCE:
            row["obstacle"] = (
                f"{row['replicates']} replicates at {len(ordered)} widths cannot show a trend: even a perfect one "
                f"has p = {min(reach, 1.0):.2g} after correction; more replicates or widths are needed"
            )
    tests = [(row, name) for row, _ in tested for name in MEASURES]
    corrected = holm(np.array([row[f"{name}_p"] for row, name in tests]))
    for (row, name), p_value in zip(tests, corrected, strict=True):
        row[f"{name}_p_holm"] = float(p_value)
        row[f"{name}_grows"] = bool(p_value < SIGNIFICANCE and row[f"{name}_slope_low"] > 0)
    for row in rows:
        row["verdict"], row["reason"] = _answer(row)
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    *("series", "verdict", "reason", "replicates", "obstacle"),
    *(
        f"{name}_{part}"
        for name in MEASURES
        for part in (
            *("slope", "slope_low", "slope_high", "slope_error"),
            *(f"slope_error_{level}" for level in LEVELS_OF[name]),
            *("p", "p_holm", "grows"),
        )
    ),
    *("accuracy_change", "accuracy_change_low", "accuracy_change_high", "accuracy_change_error", "accuracy_kept"),
]


def _effect(networks: pd.DataFrame, name: str, widths: Widths) -> dict[str, float]:
    """The slope of a measure with its interval, its standard error, that of each level of the measurement, and p."""
    slope = slope_of(networks, name, widths)
    low, high = slope.interval()
    table = complete(networks, COLUMN_OF[name], widths)
    row = {"slope": slope.value, "slope_low": low, "slope_high": high, "slope_error": slope.error}
    for level, variances in measured_variances(networks, name, widths).items():
        row[f"slope_error_{level}"] = math.sqrt(measured_variance(variances, widths) / len(table))
    row["p"] = page_p_value(table.to_numpy())
    return {f"{name}_{part}": value for part, value in row.items()}


def slope_of(networks: pd.DataFrame, name: str, widths: Widths) -> Estimate:
    """The mean slope per doubling of a measure, over the complete replicates of a series, 2 or more.

    Args:
        networks: those of a series that count.
        name: `removability`, `similarity` or `accuracy`.
        widths: those that a complete replicate has, in order.
    """
    table = complete(networks, COLUMN_OF[name], widths).to_numpy()
    variances = sum(measured_variances(networks, name, widths).values(), np.zeros_like(table))
    return slope_per_doubling(table, widths, variances)


def change_over_widths(row: pd.Series, name: str, widths: Iterable[float]) -> Estimate:
    """The change of a measure over all widths, from a row of the verdicts that has its slope."""
    freedom = int(row["replicates"]) - 1
    if name == "accuracy":
        return Estimate(float(row["accuracy_change"]), float(row["accuracy_change_error"]), freedom)
    slope = Estimate(float(row[f"{name}_slope"]), float(row[f"{name}_slope_error"]), freedom)
    return slope.times(doublings_between(np.array(sorted(set(widths)))))


def measured_variances(networks: pd.DataFrame, name: str, widths: Widths) -> dict[str, Table]:
    """For each level below the replicate whose error is known, the variance of each network of `complete`."""
    index = complete(networks, COLUMN_OF[name], widths)
    found = {}
    for level in LEVELS_OF.get(name, ()):
        column = f"{COLUMN_OF[name]}_error_{level}"
        if column in networks and networks[column].notna().any():
            errors = networks.pivot(index="replicate", columns="width_factor", values=column)
            found[level] = errors.reindex(index=index.index, columns=index.columns).fillna(0.0).to_numpy(float) ** 2
    return found


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
            f"the claim is about networks that stay as accurate, and accuracy changes by {signed(change, '.3f')} "
            f"[{signed(low, '.3f')}, {signed(row['accuracy_change_high'], '.3f')}] over the widths, which reaches "
            f"below {signed(-ACCURACY_MARGIN, '.2f')}."
        )
    accuracy = f"accuracy is kept ({signed(change, '.3f')}, at least {signed(low, '.3f')})"
    growing = [
        f"{name} grows by {slope_in_words(row, name)} per doubling ({probability(row[f'{name}_p_holm'])})"
        for name in MEASURES
        if row[f"{name}_grows"]
    ]
    if growing:
        return "supported", f"{' and '.join(growing)}; {accuracy}."
    ordered = [name for name in MEASURES if row[f"{name}_p_holm"] < SIGNIFICANCE]
    if ordered:
        found = " and ".join(
            f"{name} grows in these replicates ({probability(row[f'{name}_p_holm'])}), but they differ so much that "
            f"its interval, {slope_in_words(row, name)} per doubling, reaches 0"
            for name in ordered
        )
        return "no valid evidence", f"{found}; more replicates are needed."
    removability, similarity = (
        f"{name} ({slope_in_words(row, name)} per doubling, {probability(row[f'{name}_p_holm'])})" for name in MEASURES
    )
    return "not supported", f"neither {removability} nor {similarity} is shown to grow; {accuracy}."


def slope_in_words(row: "dict[str, Any] | pd.Series", name: str) -> str:
    """The slope of a measure in a row of the verdicts, with its interval."""
    ends = ", ".join(signed(row[f"{name}_slope_{end}"]) for end in ("low", "high"))
    return f"{signed(row[f'{name}_slope'])} [{ends}]"
