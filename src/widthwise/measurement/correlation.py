"""Repetition (Section 3, "Repeated Units"): the absolute Pearson correlations between every two units of a layer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

HISTOGRAM_BINS = 50
BLOCK_SAMPLES = 2048
"""Number of samples taken at a time: enough for fast matrix products, and their copies fit in the cache."""
SYMMETRIC_UNITS = 512
"""For more units, only one triangle of the products is computed; for fewer, that is no faster."""


class RunningCorrelation:
    """Pearson correlations between units from batches of activity, in memory that depends only on the number of units.

    Each block of samples is centred by its own mean before its products are taken, and blocks are merged in double
    precision (Chan, Golub & LeVeque 1983), so large means cost no accuracy.
    """

    def __init__(self, units: int, device: torch.device | None = None):
        self.count = 0
        self.units = units
        self._mean = torch.zeros(units, dtype=torch.float64, device=device)
        self._products = torch.zeros(units, units, dtype=torch.float64, device=device)
        self._lowest = torch.full((units,), torch.inf, device=device)
        self._highest = torch.full((units,), -torch.inf, device=device)

    def update(self, activity: Float[Tensor, "samples units"]) -> None:
        """Add the activity of every unit in more samples."""
        for block in activity.split(BLOCK_SAMPLES):
            if len(block):
                self._add(block)

    def _add(self, activity: Float[Tensor, "samples units"]) -> None:
        samples = len(activity)
        shift = activity.mean(0)
        scaled = activity - shift
        scale = scaled.abs().amax(0).clamp_min_(torch.finfo(activity.dtype).tiny)
        scaled /= scale  # so that no square leaves the range of single precision
        remainder = scaled.mean(0, dtype=torch.float64)  # what rounding left of the mean
        with _full_precision(scaled.device):
            products = _products(scaled)
        scale = scale.double()
        mean = shift.double() + remainder * scale

        total = self.count + samples
        difference = mean - self._mean
        products.addcmul_(remainder[:, None], remainder, value=-samples)
        products *= scale
        products *= scale[:, None]
        products.addcmul_(difference[:, None], difference, value=self.count * samples / total)
        self._products += products
        self._mean += difference * (samples / total)
        self.count = total
        torch.minimum(self._lowest, activity.amin(0), out=self._lowest)
        torch.maximum(self._highest, activity.amax(0), out=self._highest)

    @property
    def constant(self) -> Bool[Tensor, " units"]:
        """The units whose activity was the same in every sample. They have no correlation."""
        return self._lowest >= self._highest

    @property
    def varying(self) -> Int[Tensor, " varying"]:
        """Indices of the units that are not constant."""
        return (~self.constant).nonzero().flatten()

    def coefficients(self) -> Float[Tensor, "varying varying"]:
        """r between every two units whose activity varies."""
        products = self._products[self.varying][:, self.varying]
        deviation = products.diagonal().clamp_min(torch.finfo(torch.float64).tiny).sqrt()
        return (products / torch.outer(deviation, deviation)).clamp_(-1.0, 1.0)

    def absolute(self) -> Float[Tensor, "varying varying"]:
        """|r| between every two units whose activity varies."""
        return self.coefficients().abs()

    def regression(
        self, units: Int[Tensor, " pairs"], others: Int[Tensor, " pairs"]
    ) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
        """Slope and intercept of the best line from the activity of `units` to that of `others` (Section 2.2)."""
        slope = self._products[units, others] / self._products[units, units]
        return slope, self._mean[others] - slope * self._mean[units]


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Full single precision in matrix products, even if the user allows faster ones; restored afterwards."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def _products(scaled: Float[Tensor, "samples units"]) -> Float[Tensor, "units units"]:
    """The products of every two columns, summed over the samples, in double precision."""
    units = scaled.shape[1]
    if units <= SYMMETRIC_UNITS:
        return (scaled.T @ scaled).double()
    products = torch.empty(units, units, dtype=torch.float64, device=scaled.device)
    half = units // 2
    left, right = scaled[:, :half], scaled[:, half:]
    products[:half, :half] = left.T @ left
    products[:half, half:] = left.T @ right
    products[half:, half:] = right.T @ right
    products[half:, :half] = products[:half, half:].T
    return products


@dataclass(frozen=True)
class Repetition:
    """A summary of the correlations of one layer.

    similarity: for each threshold, the mean, over all units, of the number of *other* units with |r| of at least the
        threshold; a constant unit neither has nor is a similar unit. (Section 3)
    histogram: the number of pairs of varying units with |r| in each of equally wide bins from 0 to 1.
    """

    similarity: tuple[float, ...]
    histogram: Int[np.ndarray, " bins"]


def repetition(running: RunningCorrelation, thresholds: Sequence[float]) -> Repetition:
    """Similarity and the distribution of |r|, from the correlations of a layer."""
    absolute = running.absolute()
    varying, units = len(absolute), running.units
    similarity = tuple(_similar(absolute, threshold).sum().item() / units for threshold in thresholds)
    pairs = absolute[tuple(torch.triu_indices(varying, varying, offset=1, device=absolute.device))]
    bins = (pairs * HISTOGRAM_BINS).long().clamp_max(HISTOGRAM_BINS - 1)
    histogram = torch.bincount(bins, minlength=HISTOGRAM_BINS).cpu().numpy()
    return Repetition(similarity, histogram)


def _similar(absolute: Float[Tensor, "varying varying"], threshold: float) -> Int[Tensor, " varying"]:
    """For each varying unit, the number of others that resemble it."""
    return (absolute >= threshold).sum(1) - (absolute.diagonal() >= threshold).long()


def nearest(running: RunningCorrelation, threshold: float) -> pd.DataFrame:
    """For each unit, the number of others that resemble it, the most similar one, and their r.

    The columns are `similar_units, most_similar, r`.

    The last two are missing for units that are constant or the only ones that vary.
    """
    table = pd.DataFrame(
        {"similar_units": 0, "most_similar": pd.array([pd.NA] * running.units, dtype="Int64"), "r": np.nan}
    )
    coefficients = running.coefficients()
    if len(coefficients) == 0:
        return table
    varying = running.varying.cpu().numpy()
    absolute = coefficients.abs()
    table.loc[varying, "similar_units"] = _similar(absolute, threshold).cpu().numpy()
    if len(coefficients) > 1:
        absolute.fill_diagonal_(-1)
        most = absolute.argmax(1)
        table.loc[varying, "most_similar"] = varying[most.cpu().numpy()]
        table.loc[varying, "r"] = coefficients.gather(1, most[:, None]).flatten().cpu().numpy()
    return table


def strongest_pairs(running: RunningCorrelation, count: int) -> pd.DataFrame:
    """The pairs of units with the largest |r|, strongest first: `unit, other, r, r_squared, slope, intercept`.

    The best line is u_other = slope * u_unit + intercept, by which the pair could be merged (Section 2.2).
    """
    coefficients = running.coefficients()
    rows, columns = torch.triu_indices(len(coefficients), len(coefficients), offset=1, device=coefficients.device)
    r = coefficients[rows, columns]
    chosen = r.abs().topk(min(count, len(r))).indices
    units, others = running.varying[rows[chosen]], running.varying[columns[chosen]]
    slope, intercept = running.regression(units, others)
    r = r[chosen]
    values = {"unit": units, "other": others, "r": r, "r_squared": r.square(), "slope": slope, "intercept": intercept}
    return pd.DataFrame({name: value.cpu().numpy() for name, value in values.items()})
