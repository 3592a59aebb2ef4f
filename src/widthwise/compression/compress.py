"""`compress` and `frontier`: smaller networks that answer alike, from a few hundred inputs, without labels."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import SupportsIndex

import pandas as pd
from torch import Tensor, nn

from widthwise.compression import true_labels
from widthwise.compression.comparison import collapsed, compared, label_count, labels_kept
from widthwise.compression.compressed import Compressed
from widthwise.compression.example import Example
from widthwise.compression.groups import Group, Left
from widthwise.compression.preparation import BATCH, Counts, Options, Preparation, Size, rearrangements
from widthwise.compression.reasons import REASONS
from widthwise.compression.refitting import Refitted
from widthwise.compression.shares import OwnShares, same_share
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
Budgeted = Callable[[float, int], Counts]
OF_BOTH = ("most_frequent_label_share", "parameters", "flops", "bytes", "seconds_one", "seconds_batch")
"""What a frontier says of each network."""
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
    check_labels: Iterable[SupportsIndex] | Tensor | None = None,
    predict: Predict | None = None,
    stream: bool = False,
    round_to: int = 1,
    same_width: bool = False,
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
        labels: in place of `keep`, the share of labels that stay: the network with the fewest parameters is sought that
            keeps as many of a further fifth of the examples in `batches`.
        parameters: in place of `keep`, the share of parameters that the smaller network may have.
        flops: in place of `keep`, the share of the floating-point operations of products that it may take. By this and
            the two before, more units stay in those layers without which the outputs would change more.
        layers: the layers to make smaller, by name or by a pattern with `*`. None: all that can be.
        check: inputs on which both networks are compared. None: a fifth of the examples in `batches` is held back.
        check_labels: the true labels of the examples in `check`, in their order, to compare the accuracy of both
            networks.
        predict: as for `profile`.
        stream: let units go, too, that are added to those of other layers, the same in all of them, as in the residual
            stream of a stage of a ResNet.
        round_to: keep a multiple of this many units of each layer that has as many, since 13 can be slower than 16.
        same_width: let the same share stay in each layer whatever is asked for, as some programs need.
        batch_size: the number of examples to run at a time.
        seed: the seed of the draws of rows over which the moments are means.
        on_progress: called after each layer.

    Returns: the smaller network, and tables that say what went, what stayed and why, and how alike they are.

    Raises:
        RequestError: the model, its inputs or an argument cannot be used, nothing can go, or the smaller network gives
            one label to nearly all of the examples, which the model does not.
        TrialError: there is not enough memory.
    """
    budgets = {"keep": keep, "labels": labels, "parameters": parameters, "flops": flops}
    given = {name: share for name, share in budgets.items() if share is not None}
    if len(given) > 1:
        raise RequestError(f"give one of {listed(list(given), 'or')}, not several", field=list(given)[-1])
    for name, budget in given.items():
        _check_share(name, budget)
    if check_labels is not None and check is None:
        raise RequestError("are the labels of the examples in check; give these, too", field="check_labels")
    truth = None if check_labels is None else true_labels.read(check_labels)
    options = Options(layers, check, predict, stream, round_to, batch_size, seed, choosing=labels is not None)
    with _prepared(model, batches, options) as prepared:
        if truth is not None:
            true_labels.check_count(truth, label_count(model, prepared.held_back, predict))
        if labels is not None:
            found, result = _smallest(prepared, labels, same_width, on_progress)
        elif parameters is not None:
            found, result = _within(prepared, parameters, "parameters", same_width, on_progress)
        elif flops is not None:
            found, result = _within(prepared, flops, "flops", same_width, on_progress)
        else:
            found, result = prepared.at(prepared.uniform(keep or HALF), on_progress)
        with untouched(result):
            comparison, classes = compared(model, result, prepared.held_back, predict, truth)
        example = Example.of(prepared.held_back[0], predict)
    layer_table = _layer_table(prepared.groups, found)
    if collapsed(comparison):
        share = layer_table["kept"].sum() / layer_table["units"].sum()
        before, after = (comparison[f"most_frequent_label_share_{when}"] for when in ("before", "after"))
        raise RequestError(
            f"with {share:.1%} of the units that could go the network gives one label to {after:.1%} of the examples, "
            f"where the whole one gives none to more than {before:.1%}; keep more, or fit it on other examples",
            field=next(iter(given), "keep"),
        )
    for path, module in model.named_modules():
        result.get_submodule(path).training = module.training
    return Compressed(
        result,
        layer_table,
        _unit_table(prepared.groups, found),
        _left_table(prepared.left),
        comparison,
        classes,
        prepared.attributes(prepared.groups, found.kept),
        rearrangements(prepared.groups, found.kept),
        example,
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
        labels_kept_low, labels_kept_high, collapsed, most_frequent_label_share, parameters, flops, bytes, seconds_one,
        seconds_batch, seconds_one_share, seconds_batch_share`, as in `Compressed.comparison`; `collapsed` says whether
        the network gives one label to nearly all of the examples, which `compress` refuses; the last two are shares of
        the time that the network as it is took in turn with the smaller one, on a machine as busy.

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
    whole: dict[str, object] = {"keep": 1.0, "labels_kept": 1.0, "collapsed": False}
    options = Options(layers, check, predict, stream, round_to, batch_size, seed)
    with _prepared(model, batches, options) as prepared:
        for keep in sorted(keeps):
            _, result = prepared.at(prepared.uniform(keep), on_progress)
            with untouched(result):
                known = compared(model, result, prepared.held_back, predict).summary
            kept = known[["labels_kept", "labels_kept_low", "labels_kept_high"]]
            sizes = {name: known[f"{name}_after"] for name in OF_BOTH}
            shares = {f"{name}_share": known[f"{name}_after"] / known[f"{name}_before"] for name in TIMES}
            rows.append({"keep": keep, **kept, "collapsed": collapsed(known), **sizes, **shares})
            whole |= {name: known[f"{name}_before"] for name in OF_BOTH} | {f"{name}_share": 1.0 for name in TIMES}
    return pd.DataFrame([*rows, whole]).infer_objects()


@contextmanager
def _prepared(model: nn.Module, batches: Iterable[object], options: Options) -> Iterator[Preparation]:
    """The network's groups and the runs of its batches, while it is in evaluation mode."""
    for name in ("batch_size", "round_to"):
        if getattr(options, name) < 1:
            raise RequestError(f"must be at least 1, got {getattr(options, name)}", field=name)
    if not isinstance(model, nn.Module):
        raise RequestError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
    check_model(model)
    with in_one_sentence(model), untouched(model):
        yield Preparation(model, batches, options)


def _check_share(name: str, share: float | None) -> None:
    if share is not None and (not isinstance(share, (int, float)) or not 0 < share <= 1):
        raise RequestError(f"must be above 0 and at most 1, got {share}", field=name)


def _budgeted(prepared: Preparation, size: Size, same_width: bool, on_progress: OnProgress) -> Budgeted:
    """The function that gives, for a share of a size and what comes to it besides, the units that stay."""
    if same_width:
        return lambda budget, extra: same_share(prepared, budget, size, extra)
    return OwnShares(prepared, prepared.curves(on_progress), size).within


def _within(
    prepared: Preparation, budget: float, size: Size, same_width: bool, on_progress: OnProgress
) -> tuple[Refitted, nn.Module]:
    """The network with as many units as a budget allows."""
    budgeted = _budgeted(prepared, size, same_width, on_progress)
    extra, most = 0, budget * prepared.size(prepared.uniform(1.0), size)
    while True:
        counts = budgeted(budget, extra)
        foreseen = prepared.size(counts, size)
        found, result = prepared.at(counts, on_progress)
        used = prepared.size_of(result, size)
        if used <= most:
            return found, result
        extra = max(used - foreseen, extra + 1)  # biases where there were none, or a layer that has to stay


def _smallest(
    prepared: Preparation, labels: float, same_width: bool, on_progress: OnProgress
) -> tuple[Refitted, nn.Module]:
    """The smallest network that keeps a share of labels, by bisection over the share of parameters."""
    budgeted = _budgeted(prepared, "parameters", same_width, on_progress)
    whole = prepared.size(prepared.uniform(1.0), "parameters")
    low, high = prepared.size(prepared.uniform(0.0), "parameters") / whole, 1.0
    best = prepared.at(prepared.uniform(1.0), on_progress)
    for _ in range(STEPS):
        middle = (low + high) / 2
        tried = prepared.at(budgeted(middle, 0), on_progress)
        with untouched(tried[1]):
            enough = labels_kept(prepared.model, tried[1], prepared.chosen_by, prepared.predict) >= labels
        low, high, best = (low, middle, tried) if enough else (middle, high, best)
    return best


def _layer_table(groups: Sequence[Group], found: Refitted) -> pd.DataFrame:
    rows = []
    for group in groups:
        why = [each.reason for each in found.reasons[group.name].values()]
        rows.append(
            (
                *(group.name, group.units, len(found.kept[group.name]), found.fits[group.name]),
                *(group.readers, ", ".join(group.names[1:]), *found.sizes[group.name]),
                *(why.count(reason) for reason in REASONS),
            )
        )
    columns = ["layer", "units", "kept", "error", "reader", "coupled", "rows", "features", *REASONS]
    return pd.DataFrame(rows, columns=columns)


def _unit_table(groups: Sequence[Group], found: Refitted) -> pd.DataFrame:
    rows = []
    for group in groups:
        kept = set(found.kept[group.name])
        tried = zip(found.orders[group.name], found.errors[group.name], strict=True)
        places = {unit: (place, error) for place, (unit, error) in enumerate(tried) if unit not in kept}
        why = found.reasons[group.name]
        rows += [
            (group.name, unit, unit in kept, *places.get(unit, (pd.NA, math.nan)), *why.get(unit, (pd.NA, pd.NA)))
            for unit in range(group.units)
        ]
    table = pd.DataFrame(rows, columns=["layer", "unit", "kept", "position", "error", "reason", "repeats"])
    return table.astype({"position": "Int64", "reason": "string", "repeats": "Int64"})


def _left_table(left: Sequence[Left]) -> pd.DataFrame:
    return pd.DataFrame([(each.name, each.units, each.reason) for each in left], columns=["layer", "units", "reason"])
