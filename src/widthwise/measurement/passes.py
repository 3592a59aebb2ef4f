"""One measurement: the passes over the data, and what they gather of each layer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.measurement.ablation import (
    ABLATION_STREAM,
    AblationCounts,
    ablate,
    counted,
)
from widthwise.measurement.correlation import (
    Repetition,
    RunningCorrelation,
    nearest,
    repetition,
    strongest_pairs,
)
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.measurement.tables import ablation_table, correlation_table, layers_table, similarity_table
from widthwise.measurement.units import SingleAblations, UnitStatistics, units_table
from widthwise.tracing.inputs import Batches
from widthwise.tracing.layers import Layer
from widthwise.tracing.network import Network, RecordedRun
from widthwise.tracing.outgoing_weights import Outgoing, outgoing_weights

RANDOM_SHARES, ACTIVATION_STREAM = 0, 2
STRONGEST_PAIRS = 100
MEMORY = 1 << 30
"""How many bytes the values of a batch may take on a processor; on another device, a third of what is free."""
LARGEST_VALUE = 24 << 20
"""A value of more bytes is not kept from one run to the next by a processor's allocator; getting it anew is slow."""
LARGEST_BATCH = 1024
VALUES_HELD = 2
"""A run holds its own values, and an ablation of it about as many more."""

OnProgress = Callable[[int, int], None]


def fitting_batch_size(network: Network, memory: int | None = None) -> int:
    """How many examples can be run at a time in `memory` bytes and, on a processor, without slow large blocks."""
    on_processor = network.device.type == "cpu"
    if memory is None:
        on_gpu = network.device.type == "cuda"
        memory = torch.cuda.mem_get_info(network.device)[0] // 3 if on_gpu else MEMORY
    size = min(LARGEST_BATCH, memory / max(1, VALUES_HELD * network.bytes_per_example))
    if on_processor:
        size = min(size, LARGEST_VALUE / max(1, network.largest_value))
    return max(1, int(size))


@dataclass
class _LayerMeasures:
    """What is gathered of one layer."""

    counts: AblationCounts
    activity: "_ActivitySampler"
    statistics: UnitStatistics
    single: SingleAblations | None
    replacement: Float[Tensor, " units"] | None
    positions: int


class Measuring:
    """One measurement: the passes over the data, and what they gather."""

    def __init__(
        self,
        network: Network,
        source: Batches,
        size: int,
        settings: Measurement,
        replacement: str,
        single_units: bool,
        seed: int,
        on_progress: OnProgress | None,
    ):
        self.network, self.source, self.size, self.settings, self.seed = network, source, size, settings, seed
        self.replacement, self.single_units = replacement, single_units
        self._on_progress = on_progress
        self.measures: dict[str, _LayerMeasures] = {}
        self._labels: list[Tensor] = []
        self._classes = 0
        self.total = source.examples
        self._done = 0

    def go(self) -> None:
        """Gather everything: the means first where they replace what is dropped, the pairs last."""
        means = self._means() if self.replacement == "mean" else {}
        first = 0
        for run in self._runs():
            if not self.measures:
                self._prepare(run, means)
            self._take_in(run, first)
            first += run.examples
        if self.single_units:
            self._drop_pairs()

    def _runs(self) -> Iterable[RecordedRun]:
        for number, inputs in enumerate(self.source.of_size(self.size), start=1):
            run = self.network.run(inputs, number)
            yield run
            self._done += run.examples
            if self._on_progress:
                passes = 1 + (self.replacement == "mean") + self.single_units
                self._on_progress(self._done, passes * self.total)

    def _means(self) -> dict[str, Tensor]:
        statistics: dict[str, UnitStatistics] = {}
        for run in self._runs():
            for layer in self.network.layers:
                value = run.values[layer.name]
                if layer.name not in statistics:
                    statistics[layer.name] = UnitStatistics(layer.units, value.device)
                statistics[layer.name].update(_activity(value, layer, run.examples))
        return {name: each.mean for name, each in statistics.items()}

    def _prepare(self, run: RecordedRun, means: dict[str, Tensor]) -> None:
        for depth, layer in enumerate(self.network.layers):
            value = run.values[layer.name]
            positions = value.numel() // layer.units // run.examples
            chosen = chosen_activations(self.total * positions, self.settings, self.seed, depth)
            single = None
            if self.single_units:
                single = SingleAblations(self.network, layer, means.get(layer.name), self.size)
            self.measures[layer.name] = _LayerMeasures(
                counted(run, layer, self.settings),
                _ActivitySampler(layer.units, chosen, self.settings.samplings, value.device),
                UnitStatistics(layer.units, value.device),
                single,
                means.get(layer.name),
                positions,
            )

    def _take_in(self, run: RecordedRun, first: int) -> None:
        self._labels.append(run.labels.cpu())
        self._classes = run.classes
        for depth, layer in enumerate(self.network.layers):
            measures = self.measures[layer.name]
            value = run.values[layer.name]
            if not value.isfinite().all():
                raise ValueError(f"the activity of layer {layer.name} is not finite, so it cannot be measured")
            self._check_shape(layer, run, measures)
            activity = _activity(value, layer, run.examples)
            measures.statistics.update(activity)
            measures.activity.update(activity.flatten(0, 1))
            stream = (self.seed, ABLATION_STREAM, depth, RANDOM_SHARES)
            ablate(self.network, layer, run, first, measures.counts, self.settings, stream, measures.replacement)
            if measures.single is not None:
                measures.single.update(run)

    def _check_shape(self, layer: Layer, run: RecordedRun, measures: _LayerMeasures) -> None:
        value = run.values[layer.name]
        shape = tuple(value.shape)
        if value.shape[layer.unit_dimension] != layer.units:
            raise ValueError(f"layer {layer.name} has other units for another batch: its value has the shape {shape}")
        if value.numel() % (run.examples * layer.units):
            raise ValueError(f"the value of layer {layer.name}, of shape {shape}, is not of {run.examples} examples")
        positions = value.numel() // (run.examples * layer.units)
        if measures.activity.sampled and positions != measures.positions:
            raise ValueError(
                f"layer {layer.name} has another number of positions for another batch, so its activations cannot be "
                "sampled evenly; give inputs of one size, or activations=None for all activations"
            )
        if self.settings.granularity == "application" and value.numel() != measures.counts.units * run.examples:
            raise ValueError(
                f"layer {layer.name} has another number of positions for another batch: its value has the shape "
                f"{shape}; give inputs of one size (pad them), or drop whole units: granularity 'channel'"
            )

    def _drop_pairs(self) -> None:
        partners = {}
        for name, measures in self.measures.items():
            nearest_units = nearest(measures.activity.running[0], self.settings.similarity_threshold)["most_similar"]
            partners[name] = [None if pd.isna(other) else int(other) for other in nearest_units]
        for run in self._runs():
            for name, measures in self.measures.items():
                assert measures.single is not None
                measures.single.update_pairs(run, partners[name])

    def _outgoing(self, layer: Layer) -> Outgoing:
        found = outgoing_weights(self.network.probe, layer)
        return replace(found, only=found.only and self.network.whole)

    def profile(self, thresholds: Sequence[float], tolerance: float) -> Profile:
        """The tables of what was gathered."""
        settings, layers = self.settings, self.network.layers
        gathered = [self.measures[layer.name] for layer in layers]
        names = [layer.name for layer in layers]
        repetitions = [measures.activity.repetitions(thresholds) for measures in gathered]
        labels = torch.cat([label.flatten() for label in self._labels])
        frequencies = labels.unique(return_counts=True)[1]
        classes = self._classes or max(2, len(frequencies))
        units = [
            units_table(
                layer,
                measures.statistics,
                measures.activity.running[0],
                self._outgoing(layer),
                measures.single,
                settings.similarity_threshold,
                tolerance,
            )
            for layer, measures in zip(layers, gathered, strict=True)
        ]
        pairs = [strongest_pairs(measures.activity.running[0], STRONGEST_PAIRS) for measures in gathered]
        ablations = [measures.counts for measures in gathered]
        return Profile(
            layers=layers_table(layers, ablations, repetitions, thresholds, units, settings, classes),
            ablation=ablation_table(names, ablations, settings),
            correlation=correlation_table(names, repetitions),
            similarity=similarity_table(names, repetitions, thresholds),
            units=pd.concat(units, ignore_index=True),
            pairs=pd.concat([table.assign(layer=name) for name, table in zip(names, pairs, strict=True)])[
                ["layer", "unit", "other", "r", "r_squared", "slope", "intercept"]
            ].reset_index(drop=True),
            examples=self.total,
            most_frequent_label_share=frequencies.max().item() / len(labels),
            about={
                "model": type(self.network.model).__name__,
                "classes": classes,
                "labels": len(labels),
                "replayed": self.network.replayed,
                "reason": self.network.reason,
                "settings": asdict(settings),
                "replacement": self.replacement,
                "single_units": self.single_units,
                "tolerance": tolerance,
                "seed": self.seed,
                "device": str(self.network.device),
            },
        )


def _activity(value: Float[Tensor, "..."], layer: Layer, examples: int) -> Float[Tensor, "examples positions units"]:
    """The units' activity for each example at each position."""
    moved = value.movedim((layer.example_dimension, layer.unit_dimension), (0, -1))
    return moved.reshape(examples, -1, layer.units).float()


def chosen_activations(vectors: int, settings: Measurement, seed: int, depth: int) -> list[np.ndarray] | None:
    """Which of a layer's activation vectors enter its correlations in each sampling, in order; None for all."""
    if settings.activations is None or vectors <= settings.activations:
        return None
    seeds = np.random.SeedSequence([seed, ACTIVATION_STREAM, depth]).spawn(settings.samplings)
    choices = [np.random.default_rng(each).choice(vectors, settings.activations, replace=False) for each in seeds]
    return [np.sort(choice) for choice in choices]


class _ActivitySampler:
    """Correlations over all activation vectors of a layer or, where they are more than the cap, over random samples."""

    def __init__(self, units: int, chosen: list[np.ndarray] | None, samplings: int, device: torch.device):
        self._seen = 0
        self._chosen = chosen
        self.sampled = chosen is not None
        self._samplings = samplings
        self.running = [RunningCorrelation(units, device) for _ in chosen or [None]]

    def update(self, activity: Float[Tensor, "vectors units"]) -> None:
        """Take in the next activation vectors."""
        end = self._seen + len(activity)
        if self._chosen is None:
            self.running[0].update(activity)
        else:
            for running, chosen in zip(self.running, self._chosen, strict=True):
                first, last = np.searchsorted(chosen, [self._seen, end])
                places = torch.from_numpy(chosen[first:last] - self._seen).to(activity.device, non_blocking=True)
                running.update(activity[places])
        self._seen = end

    def repetitions(self, thresholds: Sequence[float]) -> list[Repetition]:
        """One a sampling. Samplings of everything are alike, so it is computed once."""
        results = [repetition(running, thresholds) for running in self.running]
        return results if self._chosen is not None else results * self._samplings
