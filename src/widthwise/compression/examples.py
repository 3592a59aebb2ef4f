"""Some of a model's examples to fit on, and others to compare on, from all of its batches evenly."""

from collections.abc import Iterable, Sequence

from torch import nn

from widthwise.compression.preparation import BATCH, FEWEST_EXAMPLES, HELD_BACK
from widthwise.errors import RequestError
from widthwise.tracing.batches import Batches
from widthwise.tracing.failures import in_one_sentence
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched


def parted(
    model: nn.Module,
    batches: Iterable[object],
    predict: Predict | None = None,
    most_to_fit: int | None = None,
    most_to_compare: int | None = None,
) -> tuple[list[Inputs], list[Inputs]]:
    """Examples to fit on and, as a rule a fifth of all, to compare on: some of each batch, as they may be in an order.

    Of batches that cannot be cut the last one is compared on.

    Args:
        model: the network, which says where the examples of a batch are.
        batches: as for `compress`.
        predict: as for `compress`.
        most_to_fit: the most examples to fit on; None: all that are not compared on.
        most_to_compare: the most examples to compare on, of those that are left; None: a fifth of all.

    Raises:
        RequestError: there are too few examples, or they do not fit the model.
        TrialError: there is not enough memory.
    """
    with in_one_sentence(model), untouched(model):
        source = Batches(batches)
        source.arrange(Network(model, source.first, predict=predict, replay=False).arrangement)
        examples = source.examples
        compare = round(HELD_BACK * examples)
        fit = min(examples - compare, most_to_fit or examples)
        compare = min(examples - fit, most_to_compare or compare)
        to_fit, to_compare, whole = _taken(source.of_size(BATCH), fit / examples, compare / examples)
    if len(whole) > 1:
        return whole[:-1], whole[-1:]
    if whole or examples < FEWEST_EXAMPLES:
        raise RequestError(f"there are {examples} examples, too few to compare on some of them", field="batches")
    return to_fit, to_compare


def as_batches(inputs: Sequence[Inputs]) -> list[object]:
    """Batches as a user gives them."""
    return [(each.given,) for each in inputs]


def _taken(batches: Iterable[Inputs], fit: float, compare: float) -> tuple[list[Inputs], list[Inputs], list[Inputs]]:
    """The first examples of each batch to fit on, those after them to compare on, and the batches that cannot be cut.

    Args:
        batches: batches, of which no more than is taken is held.
        fit: the share to fit on.
        compare: the share to compare on.
    """
    to_fit: list[Inputs] = []
    to_compare: list[Inputs] = []
    whole: list[Inputs] = []
    seen = fitted = compared = 0
    for batch in batches:
        if not batch.divisible:
            whole.append(batch)
            continue
        seen += batch.examples
        here = round(fit * seen) - fitted
        there = min(round(compare * seen) - compared, batch.examples - here)
        fitted, compared = fitted + here, compared + there
        to_fit += [batch.part(0, here).copied()] if here else []
        to_compare += [batch.part(here, here + there).copied()] if there else []
    return to_fit, to_compare, whole
