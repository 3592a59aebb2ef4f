"""Counts of the labels that stayed on an ablation curve, and the standard error of the area under it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from widthwise.measurement.accumulator import State
from widthwise.measurement.curves import Curve

LEAST_DEVIATION = 0.3
"""Else a group in which the first few labels happen to be alike would get hardly any more examples to correct that."""


class LabelCounts:
    """Counts of labels so far, for each sampling and each group of a curve's levels.

    Beside the counts, the products of every two of an example's counts are summed over the examples. From these follows
    the spread of the area between examples, whichever runs each of them had.

    unchanged: the labels that stayed, on the device of the network, so that counting does not wait for it.
    compared: the labels that were compared.
    lost: those of them that are none, since scores were NaN or infinite after the ablation.
    examples: for each group, the number of examples that were run in it.

    Args:
        samplings: the number of samplings.
        groups: the number of groups of levels.
        device: the device of the network.
    """

    def __init__(self, samplings: int, groups: int, device: torch.device):
        self.unchanged = torch.zeros(samplings, groups, dtype=torch.long, device=device)
        self.lost = torch.zeros(samplings, groups, dtype=torch.long, device=device)
        self.compared = np.zeros((samplings, groups), dtype=np.int64)
        self.examples = np.zeros(groups, dtype=np.int64)
        self._clusters = 0
        self._totals = torch.zeros(2 * groups, dtype=torch.float64, device=device)
        self._products = torch.zeros(2 * groups, 2 * groups, dtype=torch.float64, device=device)

    def update(self, unchanged: Int[Tensor, "samplings groups"], compared: Int[np.ndarray, "samplings groups"]) -> None:
        """Add the counts of more runs."""
        self.unchanged += unchanged
        self.compared += compared

    def update_lost(self, lost: Int[Tensor, "samplings groups"]) -> None:
        """Add the number of labels that more runs have lost."""
        self.lost += lost

    def update_examples(
        self,
        unchanged: Int[Tensor, "examples groups"],
        compared: Int[Tensor, "examples groups"],
        unchanged_before: Int[Tensor, "examples groups"] | None = None,
        compared_before: Int[Tensor, "examples groups"] | None = None,
    ) -> None:
        """Add the counts of each of some examples, over their samplings.

        Args:
            unchanged, compared: all counts of these examples so far.
            unchanged_before, compared_before: their counts that were added earlier, which these replace; None: they are
                new.
        """
        rows = torch.cat([unchanged, compared], dim=1).double()
        self._totals += rows.sum(0)
        self._products += rows.T @ rows
        ran = (compared > 0).sum(0)
        if unchanged_before is None or compared_before is None:
            self._clusters += len(rows)
        else:
            before = torch.cat([unchanged_before, compared_before], dim=1).double()
            self._totals -= before.sum(0)
            self._products -= before.T @ before
            ran = ran - (compared_before > 0).sum(0)
        self.examples += ran.cpu().numpy()

    def merge(self, other: "LabelCounts") -> None:
        """Add the counts of other examples."""
        self.update(other.unchanged, other.compared)
        self.update_lost(other.lost)
        self.examples += other.examples
        self._clusters += other._clusters
        self._totals += other._totals
        self._products += other._products

    def compute(self) -> Float[np.ndarray, "samplings groups"]:
        """The proportion of unchanged labels; NaN where none were compared."""
        return self.shares()

    def state_dict(self) -> State:
        """All counts."""
        return {
            "unchanged": self.unchanged,
            "lost": self.lost,
            "compared": torch.from_numpy(self.compared),
            "examples": torch.from_numpy(self.examples),
            "clusters": torch.tensor(self._clusters),
            "totals": self._totals,
            "products": self._products,
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the counts of another one."""
        self.unchanged.copy_(state["unchanged"])
        self.lost.copy_(state["lost"])
        self.compared[:] = state["compared"].numpy()
        self.examples[:] = state["examples"].numpy()
        self._clusters = int(state["clusters"])
        self._totals.copy_(state["totals"])
        self._products.copy_(state["products"])

    def shares(self) -> Float[np.ndarray, "samplings groups"]:
        """The proportion of unchanged labels; NaN where none were compared."""
        return _ratio(self.unchanged.cpu().double().numpy(), self.compared)

    def pooled(self) -> Float[np.ndarray, " groups"]:
        """The proportion of unchanged labels over all samplings."""
        groups = len(self.examples)
        totals = self._totals.cpu().numpy()
        return _ratio(totals[:groups], totals[groups:])

    def deviations(self) -> Float[np.ndarray, " groups"]:
        """The standard deviation of one example's label in each group, for planning, but at least `LEAST_DEVIATION`."""
        pooled = np.nan_to_num(self.pooled(), nan=0.5)
        cautious = _cautious(pooled, self.examples)
        return np.sqrt(cautious * (1 - cautious)).clip(LEAST_DEVIATION)

    def examples_error(self, curve: Curve) -> float:
        """The standard error of the area over examples, and over draws that examples do not share.

        That of a weighted sum of ratios, linearized, with examples as clusters (Cochran 1977, section 6). To the spread
        of the labels in a group that were seen is added that by which the share of 1 + unchanged of 2 + compared
        labels exceeds it: a share of 0 or 1 seen in a few examples is not exact. NaN with fewer than two examples.
        """
        groups, random = len(self.examples), ~np.array(curve.intact)
        if self._clusters < 2 or not self.examples[random].all():
            return math.nan
        totals = self._totals.cpu().numpy()
        pooled = self.pooled()
        slopes = np.zeros(2 * groups)
        slopes[:groups][random] = curve.weights[random] / totals[groups:][random]
        slopes[groups:][random] = -slopes[:groups][random] * pooled[random]
        products = np.outer(slopes, slopes) * self._products.cpu().numpy()
        spread = products.sum()  # not by BLAS, whose last digit depends on where memory lies
        spread *= self._clusters / (self._clusters - 1)
        cautious = _cautious(pooled[random], self.examples[random])
        missed = np.maximum(cautious * (1 - cautious) - pooled[random] * (1 - pooled[random]), 0)
        missed = (curve.weights[random] ** 2 * missed / self.examples[random]).sum()
        return math.sqrt(max(spread, 0.0) + missed)

    def error(self, curve: Curve) -> float:
        """The standard error of the area over examples and draws together.

        Where all examples share a sampling's draw, the spread between samplings comes on top; NaN with one sampling.
        """
        found = self.examples_error(curve)
        if curve.whole and not all(curve.known):
            random = ~np.array(curve.intact)
            areas = (self.shares()[:, random] * curve.weights[random]).sum(axis=1)
            samplings = len(areas)
            found = math.hypot(found, areas.std(ddof=1) / math.sqrt(samplings)) if samplings > 1 else math.nan
        return found


def by_level(curve: Curve, of_groups: Sequence[float] | np.ndarray) -> np.ndarray:
    """Numbers for each level, from those for each group of levels, which are in the last dimension."""
    return np.asarray(of_groups)[..., curve.group_of_level]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def _cautious(shares: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Shares as if one more example had been run with either outcome."""
    return (shares * examples + 1) / (examples + 2)
