"""The labels that a model predicts, from its output."""

import inspect
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.tracing.inputs import Inputs

NO_LABEL = torch.iinfo(torch.long).min
"""In place of a label where scores are NaN or infinite: no label of an intact network equals it."""
Predict = Callable[..., Tensor]
"""A function from a model's output, of any type, to scores or labels; as a second argument it may take the inputs."""
SCORES = ("logits", "out")
"""The names of the scores in an output that is a dictionary or has attributes."""
MOVE_CLASSES = "in Python predict=lambda output: output.movedim(1, -1) where they are in dimension 1"


class NoLabelError(RequestError):
    """A model's output has no labels."""


def scores_of(output: object, predict: Predict | None, inputs: Inputs | None = None) -> Tensor:
    """The scores whose argmax over one of the axes is a label; or the labels themselves, which are integers.

    The scores are the output, its `.logits` or `.out`, or the first element of a tuple or list.

    Raises:
        NoLabelError: the output holds neither.
    """
    if predict is not None:
        given = (output, inputs.given) if inputs is not None and _takes_inputs(predict) else (output,)
        scores, giver = predict(*given), "predict returns"
    else:
        scores, giver = _found(output), "the model returns"
    if not isinstance(scores, Tensor):
        kind = type(scores).__name__
        if isinstance(scores, Mapping) and predict is None:
            kind = f"a dictionary with {', '.join(map(str, scores)) or 'nothing'} and no {' or '.join(SCORES)}"
        raise NoLabelError(
            f"{giver} {kind}, from which no label can be formed; a label is the argmax over the last axis of a tensor "
            "or of an output's .logits: give such a tensor, in Python by predict=, a function of the output"
        )
    if scores.is_complex():
        raise NoLabelError(
            f"{giver} complex numbers, from which no label can be formed; give their size, in Python by predict=abs"
        )
    single = scores.dim() < 2 or (scores.shape[-1] < 2 and (scores.dim() == 2 or predict is not None))
    if scores.is_floating_point() and single:
        remedy = "for a single output give two, in Python by predict=lambda output: output[:, 0] > 0"
        if predict is not None:
            remedy = "labels themselves must be whole numbers or truth values"
        raise NoLabelError(
            f"{giver} a tensor of shape {tuple(scores.shape)}, from which no label can be formed: a label is the "
            f"argmax over several outputs; {remedy}"
        )
    return scores


def check_classes(scores: Tensor, classes_along: int | None, inputs: Inputs) -> int:
    """The dimension of the classes in scores of three or more dimensions.

    Args:
        scores: what the model returns.
        classes_along: the dimension along which the units of the last layer lie; None: it is not known.
        inputs: the model's inputs.

    Raises:
        NoLabelError: the classes' dimension is not known, is of length 1, or the output is like an input.
    """
    shape = tuple(scores.shape)
    if any(tensor.is_floating_point() and tuple(tensor.shape) == shape for tensor in inputs.tensors):
        raise NoLabelError(
            f"the model returns a tensor of the shape of its input, {shape}, as an autoencoder does, which has no "
            f"labels; if it does hold scores, say of which dimension: {MOVE_CLASSES}"
        )
    if classes_along is None:
        raise NoLabelError(
            f"the model returns a tensor of shape {shape}, and it cannot be known in which dimension its classes are; "
            f"move them to the last one, {MOVE_CLASSES}"
        )
    if shape[classes_along] < 2:
        index = ", ".join("0" if at == classes_along else ":" for at in range(classes_along + 1))
        raise NoLabelError(
            f"the model returns a tensor of shape {shape}, with a single output for each position, from which no label "
            "can be formed: a label is the argmax over several outputs; for two classes give, in Python, "
            f"predict=lambda output: output[{index}] > 0"
        )
    return classes_along


def labels_of(scores: Tensor) -> Tensor:
    """The label of each row of scores, or `NO_LABEL` where the best score is not finite; labels stay what they are."""
    if not scores.is_floating_point():
        return scores.long()
    best, labels = scores.max(-1)  # NaN, if any score is
    return torch.where(best.isfinite(), labels, NO_LABEL)


def _found(output: object) -> object:
    """The scores in an output, as far as they are found."""
    if isinstance(output, Tensor):
        return output
    for name in SCORES:
        if isinstance(output, Mapping):
            if name in output:
                return _found(output[name])
        elif hasattr(output, name):
            return _found(getattr(output, name))
    if isinstance(output, (tuple, list)) and output:
        return _found(output[0])
    return output


def _takes_inputs(predict: Predict) -> bool:
    """Whether a function has a second argument that must be given, or one of the name `inputs`."""
    try:
        parameters = inspect.signature(predict).parameters.values()
    except (TypeError, ValueError):  # a function of a compiled module
        return False
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    second = positional[1:2]
    return any(each.default is each.empty or each.name == "inputs" for each in second)
