"""What a reader should give, and from what: the rows of its problem, from the runs of a batch."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from widthwise.compression.elimination import Moments
from widthwise.compression.groups import Codes, Group, Reading
from widthwise.compression.products import BATCH_NORM, arguments
from widthwise.compression.reader import Destination, Reader
from widthwise.compression.run import Run
from widthwise.errors import RequestError
from widthwise.randomness import generator
from widthwise.tracing.structure import Slot

ROWS = 64_000
"""Rows over which a reader's moments are means, over all batches."""


@dataclass
class ReaderProblem:
    """A reader, and what is known of its problem so far.

    reader, arrival, index: the reader, what its sum becomes, and the index of its operation.
    weight, bias: the names of the parameters that get its new weights; no bias if there is no place for one.
    groups: the groups that it takes. gone: the features of units that went.
    present, scale, shift, moments: its weights, the normalization after it, and its problem, once they are known.
    busy: being fitted. done: fitted.
    """

    reader: Reader
    arrival: Destination
    index: int
    weight: str
    bias: str
    groups: list[tuple[Group, Reading]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    present: Tensor = field(default_factory=lambda: torch.empty(0))
    scale: Tensor = field(default_factory=lambda: torch.empty(0))
    shift: Tensor = field(default_factory=lambda: torch.empty(0))
    moments: Moments | None = None
    busy: bool = False
    done: bool = False

    def parameters(self, run: Run) -> tuple[Tensor, Tensor | None]:
        """The reader's present weight and bias in a run."""
        return run.value(self.reader.weight), None if self.reader.bias is None else run.value(self.reader.bias)

    def look_at(self, run: Run) -> None:
        """Note the reader's present weights in a run, and the normalization that follows."""
        weight, bias = self.parameters(run)
        self.scale, self.shift = self._norm(run, weight)
        self.present = self.reader.matrix(weight, bias) * self.scale
        self.present[-1] += self.shift

    def rows(self, intact: Run, smaller: Run, seed: int, number: int, batches: int) -> tuple[Tensor, Tensor, Tensor]:
        """The features, targets and intact sums of some rows of one of several batches."""
        reader, arrival = self.reader, self.arrival
        whole = intact.value(arrival.end)
        draws = generator(seed, "compress", self.index, number)
        rows = reader.sampled(whole, -(-ROWS // batches), draws)
        sums = reader.targets(whole, rows)
        added = 0 if arrival.added is None else reader.targets(smaller.value(arrival.added), rows)
        return reader.features(smaller.value(reader.data), rows, whole.shape), sums - added, sums

    def finite(self, moments: Moments) -> Moments:
        """Moments, if they are of numbers.

        Raises:
            RequestError: they are not.
        """
        if not (moments.gram.isfinite().all() and moments.cross.isfinite().all()):
            path = self.reader.operation.call_site.path
            raise RequestError(f"what {path} reads or gives holds NaN or infinite values; check the inputs and weights")
        return moments

    def _norm(self, run: Run, like: Tensor) -> tuple[Float[Tensor, " outputs"], Float[Tensor, " outputs"]]:
        """The scale and the shift by which batch normalization follows; 1 and 0 where there is none."""
        ones = torch.ones(self.reader.outputs, dtype=torch.float64, device=like.device)
        if self.arrival.norm is None:
            return ones, torch.zeros_like(ones)
        given = arguments(self.arrival.norm, BATCH_NORM)

        def read(name: str, otherwise: Tensor) -> Tensor:
            slot = given.get(name)
            return run.value(slot).double() if isinstance(slot, Slot) else otherwise

        epsilon = given.get("eps", 1e-5)
        assert isinstance(epsilon, float)
        scale = read("weight", ones) / (read("running_var", ones) + epsilon).sqrt()
        return scale, read("bias", torch.zeros_like(ones)) - read("running_mean", torch.zeros_like(ones)) * scale


def unit_features(columns: Codes, units: int, reader: Reader) -> Int[Tensor, "units columns"]:
    """The indices of each unit's features."""
    channels = torch.stack([torch.nonzero(columns == unit + 1).flatten() for unit in range(units)])
    positions = torch.arange(reader.positions)
    return (channels[:, :, None] * reader.positions + positions).flatten(1)
