"""A network and its smaller one, beside each other, on inputs that were not used to make it."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from widthwise.tracing.inputs import Inputs
from widthwise.tracing.model_runs import ModelRuns
from widthwise.tracing.predicted_labels import NO_LABEL, Predict

TIMED_RUNS = 7
"""Runs of each network for its latency, in turn; their median counts, after one that does not."""
CLOSE = 1e-3
"""The most by which scores that should be the same may differ, as a share of the largest."""
STEPS = 16
"""For types with fewer digits, the same in distances between neighbouring numbers."""
Z = 1.959964
"""The standard normal quantile of a two-sided interval of 95%."""
COLLAPSED = 0.99
"""A network that gives one label to a larger share of the examples has collapsed, as in a profile."""
VARIED = 0.9
"""It lost its labels by that if the intact network gives no label to more than this share."""


class Comparison(NamedTuple):
    """Two networks beside each other.

    summary: labels kept with an interval, sizes, arithmetic, time and differences of the outputs, by name.
    classes: how often each label is given and kept.
    """

    summary: pd.Series
    classes: pd.DataFrame


def compared(
    model: nn.Module,
    smaller: nn.Module,
    inputs: Sequence[Inputs],
    predict: Predict | None,
    truth: Int[Tensor, " labels"] | None = None,
) -> Comparison:
    """Both networks on some inputs.

    Args:
        model: the intact network.
        smaller: the smaller one.
        inputs: the inputs.
        predict: what finds the labels in their output.
        truth: the true labels; None: they are not known.
    """
    whole, part = ModelRuns(model, predict), ModelRuns(smaller, predict)
    largest, total, values = 0.0, 0.0, 0
    labels: list[Tensor] = []
    for (scores, before), (others, after) in _answers(whole, part, inputs):
        labels.append(torch.stack([before.flatten(), after.flatten()]).cpu())
        if scores.is_floating_point():
            difference = (scores.double() - others.double()).abs()
            difference = torch.where(scores == others, 0.0, difference).nan_to_num(math.inf)
            largest = max(largest, float(difference.max()))
            total, values = total + float(difference.sum()), values + difference.numel()
    intact, left = torch.cat(labels, 1)
    same, count = int(((intact == left) & (intact != NO_LABEL)).sum()), len(intact)
    low, high = wilson(same, count)
    first = inputs[0].part(0, 1) if inputs[0].divisible else inputs[0]
    alone = _latencies(whole, part, first)
    together = _latencies(whole, part, inputs[0])
    summary = pd.Series(
        {
            "labels": count,
            "labels_kept": same / count,
            "labels_kept_low": low,
            "labels_kept_high": high,
            "most_frequent_label_share_before": _most_frequent(intact),
            "most_frequent_label_share_after": _most_frequent(left),
            "accuracy_before": math.nan if truth is None else float((intact == truth).double().mean()),
            "accuracy_after": math.nan if truth is None else float((left == truth).double().mean()),
            "largest_difference": largest,
            "mean_difference": total / values if values else math.nan,
            "parameters_before": parameter_count(model),
            "parameters_after": parameter_count(smaller),
            "flops_before": operations(whole, first),
            "flops_after": operations(part, first),
            "bytes_before": _bytes(model),
            "bytes_after": _bytes(smaller),
            "seconds_one_before": alone[0],
            "seconds_one_after": alone[1],
            "seconds_batch_before": together[0],
            "seconds_batch_after": together[1],
            "batch": inputs[0].examples,
        },
        dtype=object,
    )
    return Comparison(summary, by_label(intact, left))


def by_label(before: Int[Tensor, " labels"], after: Int[Tensor, " labels"]) -> pd.DataFrame:
    """How often each label is given by the intact network and by the smaller one, and the share that stays.

    Args:
        before, after: the labels of the same examples by the two networks.

    Returns: `label, before, after, labels_kept, labels_kept_low, labels_kept_high`; the last three are missing for a
        label that the intact network never gives.
    """
    values, numbers = torch.stack([before, after]).unique(return_inverse=True)
    of_before, of_after = (numbers[row].bincount(minlength=len(values)) for row in (0, 1))
    stayed = numbers[0][before == after].bincount(minlength=len(values))
    rows = []
    for label, count, left, same in zip(
        *(each.tolist() for each in (values, of_before, of_after, stayed)), strict=True
    ):
        if label != NO_LABEL:
            share = (same / count, *wilson(same, count)) if count else (math.nan,) * 3
            rows.append((label, count, left, *share))
    return pd.DataFrame(
        rows, columns=["label", "before", "after", "labels_kept", "labels_kept_low", "labels_kept_high"]
    )


def collapsed(summary: pd.Series) -> bool:
    """Whether the smaller network gives one label to nearly all of the examples, and the intact network does not.

    The shares must differ by more than chance: their 95% intervals do not overlap.
    """
    count, before, after = (
        summary[name] for name in ("labels", "most_frequent_label_share_before", "most_frequent_label_share_after")
    )
    apart = wilson(round(after * count), count)[0] > wilson(round(before * count), count)[1]
    return bool(after > COLLAPSED and before <= VARIED and apart)


def label_count(model: nn.Module, inputs: Sequence[Inputs], predict: Predict | None) -> int:
    """The number of labels that are compared."""
    runs = ModelRuns(model, predict)
    return sum(labels.numel() for _, labels in _run(runs, inputs))


def labels_kept(model: nn.Module, smaller: nn.Module, inputs: Sequence[Inputs], predict: Predict | None) -> float:
    """The share of labels that are the same."""
    same = count = 0
    for (_, before), (_, after) in _answers(ModelRuns(model, predict), ModelRuns(smaller, predict), inputs):
        same += int(((before == after) & (before != NO_LABEL)).sum())
        count += before.numel()
    return same / count


def _answers(
    whole: ModelRuns, part: ModelRuns, inputs: Sequence[Inputs]
) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    """The scores and labels of both networks, batch by batch."""
    return zip(_run(whole, inputs), _run(part, inputs), strict=True)


def _run(runs: ModelRuns, inputs: Sequence[Inputs]) -> Iterator[Sequence[Tensor]]:
    """The scores and labels of a network, batch by batch."""
    for number, batch in enumerate(inputs):
        if not number:
            runs.record_first(batch)
        yield runs.with_changes(batch, {}, "")


def _most_frequent(labels: Int[Tensor, " labels"]) -> float:
    """The share of the label that is given most often."""
    return float(labels.unique(return_counts=True)[1].max()) / len(labels)


def close(one: Tensor, other: Tensor, share: float = CLOSE) -> bool:
    """Whether scores differ by no more than a share of the largest of the others."""
    if one.shape != other.shape:
        return False
    if other.is_floating_point():
        share = max(share, STEPS * torch.finfo(other.dtype).eps)
    one, other = one.double(), other.double()
    most = float(other[other.isfinite()].abs().max()) if other.isfinite().any() else 0.0
    same = (one == other) | (one.isnan() & other.isnan())
    return bool((same | ((one - other).abs() <= share * most)).all())


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    share, square = hits / count, Z * Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z * math.sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return (max(middle - half, 0.0) if hits else 0.0), (min(middle + half, 1.0) if hits < count else 1.0)


def parameter_count(model: nn.Module) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _bytes(model: nn.Module) -> int:
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def operations(runs: ModelRuns, inputs: Inputs) -> int:
    """Floating-point operations of products, two for each multiplication, for the inputs."""
    with torch.no_grad(), without_gradients(runs.model), FlopCounterMode(display=False) as counter:
        runs.with_changes(inputs, {}, "")
    return counter.get_total_flops()


@contextmanager
def without_gradients(model: nn.Module) -> Iterator[None]:
    """Parameters need no gradient meanwhile: the counter's hooks fail at views of those that do."""
    parameters = [each for each in model.parameters() if each.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _latencies(one: ModelRuns, other: ModelRuns, inputs: Inputs) -> tuple[float, float]:
    """Seconds of a run of each network, in turn."""
    given = [runs.prepared(inputs) for runs in (one, other)]
    calls: list[Callable[[], object]] = [
        lambda: given[0].call(one.model),
        lambda: given[1].call(other.model),
    ]
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(TIMED_RUNS + 1):
        for call, seconds in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            if one.device.type == "cuda":
                torch.cuda.synchronize(one.device)
            if number:
                seconds.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])
