"""How ablations are run fastest, as measured on the first batch: from the tape or whole, one by one or several at once.

The ways give the same labels: one is taken only where it gave the same labels, and for several ablations at once the
same scores to the bit, on the first batch.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

from widthwise.measurement.ablation import Dropping, Replacements, random_groups
from widthwise.measurement.batch_size import LARGEST_VALUE
from widthwise.measurement.curves import Curve
from widthwise.tracing.layer import Layer, slot_at
from widthwise.tracing.network import Network
from widthwise.tracing.recorded_run import RecordedRun

Result = TypeVar("Result")
CLEARLY = 0.9
"""A way is clearly faster if it takes at most this share of the other's time: timings vary."""


def run_whole_where_faster(network: Network, run: RecordedRun) -> None:
    """Let the network be run whole for those layers for which replaying the tape takes longer.

    Layers are tried from the one with the longest replay on, until one is replayed faster.
    """
    if not network.replayed:
        return
    for layer in sorted(run.layers.values(), key=lambda layer: -len(run.plans[layer.name].operations)):
        value = run.values[layer.name]
        replayed, labels = best_of_two(lambda layer=layer, value=value: network.replay(run, layer, value.clone()))
        whole, expected = best_of_two(lambda layer=layer, value=value: network.run_whole(run, layer, value.clone()))
        if not torch.equal(labels, expected) or whole > CLEARLY * replayed:
            return
        network.slower_replayed.add(layer.name)


def ablations_at_once(network: Network, curve: Curve, run: RecordedRun, seed: int, replacements: Replacements) -> int:
    """The number of levels of a curve to run as one batch: 1, or more where that is clearly faster."""
    groups = random_groups(curve)
    if curve.joint or not network.replays(curve.layers[0]):
        return 1
    layer = curve.layers[0]
    room = LARGEST_VALUE // max(1, largest_value_behind(network, layer) * run.examples)
    together = min(len(groups), int(room))
    if together < 2:
        return 1
    dropping = Dropping(network, curve, run, replacements)
    dropping.draw(seed, 0, 0)
    part = groups[:together]
    single, one_by_one = best_of_two(lambda: torch.stack([dropping.labels(group) for group in part]))
    try:
        several, at_once = best_of_two(lambda: dropping.labels_at_once(part))
    except (RuntimeError, ValueError):  # torch.vmap does not know a function
        return 1
    faster = several < CLEARLY * single and torch.equal(one_by_one, at_once)
    return together if faster and _same_scores(dropping, part) else 1


def _same_scores(dropping: Dropping, groups: list[int]) -> bool:
    at_once = dropping.labels_at_once(groups, scores=True)
    return all(torch.equal(at_once[row], dropping.scores(group)) for row, group in enumerate(groups))


def reason_to_run_whole(network: Network) -> str:
    """Why the whole network was run for each ablation; empty if only what follows a layer was."""
    if network.replayed and len(network.slower_replayed) == len(network.layers):
        return "running it whole was measured to be faster"
    return network.reason


def largest_value_behind(network: Network, layer: Layer) -> float:
    """Bytes of the largest value, for each example, that a replay from the layer computes."""
    tape = network.probe
    plan = tape.replay_plan([slot_at(tape, layer)], tape.results[1])
    outputs = [tape.values[slot] for operation in plan.operations for slot in operation.outputs]
    sizes = [value.numel() * value.element_size() for value in [tape.values[slot_at(tape, layer)], *outputs]]
    return max(sizes) / network.probe_inputs.examples


def best_of_two(work: Callable[[], Result]) -> tuple[float, Result]:
    """The shorter of two times, in seconds, that some work takes, and its result."""
    seconds = []
    for _ in range(2):
        _wait()
        started = time.perf_counter()
        result = work()
        _wait()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result  # type: ignore[possibly-undefined]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
