"""Many claims together: what is corrected, and what is said of it."""

import math

import pandas as pd
import pytest

from widthwise.analysis.claims import with_multiplicity

NAN = math.nan


def claims(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["answer", "p"]).astype({"p": float})


def test_p_values_of_all_tables_are_adjusted_together_and_those_without_are_left():
    paper = claims(("agrees", 0.01), ("agrees", NAN), ("disagrees", 0.9))
    own = claims(("agrees", 0.04), ("not run", NAN), ("agrees", 0.02))
    (first, second), sentence = with_multiplicity([paper, own])
    # Benjamini and Hochberg: the k-th smallest of 4 times 4 / k, and no more than the next greater one's
    assert first["p_adjusted"].tolist() == pytest.approx([0.04, NAN, 0.9], nan_ok=True)
    assert second["p_adjusted"].tolist() == pytest.approx([0.04 * 4 / 3, NAN, 0.04], nan_ok=True)
    assert first["answer"].tolist() == paper["answer"].tolist()
    assert sentence.startswith("4 claims were tested, each at a level of 5%: if none were true, at most about 0.2 ")
    assert "3 agree by themselves, and 2 after correction" in sentence
    assert sentence.endswith(
        " 1 other answer comes from counts, from comparisons without a test, or from too little to test."
    )


def test_where_nothing_was_tested_nothing_is_said():
    (table, empty), sentence = with_multiplicity([claims(("not run", NAN), ("agrees", NAN)), claims()])
    assert (table["p_adjusted"].isna().all(), len(empty), sentence) == (True, 0, "")
