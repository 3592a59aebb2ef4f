"""All of a store's experiments together: a summary in numbers, and a matrix of series by measures."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.verdict import ACCURACY_MARGIN
from widthwise.reporting.html import signed

ANSWERS = ("supported", "not supported", "no valid evidence")
GROWS, FLAT, UNTESTED = ("grows", "▲ grows"), ("flat", "▬ no growth"), ("untested", "– not tested")
KEPT, FALLS, UNCLEAR = ("kept", "✓ kept"), ("falls", "✗ falls"), ("unclear", "? not shown")
GROWING = {
    (True, True): "in both measures",
    (True, False): "only in removable units",
    (False, True): "only in repeated units",
}
Row = Mapping[Hashable, Any]
Cell = dict[str, str]
"""A cell of the matrix: its `kind`, its `text`, and the `effect`, which may be empty."""


def overview(analyses: Sequence[Analysis]) -> dict[str, object]:
    """Counts for the opening of the page: of trainings and networks, of series by their verdict, and what grows.

    An earlier version of an experiment is not counted beside the later one.

    Args:
        analyses: the experiments, each under one protocol.
    """
    analyses = [analysis for analysis in analyses if not analysis.version]
    verdicts = _all_verdicts(analyses)
    kept = verdicts[verdicts["verdict"].isin(ANSWERS[:2])]
    growing = kept[["removability_grows", "similarity_grows"]].astype(bool).value_counts()
    counts = {words: int(growing.get(grown, 0)) for grown, words in GROWING.items()}
    return {
        "experiments": len(analyses),
        "trainings": len(_trained(analyses)),
        "series": len(verdicts),
        "tested": len(kept),
        **{answer.replace(" ", "_"): int((verdicts["verdict"] == answer).sum()) for answer in ANSWERS},
        "growing": ", ".join(f"{count} {words}" for words, count in counts.items() if count),
        "reduced": sorted({analysis.scale for analysis in analyses if analysis.scale != "paper"}),
    }


@dataclass(frozen=True)
class MatrixRow:
    """A series: its cells for removability, similarity and accuracy, and its verdict."""

    series: str
    cells: list[Cell]
    verdict: str


def matrix(verdicts: pd.DataFrame) -> list[MatrixRow]:
    """A row for each series of an experiment's verdicts under one protocol: whether removability and similarity grow
    and accuracy is kept, each with its effect."""
    return [
        MatrixRow(
            row["series"], [_growth(row, "removability"), _growth(row, "similarity"), _accuracy(row)], row["verdict"]
        )
        for row in verdicts.to_dict("records")
    ]


def _growth(row: Row, measure: str) -> Cell:
    if row["obstacle"]:
        return _cell(UNTESTED)
    return _cell(GROWS if row[f"{measure}_grows"] else FLAT, row[f"{measure}_slope"])


def _accuracy(row: Row) -> Cell:
    """Accuracy is kept if it is shown to fall by no more than the margin; it may be neither kept nor fall."""
    change = row["accuracy_change"]
    if row["obstacle"] or pd.isna(change):
        return _cell(UNTESTED)
    return _cell(KEPT if row["accuracy_kept"] else FALLS if change < -ACCURACY_MARGIN else UNCLEAR, change)


def _cell(kind: tuple[str, str], effect: float | None = None) -> Cell:
    return {"kind": kind[0], "text": kind[1], "effect": "" if effect is None else signed(effect)}


def _trained(analyses: Sequence[Analysis]) -> set[str]:
    """The trials that were trained; two experiments may share them."""
    ended = (analysis.runs[analysis.runs["status"].isin(["trained", "diverged"])] for analysis in analyses)
    return {trial for runs in ended for trial in runs["trial"]}


def _all_verdicts(analyses: Sequence[Analysis]) -> pd.DataFrame:
    columns = ["verdict", "removability_grows", "similarity_grows"]
    tables = [analysis.verdicts[columns] for analysis in analyses if len(analysis.verdicts)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
