"""All of a store's experiments together: a summary in numbers, and a matrix of experiments by measures."""

from collections.abc import Sequence

import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.reporting.html import signed

ANSWERS = ("supported", "not supported", "no valid evidence")
MARKS = {"all": "▲", "some": "△", "none": "▬", "untested": "–"}
MARKS_OF_ACCURACY = {"all": "✓", "some": "", "none": "", "untested": "–"}


def overview(analyses: Sequence[Analysis]) -> dict[str, object]:
    """Counts for the opening of the page: of trainings and networks, of series by their verdict, and what grows.

    An earlier version of an experiment is not counted beside the later one.
    """
    analyses = [analysis for analysis in analyses if not analysis.version]
    verdicts = _all_verdicts(analyses)
    kept = verdicts[verdicts["verdict"].isin(ANSWERS[:2])]
    growing = kept[["removability_grows", "similarity_grows"]].astype(bool).value_counts()
    return {
        "experiments": len(analyses),
        "trainings": len(_trained(analyses)),
        "series": len(verdicts),
        "tested": len(kept),
        **{answer.replace(" ", "_"): int((verdicts["verdict"] == answer).sum()) for answer in ANSWERS},
        "only_removability": int(growing.get((True, False), 0)),
        "only_similarity": int(growing.get((False, True), 0)),
        "both": int(growing.get((True, True), 0)),
        "reduced": sorted({analysis.scale for analysis in analyses if analysis.scale != "paper"}),
    }


def matrix(analyses: Sequence[Analysis]) -> list[dict[str, object]]:
    """One row for each experiment with a verdict: in how many series removability and similarity grow and accuracy is
    kept, and by how much they change per doubling of width."""
    return [
        {
            "id": analysis.name,
            "title": analysis.sweep.title,
            "label": analysis.label,
            "scale": analysis.scale,
            "removability": _growth(analysis.verdicts, "removability", "AUC per doubling"),
            "similarity": _growth(analysis.verdicts, "similarity", "similar units per doubling"),
            "accuracy": _accuracy(analysis.verdicts),
            "verdicts": {answer: int((analysis.verdicts["verdict"] == answer).sum()) for answer in ANSWERS},
        }
        for analysis in analyses
        if len(analysis.verdicts)
    ]


def _trained(analyses: Sequence[Analysis]) -> set[str]:
    """The trials that were trained; two experiments may share them."""
    ended = (analysis.runs[analysis.runs["status"].isin(["trained", "diverged"])] for analysis in analyses)
    return {trial for runs in ended for trial in runs["trial"]}


def _growth(verdicts: pd.DataFrame, measure: str, unit: str) -> dict[str, str]:
    tested = verdicts[verdicts["obstacle"] == ""]
    slopes = verdicts[f"{measure}_slope"].dropna()
    effect = f"{_range(slopes)} {unit}" if len(slopes) else ""
    count = int(tested[f"{measure}_grows"].astype(bool).sum())
    return _cell("grows", count, len(tested), effect, MARKS)


def _accuracy(verdicts: pd.DataFrame) -> dict[str, str]:
    changes = verdicts["accuracy_change"].dropna()
    effect = f"{_range(changes)} in all" if len(changes) else ""
    kept = int(verdicts["accuracy_kept"].dropna().astype(bool).sum())
    return _cell("kept", kept, len(changes), effect, MARKS_OF_ACCURACY)


def _cell(verb: str, count: int, tested: int, effect: str, marks: dict[str, str]) -> dict[str, str]:
    """A cell of the matrix: in how many of the tested series something is so."""
    kind = "untested" if not tested else "all" if count == tested else "some" if count else "none"
    text = f"{verb} in {count} of {tested}" if tested else "not tested"
    return {"kind": kind, "mark": marks[kind], "text": text, "effect": effect}


def _range(values: pd.Series) -> str:
    low, high = signed(float(values.min())), signed(float(values.max()))
    return low if low == high else f"{low} to {high}"


def _all_verdicts(analyses: Sequence[Analysis]) -> pd.DataFrame:
    columns = ["verdict", "removability_grows", "similarity_grows"]
    tables = [analysis.verdicts[columns] for analysis in analyses if len(analysis.verdicts)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
