"""Repetition (Section 3, "Repeated Units"): the absolute Pearson correlations between every two units of a layer."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

HISTOGRAM_BINS = 50


class RunningCorrelation:
    """Pearson correlations between units from batches of activity, in memory that depends on the units alone.

    Each batch is centred by its own mean before its products are taken, and batches are merged in double precision
    (Chan, Golub & LeVeque 1983), so large means cost no accuracy.
    """

    def __init__(self, units: int):
        self.count = 0
        self._mean = torch.zeros(units, dtype=torch.float64)
        self._products = torch.zeros(units, units, dtype=torch.float64)
        self._lowest = torch.full((units,), torch.inf)
        self._highest = torch.full((units,), -torch.inf)

    def update(self, activity: Float[Tensor, "samples units"]) -> None:
        """Take in the activity of every unit in some more samples."""
        samples = len(activity)
        if samples == 0:
            return
        shift = activity.mean(0)
        centred = activity - shift
        scale = centred.abs().amax(0).clamp_min(torch.finfo(activity.dtype).tiny)
        scaled = centred / scale  # so that no square leaves the range of single precision
        remainder = scaled.mean(0, dtype=torch.float64)  # what rounding left of the mean
        products = (scaled.T @ scaled).double() - samples * torch.outer(remainder, remainder)
        scale = scale.double()
        products *= torch.outer(scale, scale)
        mean = shift.double() + remainder * scale

        total = self.count + samples
        difference = mean - self._mean
        self._products += products + torch.outer(difference, difference) * (self.count * samples / total)
        self._mean += difference * (samples / total)
        self.count = total
        self._lowest = torch.minimum(self._lowest, activity.amin(0))
        self._highest = torch.maximum(self._highest, activity.amax(0))

    @property
    def constant(self) -> Bool[Tensor, " units"]:
        """The units whose activity was the same in every sample. They have no correlation."""
        return self._lowest >= self._highest

    def absolute(self) -> Float[Tensor, "varying varying"]:
        """|r| between every two units whose activity varies."""
        varying = ~self.constant
        products = self._products[varying][:, varying]
        deviation = products.diagonal().clamp_min(torch.finfo(torch.float64).tiny).sqrt()
        return (products / torch.outer(deviation, deviation)).abs().clamp_max(1.0)


@dataclass(frozen=True)
class Repetition:
    """What the correlations of one layer come down to.

    similarity: the mean, over all units, of how many *other* units have |r| of at least the threshold; a constant unit
        neither has nor is a similar unit.
    dead_fraction: the share of units whose activity is constant.
    histogram: over pairs of varying units, how many have |r| in each of equally wide bins from 0 to 1.
    """

    similarity: float
    dead_fraction: float
    histogram: np.ndarray


def repetition(running: RunningCorrelation, threshold: float) -> Repetition:
    """Similarity, dead units and the distribution of |r| from what `running` has taken in."""
    absolute = running.absolute()
    varying, units = len(absolute), len(running.constant)
    similar = int((absolute >= threshold).sum()) - int((absolute.diagonal() >= threshold).sum())
    pairs = absolute[tuple(torch.triu_indices(varying, varying, offset=1))]
    bins = (pairs * HISTOGRAM_BINS).long().clamp_max(HISTOGRAM_BINS - 1)
    return Repetition(
        similarity=similar / units,
        dead_fraction=1 - varying / units,
        histogram=torch.bincount(bins, minlength=HISTOGRAM_BINS).numpy(),
    )
