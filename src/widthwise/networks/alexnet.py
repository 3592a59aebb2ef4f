"""The paper's AlexNet for CIFAR-10 (Appendix A.1): two convolutions and two dense layers of ReLU units."""

from collections import OrderedDict
from typing import Annotated, Any, ClassVar, Literal, no_type_check

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from widthwise.networks.activation import ACTIVATION_MODULES
from widthwise.networks.description import Activation, PublishedNetwork, Shape, scaled_units
from widthwise.networks.dropout import Dropout
from widthwise.networks.kernels.fourier_convolution import FourierConv2d
from widthwise.networks.kernels.local_response_norm import LocalResponseNorm

UNITS = {"conv1": 96, "conv2": 256, "dense1": 384, "dense2": 192}
"""Units of the measured layers, at width factor 1."""
IMAGE = (3, 32, 32)
POOLED = 8 * 8
"""Number of pixels of an image after the two poolings."""


class AlexNetDescription(PublishedNetwork):
    """AlexNet for CIFAR-10."""

    title: ClassVar[str] = "AlexNet"
    recipe: ClassVar[dict[str, dict[str, Any]]] = {
        "initialization": {"scheme": "glorot_normal"},
        "data": {"name": "cifar10"},
        "training": {
            "optimizer": "momentum",
            "learning_rate": 0.01,
            "decay": {"kind": "exponential", "rate": 0.95, "every": 1},
            "batch_size": 128,
            "epochs": 500,
            "patience": 50,
        },
    }
    shapes_in_words: ClassVar[str] = str(IMAGE)

    name: Literal["alexnet"] = "alexnet"  # pyright: ignore[reportIncompatibleVariableOverride]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each of the two dense layers' units that is dropped while training."""

    @property
    def measured_layers(self) -> tuple[str, ...]:
        """All layers except the output."""
        return tuple(UNITS)

    @property
    def narrowest(self) -> int:
        """The units at 1x of the first convolution."""
        return min(UNITS.values())

    def takes(self, shape: Shape) -> bool:
        """Whether inputs are images of CIFAR-10's size."""
        return shape == IMAGE

    def module(self, shape: Shape, classes: int) -> nn.Module:
        """The network for images."""
        return AlexNet(classes, self.width_factor, self.dropout, self.activation)


class AlexNet(nn.Module):
    """Two 5×5 convolutions of `96` and `256` units, each pooled and normalized, and dense layers of `384` and `192`.

    All of them times `width_factor`; `dropout` is the share of each dense layer's units that is dropped in training,
    `activation` what replaces ReLU.
    """

    measured_layers = tuple(UNITS)

    def __init__(self, outputs: int, width_factor: float = 1.0, dropout: float = 0.0, activation: Activation = "relu"):
        super().__init__()
        units = {layer: scaled_units(each, width_factor) for layer, each in UNITS.items()}
        self.conv1 = _activated(nn.Conv2d(IMAGE[0], units["conv1"], 5, padding=2), activation)
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
