"""The passes of a measurement over the data, and the numbers that they collect for each layer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.measurement.ablation import AblationCounts, ablate, no_counts
from widthwise.measurement.activity import ActivitySampler, drawn_activations, layer_activity
from widthwise.measurement.repetition import nearest
from widthwise.measurement.settings import Measurement
from widthwise.measurement.units import SingleAblations, UnitStatistics
from widthwise.progress import OnProgress, Progress
from widthwise.tracing.batches import Batches
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network, RecordedRun
from widthwise.tracing.outgoing_weights import OutgoingWeights, outgoing_weights


@dataclass
class LayerMeasures:
    """The numbers collected for one layer; positions: the number that an example has of each unit."""

    counts: AblationCounts
    activity: ActivitySampler
    statistics: UnitStatistics
    single: SingleAblations | None
    replacement: Float[Tensor, " units"] | None
    positions: int


class Passes:
    """The passes of one measurement, and the numbers that they collected.

    measures: the numbers collected for each layer, by its name.
    examples: the number of examples.
    classes: the number of possible labels; 0 where the output holds the labels themselves.

    Args:
        network: the network to measure.
        source: its inputs.
        size: the number of examples to run at a time.
        settings: the options of the measurement.
        seed: the seed of the random draws.
        on_progress: called after each batch.
    """

    def __init__(
        self,
        network: Network,
        source: Batches,
        size: int,
        settings: Measurement,
        seed: int,
        on_progress: OnProgress,
    ):
        self.network, self.settings, self.seed = network, settings, seed
        self.measures: dict[str, LayerMeasures] = {}
        self.examples = source.examples
        self.classes = 0
        self._source, self._size, self._on_progress = source, size, on_progress
        self._labels: list[Tensor] = []
        self._done = 0

    def run(self) -> None:
        """Collect everything: first the means, if they replace dropped activity; last the pairs of units."""
        means = self._means() if self.settings.replacement == "mean" else {}
        first = 0
        for run in self._runs():
            if not self.measures:
                self._prepare(run, means)
            self._add(run, first)
            first += run.examples
        if self.settings.single_units:
            self._drop_pairs()

    @property
    def labels(self) -> Tensor:
        """The labels of all examples in one dimension."""
        return torch.cat([label.flatten() for label in self._labels])

    def outgoing_weights(self, layer: Layer) -> OutgoingWeights:
        """The outgoing weights of a layer's units."""
        found = outgoing_weights(self.network.probe, layer)
        return replace(found, only=found.only and self.network.whole)

    def _runs(self) -> Iterator[RecordedRun]:
        """One pass: the run of each batch."""
        total = self.examples * (1 + (self.settings.replacement == "mean") + self.settings.single_units)
        for number, inputs in enumerate(self._source.of_size(self._size), start=1):
            run = self.network.run(inputs, number)
            yield run
            self._done += run.examples
            self._on_progress(Progress("measuring", float(self._done), float(total), "examples"))

    def _means(self) -> dict[str, Float[Tensor, " units"]]:
        statistics: dict[str, UnitStatistics] = {}
        for run in self._runs():
            for layer in self.network.layers:
                value = run.values[layer.name]
                if layer.name not in statistics:
                    statistics[layer.name] = UnitStatistics(layer.units, value.device)
                statistics[layer.name].update(layer_activity(value, layer, run.examples))
        return {name: each.mean for name, each in statistics.items()}

    def _prepare(self, run: RecordedRun, means: dict[str, Float[Tensor, " units"]]) -> None:
        for depth, layer in enumerate(self.network.layers):
            value = run.values[layer.name]
            positions = value.numel() // layer.units // run.examples
            drawn = drawn_activations(self.examples * positions, self.settings, self.seed, depth)
            single = None
            if self.settings.single_units:
                single = SingleAblations(self.network, layer, means.get(layer.name), self._size)
            self.measures[layer.name] = LayerMeasures(
                no_counts(run, layer, self.settings),
                ActivitySampler(layer.units, drawn, self.settings.samplings, value.device),
                UnitStatistics(layer.units, value.device),
                single,
                means.get(layer.name),
                positions,
            )

    def _add(self, run: RecordedRun, first: int) -> None:
        self._labels.append(run.labels.cpu())
        self.classes = run.classes
        for depth, layer in enumerate(self.network.layers):
            measures = self.measures[layer.name]
            value = run.values[layer.name]
            if not value.isfinite().all():
                raise RequestError(f"the activity of layer {layer.name} is not finite, so it cannot be measured")
            self._check_shape(layer, run, measures)
            activity = layer_activity(value, layer, run.examples)
            measures.statistics.update(activity)
            measures.activity.update(activity.flatten(0, 1))
            stream = (self.seed, depth)
            ablate(self.network, layer, run, first, measures.counts, self.settings, stream, measures.replacement)
            if measures.single is not None:
                measures.single.update(run)

    def _check_shape(self, layer: Layer, run: RecordedRun, measures: LayerMeasures) -> None:
        value = run.values[layer.name]
        shape = tuple(value.shape)
        if value.shape[layer.unit_dimension] != layer.units:
            raise RequestError(f"layer {layer.name} has other units for another batch: its value has the shape {shape}")
        if value.numel() % (run.examples * layer.units):
            raise RequestError(f"the value of layer {layer.name}, of shape {shape}, is not of {run.examples} examples")
        positions = value.numel() // (run.examples * layer.units)
        if measures.activity.sampled and positions != measures.positions:
            raise RequestError(
                f"layer {layer.name} has another number of positions for another batch, so its activations cannot be "
                "sampled evenly; give inputs of one size, or take all activations",
                field="activations",
            )
        if self.settings.granularity == "application" and value.numel() != measures.counts.units * run.examples:
            raise RequestError(
                f"layer {layer.name} has another number of positions for another batch: its value has the shape "
                f"{shape}; give inputs of one size (pad them), or drop whole units by 'channel'",
                field="granularity",
            )

    def _drop_pairs(self) -> None:
        partners = {}
        for name, measures in self.measures.items():
            nearest_units = nearest(measures.activity.running[0], self.settings.threshold)["most_similar"]
            partners[name] = [None if pd.isna(other) else int(other) for other in nearest_units]
        for run in self._runs():
            for name, measures in self.measures.items():
                assert measures.single is not None
                measures.single.update_pairs(run, partners[name])
