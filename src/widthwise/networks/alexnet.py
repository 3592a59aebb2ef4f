"""The paper's AlexNet for CIFAR-10 (Appendix A.1): two convolutions and two dense layers of ReLU units."""

from collections import OrderedDict
from typing import no_type_check

from jaxtyping import Float
from torch import Tensor, nn

from widthwise.networks.activation import ACTIVATION_MODULES
from widthwise.networks.architecture import ALEXNET_IMAGE, UNITS_AT_1X, Activation, scaled_units
from widthwise.networks.dropout import Dropout
from widthwise.networks.fourier_convolution import FourierConv2d
from widthwise.networks.local_response_norm import LocalResponseNorm

POOLED = 8 * 8
"""Pixels that the two poolings leave of an image."""


class AlexNet(nn.Module):
    """Two 5×5 convolutions of `96` and `256` units, each pooled and normalized, and dense layers of `384` and `192`.

    All of them times `width_factor`; `dropout` is the share of each dense layer's units that is dropped in training,
    `activation` what stands in the place of ReLU.
    """

    measured_layers = ("conv1", "conv2", "dense1", "dense2")

    def __init__(self, outputs: int, width_factor: float = 1.0, dropout: float = 0.0, activation: Activation = "relu"):
        super().__init__()
        units = {layer: scaled_units(each, width_factor) for layer, each in UNITS_AT_1X["alexnet"].items()}
        self.conv1 = _activated(nn.Conv2d(ALEXNET_IMAGE[0], units["conv1"], 5, padding=2), activation)
        self.pool1, self.norm1 = _pooling(), _normalization()
        self.conv2 = _activated(FourierConv2d(units["conv1"], units["conv2"], 5), activation)
        self.pool2, self.norm2 = _pooling(), _normalization()
        self.dense1 = _activated(nn.Linear(POOLED * units["conv2"], units["dense1"]), activation)
        self.dropout1 = Dropout(dropout)
        self.dense2 = _activated(nn.Linear(units["dense1"], units["dense2"]), activation)
        self.dropout2 = Dropout(dropout)
        self.output = nn.Linear(units["dense2"], outputs)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, images: Float[Tensor, "batch 3 32 32"]) -> Float[Tensor, "batch outputs"]:
        value = self.norm1(self.pool1(self.conv1(images)))
        value = self.norm2(self.pool2(self.conv2(value)))
        value = self.dropout1(self.dense1(value.flatten(1)))
        return self.output(self.dropout2(self.dense2(value)))


def _activated(product: nn.Conv2d | nn.Linear, activation: Activation) -> nn.Sequential:
    name = "dense" if isinstance(product, nn.Linear) else "convolution"
    return nn.Sequential(OrderedDict({name: product, activation: ACTIVATION_MODULES[activation]()}))


def _pooling() -> nn.MaxPool2d:
    # TensorFlow's SAME padding: on an even size one pixel after the last, and none before the first
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _normalization() -> LocalResponseNorm:
    # PyTorch divides alpha by the size: this is the paper's radius 2 and alpha 2e-5
    return LocalResponseNorm(size=5, alpha=1e-4, k=1.0)
