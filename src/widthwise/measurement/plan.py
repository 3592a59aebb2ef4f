"""`plan`: what a profile would take, before it is started."""

import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from widthwise.measurement.ablation import Dropping, random_groups
from widthwise.measurement.activity import layer_activity
from widthwise.measurement.batch_size import VALUES_HELD, fitting_batch_size
from widthwise.measurement.correlation import RunningCorrelation
from widthwise.measurement.curves import Curve, curves
from widthwise.measurement.memory import memory_needed, passes_of_layers
from widthwise.measurement.profile import checked_module, checked_request
from widthwise.measurement.sampled_ablation import most_examples
from widthwise.measurement.settings import PAPER_SETTINGS, Measurement
from widthwise.tracing.batches import Batches
from widthwise.tracing.failures import in_one_sentence
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer
from widthwise.tracing.layer_selection import Selection, UnitDimensions
from widthwise.tracing.network import Network
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched
from widthwise.wording import counted

Result = TypeVar("Result")
TIMED_SECONDS = 2.0
"""The longest that one batch should take to be timed; otherwise fewer examples are timed."""
TIMED_CURVES = 12
"""At most this many curves are timed; the cost of those between them is interpolated."""
TERMINAL_WIDTH = 80
TYPICAL_DEVIATION = 0.35
"""Of a label that stays or not, for a guess at how many runs a precision takes."""


@dataclass(frozen=True)
class Plan:
    """What a profile would take.

    model: the type of the network.
    layers: the names of the layers that would be measured.
    examples: the number of examples.
    batch_size: the number of examples that would be run at a time.
    passes: how often the data would be read.
    runs: the number of ablations of one example, over all layers; with `precision` an estimate.
    flops: the floating-point operations of all runs.
    memory: bytes that the measurement would hold: the values of a batch, and sums of products for correlations.
    correlation_memory: bytes of the sums of products, which grow with the square of a layer's units; of the layers that
        are correlated in one pass, where they do not fit together.
    seconds: an estimate, from a short timing on this machine.
    timed_seconds: the time that the timing took.
    replayed: whether only what follows a layer would be run again.
    """

    model: str
    layers: tuple[str, ...]
    examples: int
    batch_size: int
    passes: int
    runs: int
    flops: float
    memory: int
    correlation_memory: int
    seconds: float
    timed_seconds: float
    replayed: bool

    def to_dict(self) -> dict[str, object]:
        """The plan as plain data."""
        return {**asdict(self), "layers": list(self.layers)}

    def __str__(self) -> str:
        again = "only what follows a layer" if self.replayed else "the whole network"
        sentences = [
            f"Profile of {self.model}: {counted(len(self.layers), 'layer')}, {self.examples:,} examples, "
            f"{self.batch_size:,} at a time.",
            f"Passes over the data: {self.passes}. Ablations: {self.runs:,} runs of one example, each of {again}.",
            f"Floating-point operations: {self.flops:.2g}.",
            f"Memory: {_bytes(self.memory)}, of which {_bytes(self.correlation_memory)} for correlations.",
            f"Time: about {_duration(self.seconds)} on this machine.",
        ]
        return "\n".join(line for sentence in sentences for line in textwrap.wrap(sentence, TERMINAL_WIDTH))


def plan(
    model: nn.Module,
    batches: Iterable[object],
    *,
    settings: Measurement = PAPER_SETTINGS,
    layers: Selection | None = None,
    attention_heads: bool = False,
    units: UnitDimensions | None = None,
    predict: Predict | None = None,
    replay: bool = True,
    batch_size: int | None = None,
    memory: int | None = None,
) -> Plan:
    """What `profile` would take with the same arguments: layers, passes, operations, memory and seconds.

    A few examples are run to find and time the layers; the data are read once to count the examples.

    Args:
        model, batches, settings, layers, attention_heads, units, predict, replay, batch_size, memory: as for `profile`.

    Raises:
        RequestError: the model, its inputs or an argument cannot be used; one sentence says what is wrong.
        TrialError: there is not enough memory.
    """
    started = time.perf_counter()
    checked_request(settings, batch_size, 0)
    model = checked_module(model)
    with in_one_sentence(model), untouched(model):
        source = Batches(batches) if memory is None else Batches(batches, memory)
        network = Network(
            model,
            source.first,
            layers=layers,
            attention_heads=attention_heads,
            units=units,
            predict=predict,
            replay=replay,
        )
        source.arrange(network.arrangement)
        examples = source.examples
        size = min(examples, batch_size or fitting_batch_size(network, memory))
        timing = _Timing(network, network.arrangement.of(source.first, 1), size, settings)
        runs = {curve: _runs(curve, settings, examples) for curve in timing.curves}

        most = max(runs.values(), default=0.0)
        needed, groups = timing.correlations(examples, settings, memory)
        passes = len(groups) + (settings.replacement == "mean") + settings.single_units
        intact = float(examples * passes)
        if settings.precision is not None:
            intact += min(most, most_examples(examples, settings.precision))
        single = 2 * examples * settings.single_units
        seconds = intact * timing.intact + examples * timing.statistics
        flops = intact * timing.flops
        for curve, count in runs.items():
            seconds += count * timing.ablation(curve)
            flops += count * timing.flops * timing.part(curve)
        for layer in network.layers if single else ():
            curve = next(each for each in timing.curves if each.name == layer.name)
            seconds += single * layer.units * timing.ablation(curve)
            flops += single * layer.units * timing.flops * timing.part(curve)
        products = max(sum(needed[layer.name] for layer in group) for group in groups)
        values = int(VALUES_HELD * network.bytes_per_example * size)
        return Plan(
            type(model).__name__,
            tuple(layer.name for layer in network.layers),
            examples,
            size,
            passes,
            round(sum(runs.values())),
            float(flops),
            values + products,
            products,
            seconds,
            time.perf_counter() - started,
            network.replayed,
        )


def _runs(curve: Curve, settings: Measurement, examples: int) -> float:
    """The number of runs of one example that a curve takes."""
    every = examples * (settings.samplings * len(random_groups(curve)) + any(curve.everything))
    if settings.precision is None:
        return float(every)
    spread = sum(weight for weight, intact in zip(curve.weights, curve.intact, strict=True) if not intact)
    return min(float(every), max(64.0, (TYPICAL_DEVIATION * spread / settings.precision) ** 2))


class _Timing:
    """Seconds for one example, from a short timing.

    curves: the curves that would be measured.
    intact: of a run of the network itself.
    statistics: of correlations and other statistics of all layers.
    flops: floating-point operations of a run.

    Args:
        network: the network.
        first: the first batch.
        size: the number of examples to time, or fewer if they take too long.
        settings: the options of the measurement.
    """

    def __init__(self, network: Network, first: Inputs, size: int, settings: Measurement):
        self._network = network
        one = first.part(0, 1) if first.divisible else first
        with FlopCounterMode(display=False) as counter:
            run = network.run(one)
        self.flops = counter.get_total_flops() / run.examples
        single, run = _timed(lambda: network.run(one))
        if first.divisible and size > 1:
            count = max(1, min(size, first.examples, int(TIMED_SECONDS / max(single, 1e-6))))
            part = first.part(0, count)
            network.run(part)
            single, run = _timed(lambda: network.run(part))
        self.intact = single / run.examples
        self._run = run
        self.curves = curves(network.layers, run, settings)
        if "figures" in settings.protocols:
            network.try_together()
        self._total = max(1, len(run.tape.operations))
        self._ablations = {curve: self._timed_ablation(curve) for curve in self._some()}
        self.statistics = self._timed_statistics(settings) / run.examples

    def part(self, curve: Curve) -> float:
        """The share of the network's operations that an ablation runs again."""
        plan = self._run.together if curve.joint else self._run.plans.get(curve.name)
        return len(plan.operations) / self._total if plan else 1.0

    def ablation(self, curve: Curve) -> float:
        """Seconds of one ablation of one example."""
        if curve in self._ablations:
            return self._ablations[curve]
        alike = [each for each in self._ablations if each.whole == curve.whole]
        near = min(alike, key=lambda each: abs(self.part(each) - self.part(curve)))
        return self._ablations[near] * self.part(curve) / max(self.part(near), 1 / self._total)

    def _some(self) -> list[Curve]:
        """The curves to time: evenly spread."""
        step = max(1, -(-len(self.curves) // TIMED_CURVES))
        chosen = self.curves[::step]
        return chosen + [each for each in self.curves if each.joint and each not in chosen]

    def _timed_ablation(self, curve: Curve) -> float:
        groups = random_groups(curve)
        dropping = Dropping(self._network, curve, self._run, {})

        def ablations() -> None:
            dropping.draw(0, 0, 0)
            for group in groups:
                dropping.labels(group)

        if not groups:
            return _timed(dropping.labels_without_all)[0] / self._run.examples
        return _timed(ablations)[0] / self._run.examples / len(groups)

    def correlations(
        self, examples: int, settings: Measurement, memory: int | None
    ) -> tuple[dict[str, int], list[list[Layer]]]:
        """The bytes that each layer's correlations take, and the layers that are correlated in each pass."""
        layers = self._network.layers
        values = [self._run.values[layer.name] for layer in layers]
        vectors = []
        for layer, value in zip(layers, values, strict=True):
            positions = value.numel() // layer.units // self._run.examples
            vectors.append(examples * min(positions, settings.sample or positions))
        needed = memory_needed(layers, settings, vectors)
        groups = passes_of_layers(layers, needed, [value.device for value in values], memory)
        return dict(zip((layer.name for layer in layers), needed, strict=True)), groups

    def _timed_statistics(self, settings: Measurement) -> float:
        samplings = 1 if settings.activations is None else settings.samplings
        seconds = 0.0
        for layer in self._network.layers:
            value = self._run.values[layer.name]
            activity = layer_activity(value, layer, self._run.examples).flatten(0, 1)[: 1 << 14]
            running = RunningCorrelation(layer.units, value.device)
            share = value.numel() / layer.units / len(activity)
            seconds += (
                _timed(lambda running=running, activity=activity: running.update(activity))[0] * share * samplings
            )
        return seconds


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def _bytes(count: int | float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} seconds" if seconds < 10 else f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
