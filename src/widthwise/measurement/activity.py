"""The activity of a layer's units, all of it or random samples, for correlations."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.measurement.accumulator import State, joined, part_of
from widthwise.measurement.correlation import Correlations, RunningCorrelation
from widthwise.measurement.repetition import Repetition, repetition
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layer import Layer

ACTIVATION_STREAM = 2


def layer_activity(value: Tensor, layer: Layer, examples: int) -> Float[Tensor, "examples positions units"]:
    """The units' activity for each example at each position, from a layer's value, at least in single precision."""
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


class ActivitySampler:
    """Correlations over all activation vectors of a layer or over random samples of them.

    sampled: whether they are over random samples.
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
        self._samplings = samplings
        self.running = [RunningCorrelation(units, device) for _ in drawn or [None]]

    @classmethod
    def empty(cls, units: int, correlations: int, sampled: bool, samplings: int) -> "ActivitySampler":
        """One on the CPU that has gathered nothing, to load the state of another or to merge others into."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(units, [nothing] * correlations if sampled else None, samplings, torch.device("cpu"))

    def update(self, activity: Float[Tensor, "vectors units"]) -> None:
        """Add the next activation vectors."""
        end = self._seen + len(activity)
        if self._drawn is None:
            self.running[0].update(activity)
        else:
            for running, drawn in zip(self.running, self._drawn, strict=True):
                first, last = np.searchsorted(drawn, [self._seen, end])
                indices = torch.from_numpy(drawn[first:last] - self._seen).to(activity.device, non_blocking=True)
                running.update(activity[indices])
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

    def repetitions(self, thresholds: Sequence[float]) -> list[Repetition]:
        """One for each sampling. If every sampling has all vectors, they are equal and computed once."""
        results = [repetition(running, thresholds) for running in self.running]
        return results if self.sampled else results * self._samplings
