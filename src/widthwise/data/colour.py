"""Random brightness and contrast of images, as by TensorFlow's `random_brightness` and then `random_contrast`."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from widthwise.randomness import generator

BRIGHTNESS = 63
"""The largest change of a pixel's brightness, of 255."""
CONTRAST = (0.2, 1.8)
"""The range of the factor of the contrast."""


def drawn_colours(seed: int, epoch: int, examples: int) -> Float[Tensor, "2 examples"]:
    """For each example what is added to its pixels, and the factor of its contrast; by `seed` and `epoch` alone."""
    draws = torch.rand(2, examples, generator=generator(seed, "colour", epoch))
    low, high = CONTRAST
    return torch.stack([BRIGHTNESS * (2 * draws[0] - 1), low + (high - low) * draws[1]])


def recoloured(
    images: UInt8[Tensor, "batch height width 3"], colours: Float[Tensor, "2 batch"]
) -> Float[Tensor, "batch height width 3"]:
    """Images with another brightness and contrast; values beyond 0 and 255 stay as they are.

    Brightness is added to all values. Contrast multiplies each value's distance from the mean of its channel over the
    image. A standardization of each image by itself removes what was added, but not the contrast: channels keep the
    distances between their means while the values within each of them spread more or less.

    Args:
        images: as bytes.
        colours: for each image what is added, and the factor.
    """
    added, factor = colours.view(2, -1, 1, 1, 1)
    values = images.float().add_(added)
    mean = values.mean((1, 2), keepdim=True)
    return values.sub_(mean).mul_(factor).add_(mean)
