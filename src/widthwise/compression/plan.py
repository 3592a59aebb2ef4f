"""`compression_plan`: what `compress` would make smaller, and what it would leave, before anything is fitted."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from torch import nn

from widthwise.compression.budgets import Budget
from widthwise.compression.preparation import BATCH, Options, prepared_for
from widthwise.compression.tables import left_table
from widthwise.progress import OnProgress, unseen
from widthwise.tracing.predicted_labels import Predict


@dataclass(frozen=True)
class CompressionPlan:
    """What `compression_plan` returns.

    layers: a row for each layer whose units can go: `layer, units, kept, reader, coupled`, as in `Compressed.layers`.
    left: a row for each layer whose units all stay: `layer, units, reason`.
    sizes: `parameters` and floating-point operations (`flops`) of both networks, `_before` and `_after`, apart from
        biases that the fit makes where there is none.
    """

    layers: pd.DataFrame
    left: pd.DataFrame
    sizes: pd.Series


def compression_plan(
    model: nn.Module,
    batches: Iterable[object],
    *,
    keep: float | None = None,
    parameters: float | None = None,
    flops: float | None = None,
    layers: str | Iterable[str] | None = None,
    predict: Predict | None = None,
    stream: bool = False,
    round_to: int = 1,
    same_width: bool = False,
    batch_size: int = BATCH,
    seed: int = 0,
    on_progress: OnProgress = unseen,
) -> CompressionPlan:
    """How many units `compress` would leave of which layers, and why others stay whole. Nothing is fitted.

    Args:
        model: the network, as for `compress`.
        batches: as for `compress`.
        keep: as for `compress`.
        parameters: as for `compress`.
        flops: as for `compress`.
        layers: as for `compress`.
        predict: as for `compress`.
        stream: as for `compress`.
        round_to: as for `compress`.
        same_width: as for `compress`.
        batch_size: as for `compress`.
        seed: as for `compress`.
        on_progress: called after each pass over the batches.

    Raises:
        RequestError, TrialError: as `compress` does.
    """
    budget = Budget.of(keep=keep, labels=None, parameters=parameters, flops=flops, same_width=same_width)
    options = Options(layers, None, predict, stream, round_to, batch_size, seed)
    with prepared_for(model, batches, options) as prepared:
        counts = budget.counts(prepared, on_progress)
        whole = prepared.uniform(1.0)
        sizes = {
            f"{size}_{when}": prepared.size(some, size)
            for size in ("parameters", "flops")
            for when, some in (("before", whole), ("after", counts))
        }
    rows = [(group.name, group.units, counts[group.name], group.readers, group.coupled) for group in prepared.groups]
    table = pd.DataFrame(rows, columns=["layer", "units", "kept", "reader", "coupled"])
    return CompressionPlan(table, left_table(prepared.left), pd.Series(sizes, dtype=object))
