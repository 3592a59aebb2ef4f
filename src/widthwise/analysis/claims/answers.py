"""The answers to claims, from the experiments that were run."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from widthwise.analysis.claims.beside_published import in_words
from widthwise.analysis.claims.checks import checked, paper_claims
from widthwise.analysis.claims.claim import CheckedClaim, Finding
from widthwise.analysis.experiment import Analysis
from widthwise.experiments.sweep import PAPER, SCALES

COLUMNS = [
    *("name", "statement", "source", "experiment", "scale", "recipe", "protocol", "criterion", "answer", "evidence"),
    *("p", "published"),
]
NOT_RUN = Finding("not run", "Nothing was run.")


def compare_with_paper(analyses: Sequence[Analysis]) -> pd.DataFrame:
    """A row for each claim of the paper, and each recipe that it was run by: its statement, its test, and the answer of
    our networks.

    The experiment counts at the largest scale at which any series that the claim is about was run. A sweep in which
    only the number of replicates is changed, to more, counts too, since the paper may have only one. Sweeps with other
    changes do not count, nor do earlier versions.

    Returns: `name, statement, source, experiment, scale, recipe, protocol, criterion, answer, evidence, p, published`.
        `answer` is `agrees`, `disagrees`, `cannot be told` (there is too little) or `not run`; `scale` and `recipe` are
        empty where nothing was run, and `protocol` where nothing was measured; `p` is the p-value of the claim, missing
        where it was not tested (`multiplicity` corrects it); `published` is the authors' numbers beside ours, in words.
    """
    counting = [each for each in analyses if set(each.sweep.overrides) <= {"replicates"} and not each.version]
    rows = []
    for claim in paper_claims():
        of_claim = [
            each for each in counting if each.sweep.experiment == claim.experiment and claim.check.has_data(each)
        ]
        recipes = dict.fromkeys(each.sweep.recipe for each in sorted(of_claim, key=_order_of_recipe)) or [None]
        for recipe in recipes:
            by_recipe = [each for each in of_claim if each.sweep.recipe == recipe]
            rows.append(_row(claim, max(by_recipe, key=_size, default=None)))
    return _table(rows)


def with_claims(analysis: Analysis) -> Analysis:
    """An analysis with the table `claims`: its sweep's own claims, answered, in the columns of `compare_with_paper`.

    The claims of the catalogue's experiments are the paper's; they are answered from all experiments together.
    """
    if analysis.sweep.of_paper or not analysis.sweep.claims:
        return analysis
    rows = [_row(claim, analysis) for claim in checked(analysis.sweep)]
    return replace(analysis, claims=_table(rows))


def _table(rows: list[dict[str, str | float | None]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).astype({"p": float})


def _row(claim: CheckedClaim, analysis: Analysis | None) -> dict[str, str | float | None]:
    finding = claim.find(analysis) if analysis else NOT_RUN
    return {
        "name": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "experiment": analysis.sweep.name if analysis else claim.experiment,
        "scale": analysis.scale if analysis else "",
        "recipe": analysis.sweep.recipe if analysis else "",
        "protocol": (claim.under(analysis) if analysis else None) or "",
        "criterion": claim.criterion,
        "answer": finding.answer,
        "evidence": finding.evidence,
        "p": finding.p,
        "published": in_words(claim, analysis),
    }


def _order_of_recipe(analysis: Analysis) -> bool:
    return analysis.sweep.recipe != PAPER


def _size(analysis: Analysis) -> tuple[int, int]:
    return SCALES.index(analysis.scale), analysis.sweep.at(analysis.scale).replicates
