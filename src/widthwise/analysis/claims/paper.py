"""The paper beside ours: each claim and the answer of the experiments that were run."""

from collections.abc import Sequence

import pandas as pd

from widthwise.analysis.claims.cifar10 import CLAIMS_ON_CIFAR10
from widthwise.analysis.claims.claim import Claim, Finding
from widthwise.analysis.claims.everywhere import CLAIMS_EVERYWHERE
from widthwise.analysis.claims.imagenet import CLAIMS_ON_IMAGENET
from widthwise.analysis.claims.perceptrons import CLAIMS_ON_PERCEPTRONS
from widthwise.analysis.experiment import Analysis
from widthwise.experiments.sweep import SCALES

CLAIMS: tuple[Claim, ...] = (*CLAIMS_EVERYWHERE, *CLAIMS_ON_IMAGENET, *CLAIMS_ON_CIFAR10, *CLAIMS_ON_PERCEPTRONS)
"""Every outcome that the paper states in words and an experiment of the catalogue can show."""
COLUMNS = ["name", "statement", "source", "experiment", "scale", "criterion", "answer", "evidence"]
NOT_RUN = Finding("not run", "Nothing was run.")


def compare_with_paper(analyses: Sequence[Analysis]) -> pd.DataFrame:
    """A row a claim: what the paper states, how it is tested, and what our networks say.

    The experiment counts at the largest scale at which anything was run of the series that the claim is about, with
    more replicates where that alone is set otherwise, as where the paper has one. Other sweeps in which something is
    set otherwise do not count, nor earlier versions.

    Returns: `name, statement, source, experiment, scale, criterion, answer, evidence`. `answer` is `agrees`,
        `disagrees`, `cannot be told` (there is too little) or `not run`; `scale` is empty where nothing was run.
    """
    counting = [each for each in analyses if set(each.sweep.overrides) <= {"replicates"} and not each.version]
    rows = []
    for claim in CLAIMS:
        of_claim = [
            each for each in counting if each.sweep.experiment == claim.experiment and claim.test.has_data(each)
        ]
        largest = max(of_claim, key=_size, default=None)
        finding = claim.test(largest) if largest else NOT_RUN
        rows.append(
            {
                "name": claim.name,
                "statement": claim.statement,
                "source": claim.source,
                "experiment": largest.sweep.name if largest else claim.experiment,
                "scale": largest.scale if largest else "",
                "criterion": claim.criterion,
                "answer": finding.answer,
                "evidence": finding.evidence,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _size(analysis: Analysis) -> tuple[int, int]:
    return SCALES.index(analysis.scale), analysis.sweep.at(analysis.scale).replicates
