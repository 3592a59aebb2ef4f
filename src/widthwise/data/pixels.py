"""Batches of images as tensors of bytes: crop, flip, standardize and resize, with no loop over images.

Images are stored with the channels of a pixel side by side, so that a row of an image is one run of bytes.
"""

import torch
from jaxtyping import Bool, Float, Int, Num, UInt8
from torch import Tensor, nn

PADDING = 4


def bordered(images: UInt8[Tensor, "examples height width 3"]) -> UInt8[Tensor, "examples taller wider 3"]:
    """Images with a border of four black pixels."""
    examples, height, width, channels = images.shape
    wider = torch.zeros(
        examples, height + 2 * PADDING, width + 2 * PADDING, channels, dtype=torch.uint8, device=images.device
    )
    wider[:, PADDING:-PADDING, PADDING:-PADDING] = images
    return wider


def crop_and_flip(
    images: UInt8[Tensor, "examples taller wider 3"],
    chosen: Int[Tensor, " batch"],
    top: Int[Tensor, " batch"],
    left: Int[Tensor, " batch"],
    flipped: Bool[Tensor, " batch"],
    border: int = 2 * PADDING,
) -> UInt8[Tensor, "batch height width 3"]:
    """For each chosen image the part that begins at row `top` and column `left`, mirrored if `flipped`.

    Args:
        images: all images, each with its border.
        chosen: the indices of the chosen images.
        top, left: from 0 to `border`, both included; half of it is the middle.
        flipped: whether left and right are exchanged.
        border: the number of rows, and of columns, that are left out.
    """
    _, tall, wide, channels = images.shape
    height, width = tall - border, wide - border
    row_bytes = width * channels
    every_window = images.view(-1).as_strided((images.numel() - row_bytes + 1, row_bytes), (1, 1))
    rows = top[:, None] + torch.arange(height, device=images.device)
    starts = ((chosen[:, None] * tall + rows) * wide + left[:, None]) * channels
    cropped = every_window.index_select(0, starts.view(-1)).view(-1, height, width, channels)
    mirrored = flipped.nonzero().view(-1)
    return cropped.index_copy_(0, mirrored, cropped.index_select(0, mirrored).flip(2))


def middle(images: UInt8[Tensor, "batch tall wide 3"], border: int) -> UInt8[Tensor, "batch height width 3"]:
    """The middle of images, without `border` rows and as many columns; of an odd number one more is left out at the
    bottom and on the right."""
    first, (tall, wide) = border // 2, images.shape[1:3]
    return images[:, first : first + tall - border, first : first + wide - border].contiguous()


def resized(images: Float[Tensor, "batch 3 crop crop"], size: int) -> Float[Tensor, "batch 3 size size"]:
    """Images at `size` × `size` pixels, interpolated bilinearly between the centres of pixels."""
    return nn.functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)


def standardized(images: Num[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 height width"]:
    """Each image by itself with mean 0 and standard deviation 1 over all of its values (Section 3, "Datasets").

    The standard deviation is at least one over the root of the number of values, as in TensorFlow's per-image
    standardization, so that an image of one colour becomes zeros.

    Args:
        images: values from 0 to 255, as bytes or as numbers, which are then overwritten.
    """
    count = images[0].numel() if len(images) else 1
    values = images.float().view(len(images), count)
    mean = values.mean(1, keepdim=True)
    values.sub_(mean)
    deviation = torch.linalg.vector_norm(values, dim=1, keepdim=True).mul_(count**-0.5)
    return values.mul_(deviation.clamp_(min=count**-0.5).reciprocal_()).view(images.shape).permute(0, 3, 1, 2)
