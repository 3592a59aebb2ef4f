"""The tables of removability: `ablation`, every curve, and `removability`, the numbers that follow from it."""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float

from widthwise.measurement.curves import (
    Curve,
    area_under_curve,
    corrected_for_chance,
    prunability,
)
from widthwise.measurement.label_counts import LabelCounts, by_level
from widthwise.measurement.measured import Measured

NUMBERS = ("auc", "auc_std", "auc_corrected", "auc_corrected_std", "prunability", "prunability_std", "precision")


def removability_table(measured: Measured, classes: int) -> pd.DataFrame:
    """`removability`: one row for each protocol and layer, and for all layers together where a protocol has that."""
    rows = [
        {
            "protocol": curve.protocol,
            "layer": curve.name,
            **_numbers(curve, counts, measured.settings.levels, classes, measured.settings.prunability_threshold),
        }
        for curve, counts in zip(measured.curves, measured.counts, strict=True)
    ]
    return pd.DataFrame(rows, columns=["protocol", "layer", *NUMBERS])


def _numbers(curve: Curve, counts: LabelCounts, levels: int, classes: int, threshold: float) -> dict[str, float]:
    """Means over samplings and their standard deviations.

    Where samplings were not run for the same examples, the numbers are those of the curve over all samplings, and there
    is no deviation between samplings.
    """
    shares = by_level(curve, intact_known(curve, counts.shares()))
    whole = same_examples(curve, counts)
    if not whole:
        shares = by_level(curve, intact_known(curve, counts.pooled()[None]))
    areas = area_under_curve(shares, curve.protocol)
    corrected = corrected_for_chance(areas, levels, classes, curve.protocol)
    prunabilities = prunability(shares, threshold)
    return {
        "auc": float(areas.mean()),
        "auc_std": deviation(areas),
        "auc_corrected": float(corrected.mean()),
        "auc_corrected_std": deviation(corrected),
        "prunability": float(prunabilities.mean()),
        "prunability_std": deviation(prunabilities),
        "precision": counts.error(curve),
    }


def same_examples(curve: Curve, counts: LabelCounts) -> bool:
    """Whether every sampling and level was run for equally many labels, and so for all examples."""
    ran = counts.compared[:, ~np.array(curve.intact)]
    return ran.size == 0 or (ran == ran.flat[0]).all().item()


def intact_known(curve: Curve, shares: Float[np.ndarray, "samplings groups"]) -> Float[np.ndarray, "samplings groups"]:
    """The shares with 1 where nothing is dropped."""
    return np.where(curve.intact, 1.0, shares)


def ablation_table(measured: Measured, labels: int) -> pd.DataFrame:
    """`ablation`: one row for each curve, sampling and level.

    Args:
        measured: what was measured.
        labels: the number of labels of all examples, which are known where nothing is dropped.
    """
    samplings, levels = measured.settings.samplings, measured.settings.levels
    tables = []
    for curve, counts in zip(measured.curves, measured.counts, strict=True):
        compared = np.where(curve.intact, labels, counts.compared)
        tables.append(
            pd.DataFrame(
                {
                    "layer": curve.name,
                    "protocol": curve.protocol,
                    "sampling": np.repeat(np.arange(samplings), levels),
                    "share_dropped": np.tile(np.linspace(0, 1, levels), samplings),
                    "units_dropped": np.tile(np.sum(curve.dropped, axis=0), samplings),
                    "unchanged": by_level(curve, intact_known(curve, counts.shares())).ravel(),
                    "labels": by_level(curve, compared).ravel(),
                    "not_finite": by_level(curve, counts.lost.cpu().numpy()).ravel(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def deviation(samplings: Float[np.ndarray, " samplings"]) -> float:
    """The standard deviation between samplings; NaN if there is only one."""
    return float(samplings.std(ddof=1)) if len(samplings) > 1 else math.nan
