"""The passes of a measurement over the data, and the numbers that they collect for each layer."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.measurement.ablation import ablate
from widthwise.measurement.accumulator import State, joined, part_of
from widthwise.measurement.activity import (
    ActivitySampler,
    at_positions,
    drawn_activations,
    drawn_positions,
    layer_activity,
)
from widthwise.measurement.checkpoint import Checkpoint
from widthwise.measurement.curves import Curve, curves
from widthwise.measurement.incoming import incoming
from widthwise.measurement.label_counts import LabelCounts
from widthwise.measurement.label_frequencies import LabelFrequencies
from widthwise.measurement.layer_repetition import LayerRepetition
from widthwise.measurement.measured import Measured, MeasuredLayer
from widthwise.measurement.memory import memory_needed, passes_of_layers
from widthwise.measurement.part import Part
from widthwise.measurement.result import AboutNetwork
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
from widthwise.measurement.walk import Walk
from widthwise.measurement.ways_to_run import ablations_at_once, reason_to_run_whole, run_whole_where_faster
from widthwise.measurement.work import Work
from widthwise.progress import OnProgress
from widthwise.tracing.batches import Batches
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer, slot_at
from widthwise.tracing.network import Network
from widthwise.tracing.outgoing_weights import outgoing_weights
from widthwise.tracing.recorded_run import RecordedRun

STATISTICS = "statistics"
"""The kind of work that correlations and the units' statistics are."""


class Passes:
    """The passes of one measurement, and the numbers that they collected.

    measures: the numbers collected for each layer, by its name.
    curves: the ablation curves that were measured.
    counts: the labels counted for each of the curves.
    labels: how often each label was predicted.
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
        part: the part of the inputs to measure; None: all of them.
        memory: the bytes that the correlations of several layers may take together; None: by what is free.
        checkpoint: the file from which the measurement goes on after an interruption; None: there is none.
        initial: the initial values of the network's parameters, by the `id` of each; None: they are not known.
    """

    def __init__(
        self,
        network: Network,
        source: Batches,
        size: int,
        settings: Measurement,
        seed: int,
        on_progress: OnProgress,
        part: Part | None = None,
        memory: int | None = None,
        checkpoint: Checkpoint | None = None,
        initial: Mapping[int, Tensor] | None = None,
    ):
        self.network, self.settings, self.seed, self._initial = network, settings, seed, initial
        self.measures: dict[str, MeasuredLayer] = {}
        self.curves: list[Curve] = []
        self.counts: list[LabelCounts] = []
        self.labels = LabelFrequencies()
        self.classes = 0
        self.sampled, self._all_run = settings.precision is not None, ""
        if self.sampled and any(layer.routed for layer in network.layers):
            self.sampled, self._all_run = False, "a router chooses tokens from several examples for its experts"
        self._at_once: dict[str, int] = {}
        self._sampled: list[SampledCurve] = []
        self._steps_behind, self._sampled_done = (0, 0), False
        self._labels_known = True
        self._walk = Walk(network, source, size, part, checkpoint)
        self.examples = self._walk.examples
        self._size, self._part, self._memory = size, part, memory
        self._means: dict[str, UnitStatistics] = {}
        self._positions: dict[str, int] = {}
        self._devices: dict[str, torch.device] = {}
        self._groups: list[list[Layer]] = []
        self._passes = 1 + (settings.replacement == "mean") + settings.single_units
        self._work = self._walk.work = Work(self.examples * self._passes, on_progress)
        self._work.expect(INTACT, self.examples * self._passes)
        self._work.expect(STATISTICS, self.examples, 0.5)

    def run(self) -> None:
        """Collect everything: first the means, if they replace dropped activity; last the pairs of units."""
        interrupted = self._walk.interrupted()
        if interrupted is not None:
            self._load_means(interrupted)
            if "classes" in interrupted:
                self._prepare(self.network.run(next(self._walk.inputs())))
                self._load(interrupted)
        if self.settings.replacement == "mean":
            self._find_means()
        self._measure()
        for layers in self._groups[1:]:
            self._correlate(layers)
        if self.settings.single_units:
            self._drop_pairs()
        self._walk.finish()

    def measured(self) -> Measured:
        """All that was collected."""
        reason = reason_to_run_whole(self.network)
        network: AboutNetwork = {
            "model": type(self.network.model).__name__,
            "replayed": not reason,
            "reason": reason,
            "batches_as_given": self.network.arrangement.as_given,
            "all_run": self._all_run,
            "left_out": [asdict(each) for each in self.network.left_out],
            "device": str(self.network.device),
        }
        return Measured(
            settings=self.settings,
            seed=self.seed,
            layers=[self.measures[layer.name] for layer in self.network.layers],
            curves=self.curves,
            counts=self.counts,
            labels=self.labels,
            examples=self.examples,
            classes=self.classes,
            network=network,
            part=None if self._part is None else (self._part.number, self._part.parts),
        )

    def state_dict(self) -> State:
        """The state of everything that was collected so far."""
        states = [(f"means {name}", each.state_dict()) for name, each in self._means.items()]
        if not self.measures:
            return joined(states)
        states += [("labels", self.labels.state_dict())]
        states += [(f"counts {number}", each.state_dict()) for number, each in enumerate(self.counts)]
        states += [(f"sampled {number}", each.state_dict()) for number, each in enumerate(self._sampled)]
        for number, layer in enumerate(self.network.layers):
            measures = self.measures[layer.name]
            kinds = {"statistics": measures.statistics, "activity": measures.activity, "single": measures.single}
            kinds["repetition"] = measures.repetition
            states += [(f"{kind} {number}", each.state_dict()) for kind, each in kinds.items() if each is not None]
        places = {layer.name: number for number, group in enumerate(self._groups) for layer in group}
        groups = torch.tensor([places[layer.name] for layer in self.network.layers])
        reason = torch.tensor(list(self.network.reason.encode()), dtype=torch.uint8)
        numbers = {"classes": torch.tensor(self.classes), "steps": torch.tensor(self._steps_behind)}
        numbers |= {"sampled done": torch.tensor(self._sampled_done), "labels known": torch.tensor(self._labels_known)}
        return {**joined(states), **numbers, "groups": groups, "reason": reason}

    def _load_means(self, state: State) -> None:
        for layer in self.network.layers:
            own = part_of(state, f"means {layer.name}")
            if own:
                statistics = UnitStatistics(layer.units, own["sum"].device)
                statistics.load_state_dict(own)
                self._means[layer.name] = statistics

    def _load(self, state: State) -> None:
        """Go on from what another measurement collected."""
        self.classes = int(state["classes"])
        reason = bytes(state["reason"].tolist()).decode()
        if reason and self.network.replayed:
            self.network.replayed, self.network.reason = False, reason
        self.labels.load_state_dict(part_of(state, "labels"))
        for number, counts in enumerate(self.counts):
            counts.load_state_dict(part_of(state, f"counts {number}"))
        self._labels_known = bool(state["labels known"])
        first, second = state["steps"].tolist()
        self._steps_behind, self._sampled_done = (first, second), bool(state["sampled done"])
        if part_of(state, "sampled 0") and self.settings.precision is not None:
            self._sampled = self._sampled_curves(self.settings.precision)
            for number, sampled in enumerate(self._sampled):
                sampled.load_state_dict(part_of(state, f"sampled {number}"))
        self._groups = [[] for _ in range(int(state["groups"].max()) + 1)]
        for number, layer in enumerate(self.network.layers):
            measures = self.measures[layer.name]
            self._groups[int(state["groups"][number])].append(layer)
            measures.statistics.load_state_dict(part_of(state, f"statistics {number}"))
            if measures.single is not None:
                measures.single.load_state_dict(part_of(state, f"single {number}"))
            measures.activity = None
            if repetition := part_of(state, f"repetition {number}"):
                measures.repetition = LayerRepetition.from_state(repetition)
            if activity := part_of(state, f"activity {number}"):
                self._begin([layer])
                assert measures.activity is not None
                measures.activity.load_state_dict(activity)

    def _replacements(self) -> dict[str, Float[Tensor, " units"]]:
        """The activity of dropped units by the layer's name, where it is not zero."""
        return {name: each.mean for name, each in self._means.items()}

    def _find_means(self) -> None:
        for _, run in self._walk.runs(self.state_dict):
            for layer in run.layers.values():
                value = run.values[layer.name]
                if layer.name not in self._means:
                    self._means[layer.name] = UnitStatistics(layer.units, value.device)
                activity = layer_activity(value, layer, run.rows(layer))
                self._means[layer.name].update(activity, run.positions_kept(layer))

    def _measure(self) -> None:
        """The main pass: everything but what does not fit into memory together, and pairs of units."""
        order = random_order(self.examples, self.seed)
        chosen = ChosenExamples(order[: most_examples(self.examples, self.settings.precision or 1.0)])
        first_group = self._groups[0] if self._groups else None

        def skip(inputs: Inputs) -> None:
            if self.sampled:
                chosen.update(inputs, self._labels_known)

        for first, run in self._walk.runs(self.state_dict, skip):
            if not self.measures:
                self._prepare(run)
            if first_group is None:
                first_group = self._groups[0]
                self._begin(first_group)
            with self._work.doing(STATISTICS, run.examples):
                self._add(run, first, first_group)
            if self.sampled:
                chosen.update(run.inputs, run.label_examples is not None)
            else:
                self._ablate(run, first)
        self._end(self._groups[0])
        if self.sampled and not self._sampled_done:
            self._ablate_sampled(chosen)

    def _correlate(self, layers: list[Layer]) -> None:
        """A pass for the correlations of layers that did not fit into memory with the others."""
        begun = any(self.measures[layer.name].activity for layer in layers)
        for first, run in self._walk.runs(self.state_dict):
            if not begun:
                self._begin(layers)
                begun = True
            for layer in layers:
                if layer.name in run.values:
                    self._gather(layer, run, first)
        self._end(layers)

    def _begin(self, layers: list[Layer]) -> None:
        """Make room for the correlations of layers."""
        for layer in layers:
            positions = self._used_positions(layer)
            vectors = self._walk.whole * positions
            drawn = None if layer.routed else drawn_activations(vectors, self.settings, self.seed, layer.stream)
            self.measures[layer.name].activity = ActivitySampler(
                layer.units, drawn, self.settings.samplings, self._devices[layer.name], self._walk.first * positions
            )

    def _end(self, layers: list[Layer]) -> None:
        """Sum up the correlations of layers, and free their memory unless another part's will be added."""
        for layer in layers:
            measures = self.measures[layer.name]
            if measures.reached:
                measures.summary(self.settings)
                if self._part is None:
                    measures.activity = None

    def _ablate(self, run: RecordedRun, first: int) -> None:
        """Run every ablation of a batch."""
        for curve, counts in zip(self.curves, self.counts, strict=True):
            with self._work.doing(kind_of(curve), run.examples, curve.name):
                samplings, name, means = self.settings.samplings, kind_of(curve), self._replacements()
                if name not in self._at_once and (curve.joint or curve.name in run.values):
                    self._at_once[name] = ablations_at_once(self.network, curve, run, self.seed, means)
                at_once = self._at_once.get(name, 1)
                ablate(self.network, curve, run, first, counts, samplings, self.seed, means, at_once)

    def _ablate_sampled(self, chosen: ChosenExamples) -> None:
        """Run ablations of some examples, as precision asks for, or of all, if they cannot be chosen one by one."""
        assert self.settings.precision is not None
        if chosen.empty:  # the main pass was done before the measurement was interrupted
            for inputs in self._walk.inputs():
                chosen.update(inputs, self._labels_known)
        if not chosen.together:
            self.sampled, self._all_run = False, "its examples cannot be run one by one"
            for first, run in self._walk.runs(self.state_dict):
                self._ablate(run, first)
            return
        if not self._sampled:
            self._sampled = self._sampled_curves(self.settings.precision)

        def note(behind: tuple[int, int]) -> None:
            self._steps_behind = behind
            self._walk.note(self.state_dict)

        means, behind = self._replacements(), self._steps_behind
        ablate_sampled(self.network, chosen, self._sampled, self._size, means, self._work, behind, note)
        self.counts = [each.counts for each in self._sampled]
        self._sampled, self._sampled_done = [], True

    def _sampled_curves(self, precision: float) -> list[SampledCurve]:
        device = self.counts[0].unchanged.device
        return [SampledCurve(curve, self.settings.samplings, self.seed, precision, device) for curve in self.curves]

    def _prepare(self, run: RecordedRun) -> None:
        """Make ready for layers with the shapes that they have in the first batch."""
        self.curves = curves(self.network.layers, run, self.settings)
        run_whole_where_faster(self.network, run)
        if "figures" in self.settings.protocols:
            self.network.try_together()
        tape = self.network.probe
        self._devices = {layer.name: tape.values[slot_at(tape, layer)].device for layer in self.network.layers}
        for curve in self.curves:
            device = self._devices[curve.layers[0].name]
            self.counts.append(LabelCounts(self.settings.samplings, len(curve.groups), device))
            self._work.expect(kind_of(curve), self.examples, self._cost(curve, run))
        means = self._replacements()
        for layer in self.network.layers:
            self._positions[layer.name] = _positions(layer, run)
            single = None
            if self.settings.single_units:
                single = SingleAblations(self.network, layer, means.get(layer.name), self._size)
            found = outgoing_weights(self.network.probe, layer)
            found = replace(found, only=found.only and self.network.whole)
            statistics = UnitStatistics(layer.units, self._devices[layer.name])
            self.measures[layer.name] = MeasuredLayer(
                *(layer.name, layer.units, layer.kind, statistics, found),
                incoming(tape, layer, self._initial),
                single=single,
            )
        self._groups = self._in_groups()
        extra = len(self._groups) - 1
        if extra and self._part is not None:
            raise RequestError(
                "the correlations of these layers do not fit into memory together, which a part needs; measure fewer "
                "layers at a time, or give them more memory",
                field="memory",
            )
        self._work.examples += self.examples * extra
        self._work.expect(INTACT, self.examples * (self._passes + extra))

    def _in_groups(self) -> list[list[Layer]]:
        layers = self.network.layers
        vectors = [0 if layer.routed else self._walk.whole * self._used_positions(layer) for layer in layers]
        needed = memory_needed(layers, self.settings, vectors)
        return passes_of_layers(layers, needed, [self._devices[layer.name] for layer in layers], self._memory)

    def _add(self, run: RecordedRun, first: int, correlated: list[Layer]) -> None:
        self.labels.update(run.labels)
        self._labels_known &= run.label_examples is not None
        self.classes = max(self.classes, run.classes)
        names = {layer.name for layer in correlated}
        for layer in self.network.layers:
            measures = self.measures[layer.name]
            if measures.single is not None:
                measures.single.update(run)
            if layer.name not in run.values:
                continue
            self._check_shape(layer, run)
            activity = layer_activity(run.values[layer.name], layer, run.rows(layer))
            measures.statistics.update(activity, run.positions_kept(layer))
            if not measures.statistics.finite:
                raise RequestError(f"the activity of layer {layer.name} is not finite, so it cannot be measured")
            if layer.name in names:
                self._gather(layer, run, first)

    def _gather(self, layer: Layer, run: RecordedRun, first: int) -> None:
        """Add a batch to a layer's correlations."""
        sampler = self.measures[layer.name].activity
        assert sampler is not None
        activity, kept = layer_activity(run.values[layer.name], layer, run.rows(layer)), run.positions_kept(layer)
        if self.settings.sample is not None and not layer.routed:
            examples, positions, _ = activity.shape
            drawn = drawn_positions(first, examples, positions, self.settings.sample, self.seed, layer.stream)
            if drawn is not None:
                activity = at_positions(activity, drawn)
                kept = None if kept is None else at_positions(kept[..., None], drawn)[..., 0]
        sampler.update(activity.flatten(0, 1), None if kept is None else kept.flatten())

    def _used_positions(self, layer: Layer) -> int:
        """The number of positions of an example that enter a layer's correlations."""
        positions = self._positions[layer.name]
        return positions if self.settings.sample is None else min(positions, self.settings.sample)

    @property
    def _by_application(self) -> bool:
        return any(not curve.whole for curve in self.curves)

    def _cost(self, curve: Curve, run: RecordedRun) -> float:
        """A guess of the cost of an example's ablations, where that of an intact run is 1."""
        runs = 1
        if not self.sampled:
            known = curve.known
            runs = self.settings.samplings * known.count(False) + any(curve.everything)
        plan = run.together if curve.joint else run.plans.get(curve.name)
        operations = len(run.tape.operations)
        return runs * (len(plan.operations) if plan else operations) / max(1, operations)

    def _check_shape(self, layer: Layer, run: RecordedRun) -> None:
        value = run.values[layer.name]
        shape = tuple(value.shape)
        if value.shape[layer.unit_dimension] != layer.units:
            raise RequestError(f"layer {layer.name} has other units for another batch: its value has the shape {shape}")
        rows = run.rows(layer)
        if value.numel() % (rows * layer.units):
            raise RequestError(f"the value of layer {layer.name}, of shape {shape}, is not of {run.examples} examples")
        positions = value.numel() // (rows * layer.units)
        activity, expected = self.measures[layer.name].activity, self._positions[layer.name]
        used = positions if self.settings.sample is None else min(positions, self.settings.sample)
        if activity is not None and activity.sampled and used != self._used_positions(layer):
            raise RequestError(
                f"layer {layer.name} has another number of positions for another batch, so its activations cannot be "
                "sampled evenly; give inputs of one size, or take all activations",
                field="activations",
            )
        if self._by_application and positions != expected:
            raise RequestError(
                f"layer {layer.name} has another number of positions for another batch: its value has the shape "
                f"{shape}; give inputs of one size (pad them), or drop whole units by 'channel'",
                field="granularity",
            )

    def _drop_pairs(self) -> None:
        partners = {}
        for name, measures in self.measures.items():
            if measures.reached:
                found = measures.summary(self.settings).nearest["most_similar"]
                partners[name] = [None if pd.isna(other) else int(other) for other in found]
        for _, run in self._walk.runs(self.state_dict):
            for name, others in partners.items():
                single = self.measures[name].single
                assert single is not None
                single.update_pairs(run, others)


def _positions(layer: Layer, run: RecordedRun) -> int:
    """The number of positions of an example or, of a routed layer, of a token."""
    if layer.routed:
        return math.prod(layer.shape) // layer.units
    return run.values[layer.name].numel() // layer.units // run.examples
