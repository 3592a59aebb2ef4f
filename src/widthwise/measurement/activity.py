"""The activity of a layer's units, all of it or random samples, for correlations."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from widthwise.measurement.correlation import Repetition, RunningCorrelation, repetition
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layer import Layer

ACTIVATION_STREAM = 2


def layer_activity(value: Tensor, layer: Layer, examples: int) -> Float[Tensor, "examples positions units"]:
    """The units' activity for each example at each position, from a layer's value."""
    moved = value.movedim((layer.example_dimension, layer.unit_dimension), (0, -1))
    return moved.reshape(examples, -1, layer.units).float()


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

    Args:
        units: the number of units in the layer.
        drawn: the indices of the vectors in each sampling; None: all of them.
        samplings: the number of samplings.
        device: the device of the activity.
    """

    def __init__(self, units: int, drawn: list[np.ndarray] | None, samplings: int, device: torch.device):
        self._seen = 0
        self._drawn = drawn
        self.sampled = drawn is not None
        self._samplings = samplings
        self.running = [RunningCorrelation(units, device) for _ in drawn or [None]]

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

    def repetitions(self, thresholds: Sequence[float]) -> list[Repetition]:
        """One for each sampling. If every sampling has all vectors, they are equal and computed once."""
        results = [repetition(running, thresholds) for running in self.running]
        return results if self.sampled else results * self._samplings
