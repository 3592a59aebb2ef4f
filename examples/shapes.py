"""Images of shapes, as data of one's own for `widthwise`: which shape is it?"""

import torch
from torch import Tensor

SHAPES = ("disc", "square", "ring", "cross", "stripes")


def load(seed: int, examples: int = 3000, size: int = 20) -> tuple[Tensor, Tensor]:
    """Grey images `examples 1 size size`, and which of the five shapes each shows.

    A shape has a position, a radius and a brightness of its own, and there is noise over all of the image.
    """
    stream = torch.Generator().manual_seed(seed)

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(examples, 1, 1, generator=stream)

    labels = torch.randint(len(SHAPES), (examples,), generator=stream)
    radius = between(0.2, 0.35) * size
    across, down = (torch.arange(size).view(shape) for shape in ((1, 1, size), (1, size, 1)))
    left = (across - between(0.4, 0.6) * size).abs()
    top = (down - between(0.4, 0.6) * size).abs()
    distance = (left**2 + top**2).sqrt()
    inside = (left < radius) & (top < radius)
    drawn = torch.stack(
        [
            distance < radius,
            inside,
            (distance < radius) & (distance > 0.6 * radius),
            inside & ((left < 0.3 * radius) | (top < 0.3 * radius)),
            inside & ((across + down) % 4 < 2),
        ]
    )
    chosen = drawn[labels, torch.arange(examples)]
    noise = torch.randn(examples, size, size, generator=stream)
    return (chosen * between(1, 2) + 0.3 * noise)[:, None], labels
