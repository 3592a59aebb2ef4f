"""Many tested claims together: how many would agree by chance, and which still agree once that is corrected for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from widthwise.analysis.verdict import SIGNIFICANCE
from widthwise.wording import counted


def with_multiplicity(tables: Sequence[pd.DataFrame]) -> tuple[list[pd.DataFrame], str]:
    """Tables of claims that stand on one page with the column `p_adjusted`, and a sentence on all of them.

    A page is read for which of its claims hold, so what matters is the share of wrong ones among those that agree: the
    p-values of all tables are adjusted together by Benjamini and Hochberg's method, which keeps its expectation below
    5% if the adjusted value is below 0.05. It needs no independence, but tests that are not opposed to each other, and
    those of one page share their networks. Answers are those of each claim by itself.

    Args:
        tables: in the columns of `compare_with_paper`.

    Returns: the tables, in their order; the sentence, empty where nothing was tested.
    """
    p_values = np.concatenate([table["p"].to_numpy(dtype=float) for table in tables])
    answers = np.concatenate([table["answer"].to_numpy(dtype=object) for table in tables])
    tested = ~np.isnan(p_values)
    adjusted = np.full(len(p_values), np.nan)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(p_values[tested], method="bh")
    ends = np.cumsum([len(table) for table in tables])[:-1]
    parts = np.split(adjusted, ends)
    done = [table.assign(p_adjusted=part) for table, part in zip(tables, parts, strict=True)]
    agree = tested & (answers == "agrees")
    kept = agree & (adjusted < SIGNIFICANCE)
    untested = int(((answers != "not run") & ~tested).sum())
    return done, _sentence(int(tested.sum()), int(agree.sum()), int(kept.sum()), untested)


def _sentence(tested: int, agree: int, kept: int, untested: int) -> str:
    if not tested:
        return ""
    other = counted(untested, "other answer comes", "other answers come")
    rest = f" {other} from counts, from comparisons without a test, or from too little to test." if untested else ""
    return (
        f"{counted(tested, 'claim was', 'claims were')} tested, each at a level of {SIGNIFICANCE:.0%}: if none were "
        f"true, at most about {SIGNIFICANCE * tested:.1f} would agree by chance. {agree} "
        f"{'agrees' if agree == 1 else 'agree'} by {'itself' if agree == 1 else 'themselves'}, and {kept} after "
        "correction for the number of tested claims (Benjamini and Hochberg's method: of those, at most "
        f"{SIGNIFICANCE:.0%} are expected to be wrong).{rest}"
    )
