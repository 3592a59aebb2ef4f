"""The activity of a layer's units, all of it or random samples, for correlations."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from widthwise.measurement.accumulator import State, joined, part_of
from widthwise.measurement.correlation import Correlations, RunningCorrelation
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layer import Layer

ACTIVATION_STREAM, POSITION_STREAM = 2, 5
"""The parts of a seed that keep these draws apart from others."""
WORDS_OF_AN_EXAMPLE = 1 << 32
"""How many of a generator's 64-bit words each example has for its draws, of which it uses one for each position."""


def layer_activity(value: Tensor, layer: Layer, examples: int) -> Float[Tensor, "examples positions units"]:
    """The units' activity for each example at each position, from a layer's value, at least in single precision.

    A routed layer has tokens in place of examples; `examples` is then their number.
    """
    moved = value.movedim((layer.example_dimension, layer.unit_dimension), (0, -1))
    activity = moved.reshape(examples, -1, layer.units)
    if activity.is_floating_point():
        return activity.to(torch.promote_types(activity.dtype, torch.float32))
    return activity.float() if activity.dtype is torch.bool else activity.double()


def drawn_activations(vectors: int, settings: Measurement, seed: int, depth: int) -> list[np.ndarray] | None:
    """Indices of a layer's activation vectors that enter its correlations, for each sampling in ascending order.

    None: all of them. The draw is that of NumPy's default generator, seeded by child number `sampling` of
    `SeedSequence([seed, ACTIVATION_STREAM, depth])`, where `depth` is the layer's index.
    """
    if settings.activations is None or vectors <= settings.activations:
        return None
    seeds = np.random.SeedSequence([seed, ACTIVATION_STREAM, depth]).spawn(settings.samplings)
    choices = [np.random.default_rng(each).choice(vectors, settings.activations, replace=False) for each in seeds]
    return [np.sort(choice) for choice in choices]


def drawn_positions(
    first: int, examples: int, positions: int, sample: int, seed: int, stream: int
) -> Int[np.ndarray, "examples sample"] | None:
    """Indices of the positions of each example that enter a layer's correlations, in ascending order.

    None: all of them. They are the positions with the smallest keys. The key of position p of the example with index i
    is word 2**32 i + p of `numpy.random.PCG64(SeedSequence([seed, POSITION_STREAM, stream]))`.

    Args:
        first, examples: the index of the first example among all, and the number of examples.
        positions: the number of positions of each.
        sample: how many are drawn.
        seed, stream: the seed of the random draws, and what is the layer's own of it.
    """
    if positions <= sample:
        return None
    generator = np.random.PCG64(np.random.SeedSequence([seed, POSITION_STREAM, stream]))
    generator.advance(first * WORDS_OF_AN_EXAMPLE)
    drawn = np.empty((examples, sample), dtype=np.int64)
    for row in drawn:
        row[:] = np.sort(np.argpartition(generator.random_raw(positions), sample - 1)[:sample])
        generator.advance(WORDS_OF_AN_EXAMPLE - positions)
    return drawn


def at_positions(
    activity: Shaped[Tensor, "examples positions units"], drawn: Int[np.ndarray, "examples sample"]
) -> Shaped[Tensor, "examples sample units"]:
    """The activity, or whatever else there is at each position, at each example's drawn positions."""
    indices = torch.from_numpy(drawn).to(activity.device, non_blocking=True)
    return activity.gather(1, indices[..., None].expand(-1, -1, activity.shape[2]))


class ActivitySampler:
    """Correlations over all activation vectors of a layer or over random samples of them.

    sampled: whether they are over random samples.
    samplings: the number of samplings.
    running: those of each sampling; only one if all vectors are used.

    Args:
        units: the number of units in the layer.
        drawn: the indices of the vectors in each sampling, among those of all data; None: all of them.
        samplings: the number of samplings.
        device: the device of the activity.
        first: the index of the first vector that it will see.
    """

    def __init__(
        self, units: int, drawn: list[np.ndarray] | None, samplings: int, device: torch.device, first: int = 0
    ):
        self._seen = first
        self._drawn = drawn
        self.sampled = drawn is not None
        self.samplings = samplings
        self.running = [RunningCorrelation(units, device) for _ in drawn or [None]]

    @classmethod
    def empty(cls, units: int, correlations: int, sampled: bool, samplings: int) -> "ActivitySampler":
        """One on the CPU that has gathered nothing, to load the state of another or to merge others into."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(units, [nothing] * correlations if sampled else None, samplings, torch.device("cpu"))

    def update(self, activity: Float[Tensor, "vectors units"], kept: Bool[Tensor, " vectors"] | None = None) -> None:
        """Add the next activation vectors; those that are not `kept` are counted as drawn or not, and left out."""
        end = self._seen + len(activity)
        if self._drawn is None:
            self.running[0].update(activity if kept is None else activity[kept])
        else:
            for running, drawn in zip(self.running, self._drawn, strict=True):
                first, last = np.searchsorted(drawn, [self._seen, end])
                indices = torch.from_numpy(drawn[first:last] - self._seen).to(activity.device, non_blocking=True)
                running.update(activity[indices if kept is None else indices[kept[indices]]])
        self._seen = end

    def merge(self, other: "ActivitySampler") -> None:
        """Add what another one gathered, of vectors with other indices."""
        for running, others in zip(self.running, other.running, strict=True):
            running.merge(others)
        self._seen = max(self._seen, other._seen)

    def compute(self) -> list[Correlations]:
        """The correlations of each sampling; only one if every sampling has all vectors."""
        return [running.compute() for running in self.running]

    def state_dict(self) -> State:
        """The number of vectors seen, and the state of each sampling's correlations."""
        states = joined((str(number), running.state_dict()) for number, running in enumerate(self.running))
        return {"seen": torch.tensor(self._seen), **states}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what another one gathered."""
        self._seen = int(state["seen"])
        for number, running in enumerate(self.running):
            running.load_state_dict(part_of(state, str(number)))
