"""The smallest network that gives most of the same labels: how small it is, as a number to compare networks by."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from widthwise.compression.budgets import Budget
from widthwise.compression.comparison import labels_kept, parameter_count
from widthwise.compression.examples import as_batches, parted
from widthwise.compression.preparation import BATCH, Options, prepared_for
from widthwise.progress import unseen
from widthwise.tracing.failures import check_model
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched

LABELS = 0.95
FITTED_ON, CHOSEN_BY = 400, 600
"""At most this many examples, to fit on and to choose a size by."""


@dataclass(frozen=True)
class Smallest:
    """The smallest network that was found.

    parameters: the number of its parameters.
    labels_kept: the share of labels that are the same, on examples that it was neither fitted on nor chosen by.
    """

    parameters: int
    labels_kept: float


def smallest(
    model: nn.Module,
    batches: Iterable[object],
    check: Iterable[object],
    *,
    labels: float = LABELS,
    predict: Predict | None = None,
    seed: int = 0,
) -> Smallest:
    """The size of the smallest network that keeps a share of a model's labels.

    It is sought as by `compress` with `labels=`, so that sizes of narrow and of wide networks can be compared.

    Args:
        model: the network, as for `compress`, which is left as it was.
        batches: inputs without labels, of which 400 are fitted on, and 600 choose the size.
        check: other inputs, on which the labels of both networks are compared in the end.
        labels: the share of labels that stay.
        predict: as for `compress`.
        seed: as for `compress`.

    Raises:
        RequestError: the model or its inputs cannot be used, or nothing can go.
        TrialError: there is not enough memory.
    """
    check_model(model)
    fit, choose = parted(model, batches, predict, FITTED_ON, CHOSEN_BY)
    options = Options(None, check, predict, stream=False, round_to=1, batch_size=BATCH, seed=seed)
    with prepared_for(model, as_batches(fit), options) as prepared:
        prepared.chosen_by = choose
        _, best = Budget("labels", labels, same_width=False).network(prepared, unseen)
        with untouched(best):
            return Smallest(parameter_count(best), labels_kept(model, best, prepared.held_back, predict))
