"""`profile`: the two measures of every layer of a network, as tidy tables."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from widthwise.measurement.ablation import AblationCounts, ablate, area_under_curve, dropped_counts
from widthwise.measurement.correlation import (
    HISTOGRAM_BINS,
    Repetition,
    RunningCorrelation,
    repetition,
)
from widthwise.measurement.graph import Layer, Network
from widthwise.measurement.settings import Measurement

ABLATION_STREAM, ACTIVATION_STREAM = 1, 2


@dataclass(frozen=True)
class Profile:
    """What a network does with its units, one observation a row.

    layers: `layer, units, auc, auc_std, similarity, similarity_std, dead_fraction`, a row a layer in order of depth.
        AUC is the area under the layer's ablation curve, in [0, 1]; similarity the mean number of other units that a
        unit resembles; the deviations are between samplings; `dead_fraction` is the share of constant units.
    ablation: `layer, sampling, share_dropped, units_dropped, unchanged`: the proportion of labels that stayed.
    correlation: `layer, sampling, low, high, pairs`: how many pairs of units have |r| in [low, high).
    examples: how many inputs were measured.
    most_frequent_label_share: the share of labels that are the most frequent one. Near 1 the network has collapsed:
        its AUC is 1 and means nothing.
    """

    layers: pd.DataFrame
    ablation: pd.DataFrame
    correlation: pd.DataFrame
    examples: int
    most_frequent_label_share: float


@torch.no_grad()
def profile(model: nn.Module, batches: Iterable, *, settings: Measurement | None = None, seed: int = 0) -> Profile:
    """Measure removability and repetition in every layer of a network (Sections 2 and 3).

    The layers are those that the model names in an attribute `measured_layers`, else every value right after a
    nonlinearity that follows a dense layer or a convolution. The model is measured in evaluation mode and put back.

    Args:
        model: a network that `torch.fx` can trace. Its output's last axis is over the labels.
        batches: batches of inputs, each a tensor or a sequence whose first element is the inputs, examples first.
            All inputs are held in memory, activations only a batch at a time.
        settings: how to measure; the paper's way by default.
        seed: of the random draws. The same seed gives the same profile.

    Raises:
        ValueError: the model cannot be traced or has no measurable layer, it gives no labels, a layer's activity is
            not finite, or there are no inputs.
    """
    settings = settings or Measurement()
    if isinstance(batches, Tensor):
        raise ValueError("batches must be an iterable of batches, not one tensor; for a single batch give [inputs]")
    inputs = [batch if isinstance(batch, Tensor) else batch[0] for batch in batches]
    inputs = [batch for batch in inputs if len(batch)]
    if not inputs:
        raise ValueError("there are no inputs to measure: batches is empty")
    with _evaluating(model):
        network = Network(model)
        if not torch.allclose(network.run(inputs[0])[0], model(inputs[0]), equal_nan=True):
            raise ValueError(f"the graph of {type(model).__name__} does not compute what the model does")
        return _measure(network, inputs, sum(map(len, inputs)), settings, seed)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, and afterwards each module in the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _measure(network: Network, inputs: list[Tensor], examples: int, settings: Measurement, seed: int) -> Profile:
    counts: dict[Layer, AblationCounts] = {}
    samplers: dict[Layer, _ActivitySampler] = {}
    labels: list[Tensor] = []
    for number, batch in enumerate(inputs):
        output, values = network.run(batch)
        if output.shape[-1] < 2:
            raise ValueError("the model has a single output, and a label is the argmax over several")
        labels.append(output.argmax(-1))
        for depth, layer in enumerate(network.layers):
            value = values[layer.node]
            assert isinstance(value, Tensor)
            if not value.isfinite().all():
                raise ValueError(f"the activity of layer {layer.name} is not finite, so it cannot be measured")
            activity = _activity(value, layer.unit_dimension)
            if number == 0:
                positions = activity.shape[0] // len(batch)
                elements = value[0].numel() if settings.granularity == "application" else activity.shape[1]
                zeros = torch.zeros(settings.samplings, settings.levels, dtype=torch.long)
                counts[layer] = AblationCounts(elements, zeros)
                sampler_seed = np.random.SeedSequence([seed, ACTIVATION_STREAM, depth])
                samplers[layer] = _ActivitySampler(activity.shape[1], examples * positions, settings, sampler_seed)
            place = number if settings.granularity == "application" else 0
            stream = (seed, ABLATION_STREAM, depth, place)
            ablate(network, layer, values, labels[-1], counts[layer], settings, stream)
            samplers[layer].update(activity)

    names = [layer.name for layer in network.layers]
    repetitions = [samplers[layer].repetitions(settings) for layer in network.layers]
    ablations = [counts[layer] for layer in network.layers]
    frequencies = torch.bincount(torch.cat([label.flatten() for label in labels]))
    return Profile(
        layers=_layers_table(names, samplers.values(), ablations, repetitions),
        ablation=_ablation_table(names, ablations, settings),
        correlation=_correlation_table(names, repetitions),
        examples=examples,
        most_frequent_label_share=frequencies.max().item() / frequencies.sum().item(),
    )


def _activity(value: Float[Tensor, "..."], unit_dimension: int) -> Float[Tensor, "vectors units"]:
    """The units' activity in each image at each position."""
    return value.movedim(unit_dimension, -1).flatten(0, -2).float().cpu()


class _ActivitySampler:
    """Correlations over all activation vectors of a layer or, where they are more than the cap, over random samples."""

    def __init__(self, units: int, vectors: int, settings: Measurement, seed: np.random.SeedSequence):
        self.units = units
        self._samplings = settings.samplings
        self._seen = 0
        self._chosen: list[np.ndarray] | None = None
        if vectors > settings.activations:
            streams = [np.random.default_rng(child) for child in seed.spawn(settings.samplings)]
            choices = [stream.choice(vectors, settings.activations, replace=False) for stream in streams]
            self._chosen = [np.sort(choice) for choice in choices]
        self._running = [RunningCorrelation(units) for _ in self._chosen or [None]]

    def update(self, activity: Float[Tensor, "vectors units"]) -> None:
        """Take in the next activation vectors."""
        end = self._seen + len(activity)
        if self._chosen is None:
            self._running[0].update(activity)
        else:
            for running, chosen in zip(self._running, self._chosen, strict=True):
                first, last = np.searchsorted(chosen, [self._seen, end])
                running.update(activity[torch.from_numpy(chosen[first:last] - self._seen)])
        self._seen = end

    def repetitions(self, settings: Measurement) -> list[Repetition]:
        """One a sampling. Samplings of everything are alike, so it is computed once."""
        results = [repetition(running, settings.similarity_threshold) for running in self._running]
        return results if self._chosen is not None else results * self._samplings


def _layers_table(
    names: list[str],
    samplers: Iterable[_ActivitySampler],
    ablations: list[AblationCounts],
    repetitions: list[list[Repetition]],
) -> pd.DataFrame:
    areas = [area_under_curve(counts.shares()) for counts in ablations]
    similarities = [np.array([result.similarity for result in results]) for results in repetitions]
    return pd.DataFrame(
        {
            "layer": names,
            "units": [sampler.units for sampler in samplers],
            "auc": [area.mean() for area in areas],
            "auc_std": [_deviation(area) for area in areas],
            "similarity": [similarity.mean() for similarity in similarities],
            "similarity_std": [_deviation(similarity) for similarity in similarities],
            "dead_fraction": [np.mean([result.dead_fraction for result in results]) for results in repetitions],
        }
    )


def _deviation(samplings: np.ndarray) -> float:
    """The standard deviation between samplings; of one sampling there is none, so NaN."""
    return float(samplings.std(ddof=1)) if len(samplings) > 1 else float("nan")


def _ablation_table(names: list[str], ablations: list[AblationCounts], settings: Measurement) -> pd.DataFrame:
    samplings, levels = settings.samplings, settings.levels
    shares = np.linspace(0, 1, levels)
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * levels),
            "sampling": np.tile(np.repeat(np.arange(samplings), levels), len(names)),
            "share_dropped": np.tile(shares, len(names) * samplings),
            "units_dropped": np.concatenate(
                [np.tile(dropped_counts(counts.units, levels), samplings) for counts in ablations]
            ),
            "unchanged": np.concatenate([counts.shares().ravel() for counts in ablations]),
        }
    )


def _correlation_table(names: list[str], repetitions: list[list[Repetition]]) -> pd.DataFrame:
    samplings = len(repetitions[0])
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * HISTOGRAM_BINS),
            "sampling": np.tile(np.repeat(np.arange(samplings), HISTOGRAM_BINS), len(names)),
            "low": np.tile(edges[:-1], len(names) * samplings),
            "high": np.tile(edges[1:], len(names) * samplings),
            "pairs": np.concatenate([result.histogram for results in repetitions for result in results]),
        }
    )
