"""The labels that a model predicts, from its output."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from widthwise.errors import RequestError

NO_LABEL = torch.iinfo(torch.long).min
"""In place of a label where scores are NaN or infinite: no label of an intact network equals it."""
Predict = Callable[..., Tensor]
"""A function from a model's output, of any type, to scores or labels."""


class NoLabelError(RequestError):
    """A model's output has no labels."""


def scores_of(output: object, predict: Predict | None) -> Tensor:
    """The scores whose argmax over the last axis is a label; or the labels themselves, which are integers.

    Raises:
        NoLabelError: the output holds neither.
    """
    if predict is not None:
        scores, giver = predict(output), "predict returns"
    else:
        found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
        scores, giver = found, "the model returns"
    if not isinstance(scores, Tensor):
        kind = type(scores).__name__
        if isinstance(output, Mapping) and predict is None:
            kind = f"a dictionary with {', '.join(map(str, output)) or 'nothing'} and no logits"
        raise NoLabelError(
            f"{giver} {kind}, from which no label can be formed; a label is the argmax over the last axis of a tensor "
            "or of an output's .logits: give such a tensor, in Python by predict=, a function of the output"
        )
    if scores.is_floating_point() and (scores.dim() < 2 or scores.shape[-1] < 2):
        remedy = "for a single output give two, in Python by predict=lambda output: output[:, 0] > 0"
        if predict is not None:
            remedy = "labels themselves must be whole numbers or truth values"
        raise NoLabelError(
            f"{giver} a tensor of shape {tuple(scores.shape)}, from which no label can be formed: a label is the "
            f"argmax over several outputs; {remedy}"
        )
    return scores


def labels_of(scores: Tensor) -> Tensor:
    """The label of each row of scores, or `NO_LABEL` where the best score is not finite; labels stay what they are."""
    if not scores.is_floating_point():
        return scores.long()
    best, labels = scores.max(-1)  # NaN, if any score is
    return torch.where(best.isfinite(), labels, NO_LABEL)
