"""Padding: the positions of sequences that hold no data, as the model's argument `attention_mask` says."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from widthwise.tracing.inputs import Inputs

MASKS = ("decoder_attention_mask", "attention_mask")
"""Arguments that are 1 at the positions of data and 0 at padding; outputs of a decoder have its own."""


def kept_labels(inputs: Inputs, shape: Sequence[int]) -> Int[Tensor, " kept"] | None:
    """Indices of the labels at positions of data, among all in one dimension; None: no mask says where they are.

    Args:
        inputs: the batch.
        shape: the shape of the labels. A mask of another shape says nothing about them.
    """
    for mask in _masks(inputs):
        if tuple(mask.shape) == tuple(shape):
            return mask.flatten().nonzero().flatten()
    return None


def kept_positions(
    inputs: Inputs, shape: Sequence[int], example_dimension: int, unit_dimension: int
) -> Bool[Tensor, "examples positions"] | None:
    """Which activity of a layer is at positions of data, in the order of `layer_activity`; None: all of it.

    Args:
        inputs: the batch.
        shape: the shape of the layer's value.
        example_dimension, unit_dimension: the dimensions of its examples and of its units. Positions lie along the
            first other dimension as long as the mask, or in one dimension with the examples.
    """
    between = [size for at, size in enumerate(shape) if at not in (example_dimension, unit_dimension)]
    for mask in _masks(inputs):
        examples, length = mask.shape
        if shape[example_dimension] == examples * length and not between:
            return mask
        if shape[example_dimension] == examples and length in between:
            at = between.index(length)
            spread = mask.view(examples, *(length if index == at else 1 for index in range(len(between))))
            return spread.expand(examples, *between).reshape(examples, -1)
    return None


def _masks(inputs: Inputs) -> list[Bool[Tensor, "examples length"]]:
    """The masks of the batch, in the order of `MASKS`."""
    found = []
    for name in MASKS:
        mask = inputs.kwargs.get(name)
        if not isinstance(mask, Tensor) or mask.dim() != 2 or mask.shape[0] != inputs.examples or mask.is_complex():
            continue
        data = mask != 0
        if torch.equal(data.to(mask.dtype), mask):  # else it holds biases to be added
            found.append(data)
    return found
