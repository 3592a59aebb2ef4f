"""The passes of a measurement over the data, and the numbers that they collect for each layer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.measurement.ablation import ablate
from widthwise.measurement.activity import ActivitySampler, drawn_activations, layer_activity
from widthwise.measurement.curves import Curve, curves
from widthwise.measurement.label_counts import LabelCounts
from widthwise.measurement.repetition import nearest
from widthwise.measurement.sampled_ablation import (
    INTACT,
    ChosenExamples,
    SampledCurve,
    ablate_sampled,
    kind_of,
    most_examples,
    random_order,
)
from widthwise.measurement.settings import Measurement
from widthwise.measurement.units import SingleAblations, UnitStatistics
from widthwise.measurement.work import Work
from widthwise.progress import OnProgress
from widthwise.tracing.batches import Batches
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network, RecordedRun
from widthwise.tracing.outgoing_weights import OutgoingWeights, outgoing_weights


@dataclass
class LayerMeasures:
    """The numbers collected for one layer; positions: the number that an example has of each unit."""

    activity: ActivitySampler
    statistics: UnitStatistics
    single: SingleAblations | None
    replacement: Float[Tensor, " units"] | None
    positions: int


class Passes:
    """The passes of one measurement, and the numbers that they collected.

    measures: the numbers collected for each layer, by its name.
    curves: the ablation curves that were measured.
    counts: the labels counted for each of the curves.
    sampled: whether ablations were run for a part of the examples, as precision asks for; if not, for all.
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
        self.curves: list[Curve] = []
        self.counts: list[LabelCounts] = []
        self.examples = source.examples
        self.classes = 0
        self.sampled = settings.precision is not None
        self._source, self._size = source, size
        self._labels: list[Tensor] = []
        passes = 1 + (settings.replacement == "mean") + settings.single_units
        self._work = Work(self.examples * passes, on_progress)
        self._work.expect(INTACT, self.examples * passes)

    def run(self) -> None:
        """Collect everything: first the means, if they replace dropped activity; last the pairs of units."""
        means = self._means() if self.settings.replacement == "mean" else {}
        order = random_order(self.examples, self.seed)
        chosen = ChosenExamples(order[: most_examples(self.examples, self.settings.precision or 1.0)])
        first = 0
        for run in self._runs():
            if not self.measures:
                self._prepare(run, means)
            self._add(run)
            if self.sampled:
                chosen.update(run.inputs)
            else:
                self._ablate(run, first, means)
            first += run.examples
        if self.sampled:
            self._ablate_sampled(chosen, means)
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
        for number, inputs in enumerate(self._source.of_size(self._size), start=1):
            with self._work.batch(inputs.examples):
                with self._work.doing(INTACT, inputs.examples):
                    run = self.network.run(inputs, number)
                yield run

    def _ablate(self, run: RecordedRun, first: int, means: dict[str, Float[Tensor, " units"]]) -> None:
        """Run every ablation of a batch."""
        for curve, counts in zip(self.curves, self.counts, strict=True):
            with self._work.doing(kind_of(curve), run.examples, curve.name):
                ablate(self.network, curve, run, first, counts, self.settings.samplings, self.seed, means)

    def _ablate_sampled(self, chosen: ChosenExamples, means: dict[str, Float[Tensor, " units"]]) -> None:
        """Run ablations of some examples, as precision asks for, or of all, if they cannot be chosen one by one."""
        assert self.settings.precision is not None
        if not chosen.together:
            self.sampled = False
            first = 0
            for run in self._runs():
                self._ablate(run, first, means)
                first += run.examples
            return
        device = self.counts[0].unchanged.device
        sampled = [
            SampledCurve(curve, self.settings.samplings, self.seed, self.settings.precision, device)
            for curve in self.curves
        ]
        ablate_sampled(self.network, chosen, sampled, self._size, means, self._work)
        self.counts = [each.counts for each in sampled]

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
        self.curves = curves(self.network.layers, run, self.settings)
        if "figures" in self.settings.protocols:
            self.network.try_together()
        for curve in self.curves:
            value = run.values[curve.layers[0].name]
            self.counts.append(LabelCounts(self.settings.samplings, len(curve.groups), value.device))
            self._work.expect(kind_of(curve), self.examples, self._cost(curve, run))
        for layer in self.network.layers:
            value = run.values[layer.name]
            positions = value.numel() // layer.units // run.examples
            drawn = drawn_activations(self.examples * positions, self.settings, self.seed, layer.stream)
            single = None
            if self.settings.single_units:
                single = SingleAblations(self.network, layer, means.get(layer.name), self._size)
            self.measures[layer.name] = LayerMeasures(
                ActivitySampler(layer.units, drawn, self.settings.samplings, value.device),
                UnitStatistics(layer.units, value.device),
                single,
                means.get(layer.name),
                positions,
            )

    def _add(self, run: RecordedRun) -> None:
        self._labels.append(run.labels.cpu())
        self.classes = run.classes
        for layer in self.network.layers:
            measures = self.measures[layer.name]
            value = run.values[layer.name]
            if not value.isfinite().all():
                raise RequestError(f"the activity of layer {layer.name} is not finite, so it cannot be measured")
            self._check_shape(layer, run, measures)
            activity = layer_activity(value, layer, run.examples)
            measures.statistics.update(activity)
            measures.activity.update(activity.flatten(0, 1))
            if measures.single is not None:
                measures.single.update(run)

    @property
    def _by_application(self) -> bool:
        return any(not curve.whole for curve in self.curves)

    def _cost(self, curve: Curve, run: RecordedRun) -> float:
        """A guess of the cost of an example's ablations, where that of an intact run is 1."""
        runs = 1
        if not self.sampled:
            known = curve.known
            runs = self.settings.samplings * known.count(False) + any(curve.everything)
        plan = run.together if len(curve.layers) > 1 else run.plans.get(curve.name)
        operations = len(run.tape.operations)
        return runs * (len(plan.operations) if plan else operations) / max(1, operations)

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
        if self._by_application and positions != measures.positions:
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
