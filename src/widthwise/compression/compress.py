"""`compress` and `frontier`: smaller networks that answer alike, from a few hundred inputs, without labels."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from torch import nn

from widthwise.compression.comparison import compared, labels_kept
from widthwise.compression.compressed import Compressed
from widthwise.compression.groups import Group, Left
from widthwise.compression.preparation import BATCH, Preparation, Size
from widthwise.compression.refitting import Refitted
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, unseen
from widthwise.tracing.failures import check_model, in_one_sentence
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched
from widthwise.wording import listed

HALF = 0.5
KEEPS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
STEPS = 6
"""Halvings of the interval in which the smallest share of units that keeps enough labels lies."""
FINE_STEPS = 12
"""The same for the largest share of units within a budget, which takes no fit."""
SIZES = ("parameters", "flops", "bytes", "seconds_one", "seconds_batch")
TIMES = ("seconds_one", "seconds_batch")


def compress(
    model: nn.Module,
    batches: Iterable[object],
    *,
    keep: float | None = None,
    labels: float | None = None,
    parameters: float | None = None,
    flops: float | None = None,
    layers: str | Iterable[str] | None = None,
    check: Iterable[object] | None = None,
    predict: Predict | None = None,
    stream: bool = False,
    round_to: int = 1,
    batch_size: int = BATCH,
    seed: int = 0,
    on_progress: OnProgress = unseen,
) -> Compressed:
    """A smaller network that gives the same labels, as far as it can: no labels, gradients or training are needed.

    From each layer whose units one convolution or dense layer reads, the units go that this layer can do best without,
    and it gets new weights for those that stay. The model is left as it was.

    Args:
        model: any network that `profile` measures.
        batches: inputs as `profile` takes them; a few hundred examples will do.
        keep: the share of each layer's units that stay, above 0 and at most 1; by default a half.
        labels: in place of `keep`, the share of labels that stay: the smallest network is sought that keeps as many on
            the examples that it is compared on, with the same share of units in each layer.
        parameters: in place of `keep`, the share of parameters that the smaller network may have.
        flops: in place of `keep`, the share of the floating-point operations of products that it may take.
        layers: the layers to make smaller, by name or by a pattern with `*`. None: all that can be.
        check: inputs on which both networks are compared. None: a fifth of the examples in `batches` is held back.
        predict: as for `profile`.
        stream: let units go, too, that are added to those of other layers, the same in all of them, as in the residual
            stream of a stage of a ResNet.
        round_to: keep a multiple of this many units of each layer that has as many, since 13 can be slower than 16.
        batch_size: the number of examples to run at a time.
        seed: the seed of the draws of rows over which the moments are means.
        on_progress: called after each layer.

    Returns: the smaller network, and tables that say what went, what stayed and why, and how alike they are.

    Raises:
        RequestError: the model, its inputs or an argument cannot be used, or nothing can go.
        TrialError: there is not enough memory.
    """
    budgets = {"keep": keep, "labels": labels, "parameters": parameters, "flops": flops}
    given = {name: share for name, share in budgets.items() if share is not None}
    if len(given) > 1:
        raise RequestError(f"give one of {listed(list(given), 'or')}, not several", field=list(given)[-1])
    for name, budget in given.items():
        _check_share(name, budget)
    with _prepared(model, batches, layers, check, predict, stream, round_to, batch_size, seed) as prepared:
        if labels is not None:
            share = _smallest(prepared, labels, on_progress)
        elif parameters is not None:
            share = _largest(prepared, parameters, "parameters")
        elif flops is not None:
            share = _largest(prepared, flops, "flops")
        else:
            share = keep or HALF
        found, result = prepared.at(share, on_progress)
        sizes: dict[Size, float | None] = {"parameters": parameters, "flops": flops}
        for size, budget in sizes.items():
            while budget is not None and (used := prepared.size_of(result, size)) > budget * prepared.size(1.0, size):
                extra = used - prepared.size(share, size)  # biases where there were none
                share = _largest(prepared, budget, size, extra)
                found, result = prepared.at(share, on_progress)
        with untouched(result):
            comparison = compared(model, result, prepared.held_back, predict)
    for mine, theirs in zip(model.modules(), result.modules(), strict=True):
        theirs.training = mine.training
    return Compressed(
        result,
        share,
        _layer_table(prepared.groups, found),
        _unit_table(prepared.groups, found),
        _left_table(prepared.left),
        comparison,
    )


def frontier(
    model: nn.Module,
    batches: Iterable[object],
    *,
    keeps: Iterable[float] = KEEPS,
    layers: str | Iterable[str] | None = None,
    check: Iterable[object] | None = None,
    predict: Predict | None = None,
    stream: bool = False,
    round_to: int = 1,
    batch_size: int = BATCH,
    seed: int = 0,
    on_progress: OnProgress = unseen,
) -> pd.DataFrame:
    """What smaller networks keep and cost, one for each share of units.

    Args:
        model: the network, as for `compress`.
        batches: as for `compress`.
        keeps: the shares of each layer's units that stay.
        layers: as for `compress`.
        check: as for `compress`.
        predict: as for `compress`.
        stream: as for `compress`.
        round_to: as for `compress`.
        batch_size: as for `compress`.
        seed: as for `compress`.
        on_progress: called after each layer.

    Returns: a row for each share and, last, one for the network as it is, of share 1: `keep, labels_kept,
        labels_kept_low, labels_kept_high, most_frequent_label_share, parameters, flops, bytes, seconds_one,
        seconds_batch, seconds_one_share, seconds_batch_share`, as in `Compressed.comparison`; the last two are shares
        of the time that the network as it is took in turn with the smaller one, on a machine as busy.

    Raises:
        RequestError, TrialError: as `compress` does.
    """
    if isinstance(keeps, (int, float, str)):
        raise RequestError(f"must be several shares of units, such as 0.25 and 0.5, not {keeps!r}", field="keeps")
    keeps = list(keeps)
    if not keeps:
        raise RequestError("is empty; give shares of units, such as 0.25 and 0.5", field="keeps")
    for keep in keeps:
        _check_share("keeps", keep)
    rows: list[dict[str, object]] = []
    whole: dict[str, object] = {"keep": 1.0, "labels_kept": 1.0}
    with _prepared(model, batches, layers, check, predict, stream, round_to, batch_size, seed) as prepared:
        for keep in sorted(keeps):
            _, result = prepared.at(keep, on_progress)
            with untouched(result):
                known = compared(model, result, prepared.held_back, predict)
            names = ("labels_kept", "labels_kept_low", "labels_kept_high", "most_frequent_label_share")
            rows.append({"keep": keep, **known[list(names)], **{name: known[f"{name}_after"] for name in SIZES}})
            rows[-1] |= {f"{name}_share": known[f"{name}_after"] / known[f"{name}_before"] for name in TIMES}
            whole |= {name: known[f"{name}_before"] for name in SIZES} | {f"{name}_share": 1.0 for name in TIMES}
    return pd.DataFrame([*rows, whole]).infer_objects()


@contextmanager
def _prepared(
    model: nn.Module,
    batches: Iterable[object],
    layers: str | Iterable[str] | None,
    check: Iterable[object] | None,
    predict: Predict | None,
    stream: bool,
    round_to: int,
    batch_size: int,
    seed: int,
) -> Iterator[Preparation]:
    """The network's groups and the runs of its batches, while it is in evaluation mode."""
    if batch_size < 1:
        raise RequestError(f"must be at least 1, got {batch_size}", field="batch_size")
    if round_to < 1:
        raise RequestError(f"must be at least 1, got {round_to}", field="round_to")
    if not isinstance(model, nn.Module):
        raise RequestError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
    check_model(model)
    with in_one_sentence(model), untouched(model):
        yield Preparation(model, batches, layers, check, predict, stream, round_to, batch_size, seed)


def _check_share(name: str, share: float | None) -> None:
    if share is not None and (not isinstance(share, (int, float)) or not 0 < share <= 1):
        raise RequestError(f"must be above 0 and at most 1, got {share}", field=name)


def _largest(prepared: Preparation, budget: float, size: Size, extra: int = 0) -> float:
    """The largest share of units whose network has no more than a share of a size, by bisection.

    Args:
        extra: what comes to the size besides.

    Raises:
        RequestError: even one unit of each layer is too much.
    """
    whole = prepared.size(1.0, size)
    low, high = 0.0, 1.0
    if prepared.size(high, size) + extra <= budget * whole:
        return high
    for _ in range(FINE_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if prepared.size(middle, size) + extra <= budget * whole else (low, middle)
    if prepared.size(low, size) + extra > budget * whole:
        least = (prepared.size(low, size) + extra) / whole
        raise RequestError(
            f"with one unit in each layer that can be made smaller, {least:.1%} are left, more than {budget:.1%}",
            field=size,
        )
    return low


def _smallest(prepared: Preparation, labels: float, on_progress: OnProgress) -> float:
    """The smallest share of units that keeps a share of labels, by bisection."""
    low, best = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + best) / 2
        _, result = prepared.at(middle, on_progress)
        with untouched(result):
            enough = labels_kept(prepared.model, result, prepared.held_back, prepared.predict) >= labels
        low, best = (low, middle) if enough else (middle, best)
    return best


def _layer_table(groups: Sequence[Group], found: Refitted) -> pd.DataFrame:
    rows = [
        (
            *(group.name, group.units, len(found.kept[group.name]), found.fits[group.name]),
            *(group.readers, ", ".join(group.names[1:]), *found.sizes[group.name]),
        )
        for group in groups
    ]
    return pd.DataFrame(rows, columns=["layer", "units", "kept", "error", "reader", "coupled", "rows", "features"])


def _unit_table(groups: Sequence[Group], found: Refitted) -> pd.DataFrame:
    rows = []
    for group in groups:
        kept = set(found.kept[group.name])
        tried = zip(found.orders[group.name], found.errors[group.name], strict=True)
        places = {unit: (place, error) for place, (unit, error) in enumerate(tried) if unit not in kept}
        rows += [(group.name, unit, unit in kept, *places.get(unit, (pd.NA, math.nan))) for unit in range(group.units)]
    table = pd.DataFrame(rows, columns=["layer", "unit", "kept", "position", "error"])
    return table.astype({"position": "Int64"})


def _left_table(left: Sequence[Left]) -> pd.DataFrame:
    return pd.DataFrame([(each.name, each.units, each.reason) for each in left], columns=["layer", "units", "reason"])
