"""`compress` and `frontier`: smaller networks that answer alike, from a few hundred inputs, without labels."""

from collections.abc import Iterable
from typing import SupportsIndex

import pandas as pd
from torch import Tensor, nn

from widthwise.compression import tables, true_labels
from widthwise.compression.budgets import Budget, check_share
from widthwise.compression.comparison import collapsed, compared, label_count
from widthwise.compression.compressed import Compressed
from widthwise.compression.cutting import rearrangements
from widthwise.compression.example import Example
from widthwise.compression.preparation import BATCH, Options, prepared_for
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, unseen
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched

KEEPS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
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
    budget = Budget.of(keep=keep, labels=labels, parameters=parameters, flops=flops, same_width=same_width)
    if check_labels is not None and check is None:
        raise RequestError("are the labels of the examples in check; give these, too", field="check_labels")
    truth = None if check_labels is None else true_labels.read(check_labels)
    options = Options(layers, check, predict, stream, round_to, batch_size, seed, choosing=budget.name == "labels")
    with prepared_for(model, batches, options) as prepared:
        if truth is not None:
            true_labels.check_count(truth, label_count(model, prepared.held_back, predict))
        found, result = budget.network(prepared, on_progress)
        with untouched(result):
            comparison, classes = compared(model, result, prepared.held_back, predict, truth)
        example = Example.of(prepared.held_back[0], predict)
    layers_left = tables.layer_table(prepared.groups, found)
    if collapsed(comparison):
        share = layers_left["kept"].sum() / layers_left["units"].sum()
        before, after = (comparison[f"most_frequent_label_share_{when}"] for when in ("before", "after"))
        raise RequestError(
            f"with {share:.1%} of the units that could go the network gives one label to {after:.1%} of the examples, "
            f"where the whole one gives none to more than {before:.1%}; keep more, or fit it on other examples",
            field=budget.name,
        )
    for path, module in model.named_modules():
        result.get_submodule(path).training = module.training
    return Compressed(
        result,
        layers_left,
        tables.unit_table(prepared.groups, found),
        tables.left_table(prepared.left),
        comparison,
        classes,
        prepared.cutting.attributes(prepared.groups, found.kept),
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
        check_share("keeps", keep)
    rows: list[dict[str, object]] = []
    whole: dict[str, object] = {"keep": 1.0, "labels_kept": 1.0, "collapsed": False}
    options = Options(layers, check, predict, stream, round_to, batch_size, seed)
    with prepared_for(model, batches, options) as prepared:
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
