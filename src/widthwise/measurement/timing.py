"""What a measurement costs for one example, from a short timing and from the operations of a run."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from widthwise.measurement.ablation import Dropping, random_groups, unchanged_without_each
from widthwise.measurement.activity import layer_activity
from widthwise.measurement.correlation import RunningCorrelation
from widthwise.measurement.curves import Curve, curves
from widthwise.measurement.memory import memory_needed, passes_of_layers
from widthwise.measurement.settings import Measurement
from widthwise.measurement.units import UnitStatistics
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer, slot_at
from widthwise.tracing.network import Network
from widthwise.tracing.tape import Operation, Tape

Result = TypeVar("Result")
TIMED_SECONDS = 2.0
"""The longest that a run of the network should take to be timed; otherwise fewer examples are timed."""
TIMED_CURVES = 12
"""At most this many curves are timed; the cost of others follows from their operations."""
TIMED_UNITS = 8
TIMED_VECTORS = 1 << 14
"""At most this many activation vectors of a layer are timed."""


class Timing:
    """What a measurement costs for one example, in seconds and in floating-point operations.

    curves: the curves that would be measured.
    intact: the seconds of a run of the network itself.
    flops: the operations of such a run.

    Args:
        network: the network.
        first: the first batch.
        size: the number of examples to time, or fewer if they take too long.
        settings: the options of the measurement.
        longer: how many times as long as those of `first` the sequences to measure are.
    """

    def __init__(self, network: Network, first: Inputs, size: int, settings: Measurement, longer: float = 1.0):
        self._network, self._settings, self._longer = network, settings, longer
        part = first.part(0, 1) if first.divisible else first
        self.intact, self._run = timed(lambda: network.run(part))
        while first.divisible and part.examples < min(size, first.examples) and self.intact < TIMED_SECONDS / 4:
            part = first.part(0, 4 * part.examples)  # small steps: the time of a batch is not that of its examples
            self.intact, self._run = timed(lambda part=part: network.run(part))
        self.curves = curves(network.layers, self._run, settings)
        if "figures" in settings.protocols:
            network.try_together()
        if self.intact < TIMED_SECONDS:
            self.intact, self._run = timed(lambda: network.run(part))
        self._operations = operation_flops(network.probe, longer)
        short, self.flops = self._of_example(network.probe.operations)
        self.intact *= (self.flops / short if short else longer) / self._run.examples
        self._tails = {curve: self._tail(curve) for curve in self.curves}
        self._seconds = {curve: self._timed_ablation(curve) for curve in self._some()}

    def ablation_flops(self, curve: Curve) -> float:
        """Floating-point operations of one ablation of one example."""
        return self._tails[curve].flops

    def ablation(self, curve: Curve) -> float:
        """Seconds of one ablation of one example."""
        if curve in self._seconds:
            return self._seconds[curve]
        near = min(self._seconds, key=lambda each: self._distance(each, curve))
        one, other = (self._tails[each].flops + self._tails[each].functions for each in (curve, near))
        return self._seconds[near] * one / max(other, 1.0)

    def statistics(self, examples: int) -> float:
        """Seconds of the correlations and the units' statistics of all layers, over that many examples."""
        return sum(self._timed_statistics(layer, examples) for layer in self._network.layers)

    def correlations(self, examples: int, memory: int | None) -> tuple[list[int], list[list[Layer]]]:
        """The bytes that each layer's correlations take, and the layers that are correlated in each pass."""
        layers, sample = self._network.layers, self._settings.sample
        tape = self._network.probe
        values = [tape.values[slot_at(tape, layer)] for layer in layers]
        vectors = []
        for layer, value in zip(layers, values, strict=True):
            positions = int(value.numel() // layer.units // self._network.probe_inputs.examples * self._longer)
            vectors.append(0 if layer.routed else examples * min(positions, sample or positions))
        needed = memory_needed(layers, self._settings, vectors)
        return needed, passes_of_layers(layers, needed, [value.device for value in values], memory)

    def single(self, layer: Layer, together: int) -> float:
        """Seconds of one example without one unit of a layer, where several units are run together."""
        groups = [[unit] for unit in range(min(layer.units, TIMED_UNITS))]
        at_once = max(1, together // self._run.examples)
        work = partial(unchanged_without_each, self._network, layer, self._run, groups, None, at_once)
        return timed(work)[0] / len(groups) / self._run.examples * self._longer

    def _of_example(self, operations: Sequence[Operation]) -> tuple[float, float]:
        """The floating-point operations of some calls for an example as short as it is, and as long as it will be."""
        counts = [self._operations[id(each)] for each in operations]
        examples = self._network.probe_inputs.examples
        return sum(short for short, _ in counts) / examples, sum(full for _, full in counts) / examples

    def _tail(self, curve: Curve) -> "_Tail":
        tape = self._network.probe
        operations = tape.operations
        if self._network.replayed:
            starts = [slot_at(tape, layer) for layer in curve.layers]
            operations = tape.replay_plan(starts, tape.results[1]).operations
        short, flops = self._of_example(operations)
        return _Tail(flops, len(operations), flops / short if short else self._longer)

    def _distance(self, one: Curve, other: Curve) -> float:
        here, there = self._tails[one], self._tails[other]
        return abs(here.flops - there.flops) + abs(here.functions - there.functions)

    def _some(self) -> list[Curve]:
        """The curves to time: evenly spread."""
        run = [curve for curve in self.curves if curve.joint or curve.name in self._run.values]
        chosen = run[:: max(1, -(-len(run) // TIMED_CURVES))]
        return chosen + [each for each in run if each.joint and each not in chosen]

    def _timed_ablation(self, curve: Curve) -> float:
        dropping = Dropping(self._network, curve, self._run, {})
        groups = random_groups(curve)
        if not groups:
            return timed(dropping.labels_without_all)[0] / self._run.examples * self._tails[curve].longer
        drawing, _ = timed(lambda: dropping.draw(0, 0, 0))
        seconds, _ = timed(lambda: dropping.labels(groups[0]))
        if seconds < TIMED_SECONDS / TIMED_CURVES:
            seconds = timed(lambda: [dropping.labels(group) for group in groups])[0] / len(groups)
        runs = 1 if self._settings.precision is not None else len(groups)  # of one draw
        return (seconds * self._tails[curve].longer + drawing * self._longer / runs) / self._run.examples

    def _timed_statistics(self, layer: Layer, examples: int) -> float:
        if layer.name not in self._run.values:  # a router chose no token for this expert
            return 0.0
        value = self._run.values[layer.name]
        activity = layer_activity(value, layer, self._run.rows(layer))
        full = self._longer * examples / self._run.examples
        vectors = activity.shape[0] * activity.shape[1] * full
        statistics = UnitStatistics(layer.units, value.device)
        seconds = timed(lambda: statistics.update(activity, None))[0] * full
        taken = vectors
        if self._settings.activations is not None and not layer.routed and vectors > self._settings.activations:
            taken = self._settings.activations * self._settings.samplings
        some = activity.flatten(0, 1)[:TIMED_VECTORS]
        running = RunningCorrelation(layer.units, value.device)
        return seconds + timed(lambda: running.update(some))[0] / len(some) * taken


class _Tail(NamedTuple):
    """What an ablation runs.

    flops: floating-point operations for one example. functions: the number of calls. longer: how many times as many
        operations it is for sequences as long as those to measure.
    """

    flops: float
    functions: int
    longer: float


def operation_flops(tape: Tape, longer: float = 1.0) -> dict[int, tuple[float, float]]:
    """The floating-point operations of each call on a tape that holds all its values, by its `id`.

    Returns: those of the tape, and those for sequences `longer` times as long: in proportion to their length or, where
        computed values are multiplied by each other, as in attention, to its square.
    """
    computed = {output for operation in tape.operations for output in operation.outputs}
    found = {}
    for operation in tape.operations:
        with FlopCounterMode(display=False) as counter:
            tape.computed(operation, {})
        flops = float(counter.get_total_flops())
        squared = sum(slot in computed for slot in operation.inputs) > 1
        found[id(operation)] = flops, flops * longer ** (1 + squared)
    return found


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """The seconds that some work took, and its result."""
    started = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, result
