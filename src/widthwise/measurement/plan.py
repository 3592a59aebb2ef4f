"""`plan`: what a profile would take, before it is started."""

import textwrap
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import nn

from widthwise.measurement.ablation import random_groups
from widthwise.measurement.batch_size import VALUES_HELD, fitting_batch_size
from widthwise.measurement.curves import Curve
from widthwise.measurement.profile import check_protocols, checked_module, checked_request
from widthwise.measurement.reaching import find_network
from widthwise.measurement.sampled_ablation import most_examples
from widthwise.measurement.settings import PAPER_SETTINGS, Measurement
from widthwise.measurement.timing import Timing, timed
from widthwise.tracing.arrangement import PROBE_EXAMPLES
from widthwise.tracing.batches import Batches
from widthwise.tracing.failures import in_one_sentence
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer_selection import Selection, UnitDimensions
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched
from widthwise.wording import counted

TERMINAL_WIDTH = 80
SLOW_SECONDS = 0.5
"""Of a network that takes longer for one example, short sequences are run instead."""
SHORT = 64
"""The length of short sequences."""
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
    correlation_memory: bytes of the sums of products, which grow with the square of a layer's units.
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

    A few examples are run to find and time the layers; the data are read once to count the examples. Of a mixture of
    experts, those that the first batch does not reach are not counted.

    Args:
        model: as for `profile`.
        batches: as for `profile`.
        settings: as for `profile`.
        layers: as for `profile`.
        attention_heads: as for `profile`.
        units: as for `profile`.
        predict: as for `profile`.
        replay: as for `profile`.
        batch_size: as for `profile`.
        memory: as for `profile`.

    Raises:
        RequestError: the model, its inputs or an argument cannot be used; one sentence says what is wrong.
        TrialError: there is not enough memory.
    """
    started = time.perf_counter()
    checked_request(settings, batch_size, 0)
    model = checked_module(model)
    with in_one_sentence(model), untouched(model):
        source = Batches(batches) if memory is None else Batches(batches, memory)
        first, longer = _quick_to_run(model, source.first)
        network = find_network(
            model,
            Batches([first.kwargs or (first.args,)]),
            batch_size,
            layers=layers,
            attention_heads=attention_heads,
            units=units,
            predict=predict,
            replay=replay,
            replay_tried=False,
        )
        network.bytes_per_example *= longer
        network.largest_value *= longer
        found = time.perf_counter() - started
        check_protocols(network, settings)
        source.arrange(network.arrangement)
        examples = source.examples
        fitting = batch_size or fitting_batch_size(network, memory)
        size = min(examples, fitting)
        timing = Timing(network, network.arrangement.of(first, 1), size, settings, longer)
        runs = {curve: _runs(curve, settings, examples) for curve in timing.curves}
        needed, groups = timing.correlations(examples, memory)
        passes = len(groups) + (settings.replacement == "mean") + settings.single_units
        intact = float(examples * passes)
        if settings.precision is not None:
            intact += min(max(runs.values(), default=0.0), most_examples(examples, settings.precision))
        seconds = found + intact * timing.intact + timing.statistics(examples)
        seconds += sum(count * timing.ablation(curve) for curve, count in runs.items())
        for curve in timing.curves if settings.single_units else ():
            if curve.protocol == settings.protocols[0] and not curve.joint:
                layer, single = curve.layers[0], 2.0 * examples * curve.layers[0].units
                seconds += single * timing.single(layer, fitting)
                runs[curve] += single
        if network.replayed:
            seconds += sum(_trying(timing, curve) for curve in timing.curves if not curve.joint)
        flops = intact * timing.flops
        flops += sum(count * timing.ablation_flops(curve) for curve, count in runs.items())
        bytes_of = dict(zip((layer.name for layer in network.layers), needed, strict=True))
        products = max(sum(bytes_of[layer.name] for layer in group) for group in groups)
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


def _trying(timing: Timing, curve: Curve) -> float:
    """Seconds of finding out that a layer can be replayed, which `profile` does and this does not."""
    return 3 * PROBE_EXAMPLES * (timing.intact + timing.ablation(curve))


def _quick_to_run(model: nn.Module, first: Inputs) -> tuple[Inputs, float]:
    """The first batch and 1; of a network that takes long, shorter sequences, and how many times as long they are.

    Only sequences of whole numbers, such as tokens, can be cut: inputs that are all of one shape, `examples positions`.
    """
    tensors = first.tensors
    shape = tuple(tensors[0].shape)
    cut = len(shape) == 2 and all(tuple(each.shape) == shape and not each.is_floating_point() for each in tensors)
    if not cut or shape[1] <= SHORT:
        return first, 1.0
    short = first.each(lambda tensor: tensor[:2, :SHORT])
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    seconds, _ = timed(lambda: short.each(lambda tensor: tensor[:1].to(device)).call(model))
    longer = shape[1] / SHORT
    return (short, longer) if seconds * longer > SLOW_SECONDS else (first, 1.0)


def _runs(curve: Curve, settings: Measurement, examples: int) -> float:
    """The number of runs of one example that a curve takes."""
    every = examples * (settings.samplings * len(random_groups(curve)) + any(curve.everything))
    if settings.precision is None:
        return float(every)
    spread = sum(weight for weight, intact in zip(curve.weights, curve.intact, strict=True) if not intact)
    return min(float(every), max(64.0, (TYPICAL_DEVIATION * spread / settings.precision) ** 2))


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
