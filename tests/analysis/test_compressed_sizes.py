"""Whether wider networks compress to the same size, from sizes that are written down."""

import itertools
import math
from typing import Any

import pandas as pd
import pytest

from widthwise.analysis.compressibility import COLUMNS, RESULTS, compressed_sizes, with_compressibility
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import PlannedTrial
from widthwise.experiments.trial import Trial

WIDTHS = [0.5, 1.0, 2.0]
NAN = math.nan


def networks(series: str, sizes: list[list[float]], reason: str = "there is nothing to make smaller") -> pd.DataFrame:
    """A list for each replicate, with a size for each width; the networks themselves have 100, 300 and 900."""
    rows = [
        {"series": series, "width_factor": width, "replicate": replicate, "trial": f"{series}{replicate}{width}"}
        | {"compressed_parameters": size, "parameters": parameters, "degenerate": False}
        | {"not_compressed": reason if math.isnan(size) else ""}
        for replicate, values in enumerate(sizes)
        for width, size, parameters in zip(WIDTHS, values, (100, 300, 900), strict=True)
    ]
    return pd.DataFrame(rows)


def row(sizes: list[list[float]], **columns: Any) -> pd.Series:
    table = compressed_sizes(networks("one", sizes).assign(**columns), ["one"], WIDTHS)
    assert list(table.columns) == COLUMNS
    (found,) = table.iloc
    return found


@pytest.mark.parametrize(
    ("sizes", "answer"),
    [
        ([[50, 50, 50], [60, 60, 60]], "to the same size"),
        ([[50, 51, 52], [60, 61, 61], [55, 54, 55]], "to the same size"),
        ([[20, 40, 81], [20, 41, 80]], "to larger ones"),
        ([[80, 40, 20], [80, 41, 21]], "to smaller ones"),
        ([[20, 40, 80], [80, 40, 20]], "cannot be told"),
        ([[50, 52, 54], [50, 54, 62]], "cannot be told"),
    ],
)
def test_the_answer_is_by_the_interval(sizes: list[list[float]], answer: str):
    assert row(sizes)["answer"] == answer


def test_the_factor_and_its_interval_are_those_of_the_replicates_lines():
    factors = [1.5, 2.0, 3.0]
    found = row([[10, 10 * each, 10 * each**2] for each in factors])
    logarithms = [math.log2(each) for each in factors]
    mean = sum(logarithms) / 3
    reach = 2.919986 * math.sqrt(sum((each - mean) ** 2 for each in logarithms) / 2 / 3)  # Student's t, 2 degrees, 90%
    assert found["factor_per_doubling"] == pytest.approx(9 ** (1 / 3))
    assert [found["low"], found["high"]] == pytest.approx([2 ** (mean - reach), 2 ** (mean + reach)], rel=1e-6)
    assert found["whole_factor"] == pytest.approx(3)
    assert found["reason"].startswith("when width doubles, the size once compressed is multiplied by 2.08 [1.16, 3.74]")


def test_replicates_that_collapsed_or_were_not_compressed_do_not_count():
    sizes = [[50, 50, 50], [60, 60, 60], [1, 9, 99], [9, 9, NAN]]
    collapsed = [replicate == 2 and width == 1 for replicate, width in itertools.product(range(4), WIDTHS)]
    found = row(sizes, degenerate=collapsed)
    assert (found["replicates"], found["answer"]) == (2, "to the same size")
    assert found["reason"].endswith("; 1 network could not be compressed (there is nothing to make smaller).")
    few = row(sizes[1:], degenerate=collapsed[3:])
    assert (few["replicates"], few["answer"]) == (1, "cannot be told")
    assert few["reason"].startswith("this needs at least 2 complete replicates at 2 widths, and there are 1 at 3 (")
    assert math.isnan(few["factor_per_doubling"])


def test_series_that_do_not_ask_for_it_have_no_row():
    table = pd.concat([networks("one", [[NAN] * 3] * 2, reason=""), networks("two", [[5, 5, 5]] * 2)])
    assert compressed_sizes(table, ["one", "two"], WIDTHS)["series"].tolist() == ["two"]
    assert compressed_sizes(table.drop(columns="compressed_parameters"), ["one", "two"], WIDTHS).empty


def test_each_network_has_its_reason_and_whether_it_compresses_most(empty_store: Store, monkeypatch):
    trials = [Trial(seed=seed, compressibility=True) for seed in range(9)]
    ids = [trial.id for trial in trials]
    found = networks("one", [[50, 30, NAN], [40, 30, 70], [1, 30, 80]]).drop(columns="not_compressed")
    chosen = found.assign(degenerate=[False] * 6 + [True, False, False], trial=ids)
    monkeypatch.setattr(Store, "table", lambda _, trial, name: pd.DataFrame({"reason": [f"{name} of {trial}"]}))
    table = with_compressibility(chosen, [PlannedTrial("one", 1.0, 0, {}, trial) for trial in trials], empty_store)
    assert set(RESULTS) <= set(table.columns)
    most = table.pivot(index="replicate", columns="width_factor", values="compresses_most")
    assert most.to_numpy().tolist() == [[False, True, False], [True, True, True], [False, True, False]]
    assert table["not_compressed"].tolist() == ["", "", f"not_compressed of {ids[2]}", *[""] * 6]
    others = [PlannedTrial("one", 1.0, 0, {}, Trial(seed=seed)) for seed in range(9)]
    assert with_compressibility(chosen, others, empty_store) is chosen
