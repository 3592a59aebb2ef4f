"""Pearson correlations between every two units of a layer, from batches of activity."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from widthwise.measurement.accumulator import State

BLOCK_BYTES = 32 << 20
"""Size of the copy of the samples that are taken at a time."""
CACHED_BYTES = 1 << 20
"""Size of the parts of which ranges and means are taken at a time."""
FEWEST_SAMPLES, MOST_SAMPLES = 1024, 4096
"""Bounds of the number of samples that are taken at a time on a CPU."""
DEVICE_SAMPLES = 512
"""Other devices add the products of all samples one by one, and longer sums in single precision lose digits. On a CPU,
libraries add products of more than a few units in groups of some hundred samples."""
FEW_UNITS = 128
"""Of fewer units, the products are computed in double precision, which costs little."""
SPLIT_UNITS = 128
"""Products of more units than these are computed in blocks, and those below the diagonal not at all."""
SMALLEST_SCALE = 2.0**-1000


@dataclass(frozen=True)
class Correlations:
    """The correlations between the units of a layer.

    units: the number of units.
    varying: the indices of the units that are not constant. The others have no correlation.
    r: the correlation between every two units that vary.
    """

    units: int
    varying: Int[Tensor, " varying"]
    r: Float[Tensor, "varying varying"]


class RunningCorrelation:
    """Pearson correlations between units from batches of activity, in memory that depends only on the number of units.

    Each block of samples is centred by its own mean and divided by a power of 2 for each unit before its products are
    taken, in single precision or, for activity in double precision, in that. The blocks are merged in double precision
    (Chan, Golub & LeVeque 1983). So neither large means nor large or small scales cost accuracy: by the Cauchy-Schwarz
    inequality, rounding the centred values to single precision changes no r by more than about 1e-7.

    Of the symmetric matrix of products, only the blocks on and above the diagonal are computed and kept.
    """

    def __init__(self, units: int, device: torch.device | None = None):
        self.count = 0
        self.units = units
        self._blocks = upper_blocks(0, units)
        self._mean = torch.zeros(units, dtype=torch.float64, device=device)
        self._scale = torch.full((units,), SMALLEST_SCALE, dtype=torch.float64, device=device)
        self._products = [
            torch.zeros(rows.stop - rows.start, columns.stop - columns.start, dtype=torch.float64, device=device)
            for rows, columns in self._blocks
        ]
        self._lowest = torch.full((units,), torch.inf, dtype=torch.float64, device=device)
        self._highest = torch.full((units,), -torch.inf, dtype=torch.float64, device=device)

    def update(self, activity: Float[Tensor, "samples units"]) -> None:
        """Add the activity of every unit in more samples."""
        if activity.dtype not in (torch.float32, torch.float64):
            activity = activity.float()
        fitting = BLOCK_BYTES // (activity.element_size() * max(1, self.units))
        on_cpu = activity.device.type == "cpu"
        size = min(max(fitting, FEWEST_SAMPLES), MOST_SAMPLES) if on_cpu else DEVICE_SAMPLES
        memory = torch.empty_like(activity[:size])  # for all blocks: allocating it takes a tenth of the time
        for block in activity.split(size):
            if len(block):
                with _full_precision(block.device):
                    self._add(block, memory[: len(block)])

    def merge(self, other: "RunningCorrelation") -> None:
        """Add the samples that another one gathered."""
        if not other.count:
            return
        difference = other._mean - self._mean if self.count else torch.zeros_like(self._mean)
        self._grow(torch.maximum(other._scale, _powers_of_two(difference.abs())))
        shrink = other._scale / self._scale
        products = [
            product * shrink[rows, None] * shrink[columns]
            for product, (rows, columns) in zip(other._products, self._blocks, strict=True)
        ]
        self._absorb(other.count, other._mean, products, [])
        self._note_range(other._lowest, other._highest)

    def compute(self) -> Correlations:
        """The correlations over all samples so far."""
        varying = (~self.constant).nonzero().flatten()
        r = self._all_products()
        if len(varying) < self.units:
            r = r[varying][:, varying]
        deviation = r.diagonal().clamp_min(torch.finfo(torch.float64).tiny).sqrt()
        r /= deviation
        r /= deviation[:, None]
        return Correlations(self.units, varying, r.clamp_(-1.0, 1.0))

    def state_dict(self) -> State:
        """The number of samples, and for each unit its mean, scale and range; the products, in units of the scales."""
        return {
            "count": torch.tensor(self.count),
            "mean": self._mean,
            "scale": self._scale,
            "lowest": self._lowest,
            "highest": self._highest,
            **{f"products {number}": product for number, product in enumerate(self._products)},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the samples that another one gathered."""
        self.count = int(state["count"])
        for name, own in self.state_dict().items():
            if name != "count":
                own.copy_(state[name])

    @property
    def constant(self) -> Bool[Tensor, " units"]:
        """The units whose activity was the same in every sample. They have no correlation."""
        return self._lowest >= self._highest

    def covariance(self) -> Float[Tensor, "units units"]:
        """The covariance of every two units, up to one common factor, which keeps it in range."""
        shrink = self._scale / self._scale.max()
        return self._all_products() * shrink * shrink[:, None]

    def regression(
        self, units: Int[Tensor, " pairs"], others: Int[Tensor, " pairs"], r: Float[Tensor, " pairs"]
    ) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
        """Slope and intercept of the best line from the activity of `units` to that of `others` (Section 2.2).

        Args:
            units, others: the indices of the two units of each pair.
            r: their correlation.
        """
        squares = torch.cat(
            [product.diagonal() for product, (rows, columns) in self._kept() if rows.start == columns.start]
        )
        deviation = squares.sqrt()
        slope = r * (deviation[others] / deviation[units]) * (self._scale[others] / self._scale[units])
        return slope, self._mean[others] - slope * self._mean[units]

    def _add(self, activity: Float[Tensor, "samples units"], memory: Float[Tensor, "samples units"]) -> None:
        samples = len(activity)
        lowest, highest, mean = _range_and_mean(activity)
        shift = torch.where(mean.isfinite(), mean, lowest / 2 + highest / 2)  # a sum may leave the range of its type
        centre, bottom, top = shift.double(), lowest.double(), highest.double()
        extent = torch.maximum(top - centre, centre - bottom)
        resolution = torch.maximum(top, -bottom) * torch.finfo(activity.dtype).eps
        extent = torch.maximum(extent, resolution)  # so that values of a constant unit stay in range, too
        if self.count:
            extent = torch.maximum(extent, (centre - self._mean).abs())
        self._grow(_powers_of_two(extent).clamp_min_(torch.finfo(activity.dtype).tiny))
        inverse = (1 / self._scale).to(activity.dtype)
        # exact but for one rounding, since scales are powers of 2
        scaled = torch.addcmul(-shift * inverse, activity, inverse, out=memory)
        remainder = (scaled.new_full((samples,), 1 / samples) @ scaled).double()  # what rounding left of the mean
        if self.units < FEW_UNITS:
            scaled = scaled.double()
        products = [scaled[:, rows].T @ scaled[:, columns] for rows, columns in self._blocks]
        self._absorb(samples, centre + remainder * self._scale, products, [(-float(samples), remainder)])
        self._note_range(bottom, top)

    def _grow(self, scale: Float[Tensor, " units"]) -> None:
        """Let no scale be smaller than the given one."""
        grown = torch.maximum(self._scale, scale)
        if grown.device.type == "cpu" and torch.equal(grown, self._scale):
            return  # elsewhere the comparison would wait for the device
        shrink = self._scale / grown
        for product, (rows, columns) in self._kept():
            product *= shrink[columns]
            product *= shrink[rows, None]
        self._scale = grown

    def _absorb(
        self,
        count: int,
        mean: Float[Tensor, " units"],
        products: list[Tensor],
        corrections: list[tuple[float, Float[Tensor, " units"]]],
    ) -> None:
        """Add samples, from their products about their mean in units of the scales.

        Args:
            count: the number of samples.
            mean: their mean.
            products: of every two units, in blocks.
            corrections: weights and vectors, whose outer products with themselves are added to the products.
        """
        total = self.count + count
        if self.count:
            difference = mean - self._mean
            corrections = [*corrections, (self.count * count / total, difference / self._scale)]
            self._mean += difference * (count / total)
        else:
            self._mean.copy_(mean)
        self.count = total
        vectors = torch.stack([vector for _, vector in corrections]) if corrections else self._mean[None]
        weighted = torch.stack([weight * vector for weight, vector in corrections]) if corrections else None
        for own, product, (rows, columns) in zip(self._products, products, self._blocks, strict=True):
            own += product
            if weighted is not None:
                own.addmm_(weighted[:, rows].T, vectors[:, columns])

    def _note_range(self, lowest: Float[Tensor, " units"], highest: Float[Tensor, " units"]) -> None:
        torch.minimum(self._lowest, lowest, out=self._lowest)
        torch.maximum(self._highest, highest, out=self._highest)

    def _kept(self) -> Iterator[tuple[Tensor, tuple[slice, slice]]]:
        """Each block of the products, and which units' it is."""
        return zip(self._products, self._blocks, strict=True)

    def _all_products(self) -> Float[Tensor, "units units"]:
        """The products of every two units, symmetric to the bit."""
        products = torch.zeros(self.units, self.units, dtype=torch.float64, device=self._mean.device)
        for product, (rows, columns) in self._kept():
            if rows.start == columns.start:
                upper = product.triu()
                products[rows, columns] = upper + upper.triu(1).T
            else:
                products[rows, columns] = product
                products[columns, rows] = product.T
        return products


def upper_blocks(first: int, last: int) -> list[tuple[slice, slice]]:
    """Blocks of rows and columns that cover a symmetric matrix on and above its diagonal, those on it in order.

    Each half of the diagonal is halved again, as long as it has more than `SPLIT_UNITS`.
    """
    if last - first <= SPLIT_UNITS:
        return [(slice(first, last), slice(first, last))]
    middle = (first + last) // 2
    beside = (slice(first, middle), slice(middle, last))
    return [*upper_blocks(first, middle), beside, *upper_blocks(middle, last)]


def products_bytes(units: int) -> int:
    """The bytes that the correlations of a layer take while they are gathered, by its number of units."""
    blocks = upper_blocks(0, units)
    return 8 * sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in blocks)


def _range_and_mean(activity: Float[Tensor, "samples units"]) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest, highest and mean activity of each unit, from parts that stay in a processor's cache meanwhile."""
    rows = max(1, CACHED_BYTES // (activity.element_size() * max(1, activity.shape[1])))
    parts = activity.split(rows) if activity.device.type == "cpu" else [activity]
    found = [(part.amin(0), part.amax(0), part.sum(0)) for part in parts]
    lowest, highest, sums = (torch.stack(each) for each in zip(*found, strict=True))
    return lowest.amin(0), highest.amax(0), sums.sum(0) / len(activity)


def _powers_of_two(values: Float[Tensor, " units"]) -> Float[Tensor, " units"]:
    """The smallest powers of 2 above these values, in double precision, at least `SMALLEST_SCALE`."""
    exponents = torch.frexp(values.clamp_max(torch.finfo(torch.float64).max)).exponent
    return torch.exp2(exponents.double().clamp(-1000, 1000))


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
