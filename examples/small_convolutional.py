"""A small convolutional network, as a network of one's own for `widthwise`."""

from torch import nn


def layer(inputs: int, units: int) -> nn.Sequential:
    """A convolution with batch normalization and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, units, 3, padding=1, bias=False), nn.BatchNorm2d(units), nn.ReLU())


def build(width_factor: float, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Three convolutions of 16, 32 and 32 units, all times `width_factor`, for images of any size and channels."""
    first, second, third = (max(1, round(units * width_factor)) for units in (16, 32, 32))
    return nn.Sequential(
        layer(shape[0], first),
        nn.MaxPool2d(2),
        layer(first, second),
        nn.MaxPool2d(2),
        layer(second, third),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(third, classes),
    )
