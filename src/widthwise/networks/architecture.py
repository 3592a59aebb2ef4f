"""Which network, and how wide."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from widthwise.config import Config

UNITS_AT_1X = {
    "mlp": {"hidden": 128},
    "alexnet": {"conv1": 96, "conv2": 256, "dense1": 384, "dense2": 192},
    "resnet56": {"stem": 16, "layer1": 16, "layer2": 32, "layer3": 64},
    "resnet18": {"stem": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512},
}
"""The units of each network's layers at width factor 1 (Appendix A.1); those of Inception-v3 are in its own file."""
NARROWEST_OF_INCEPTION = {"all": 32, "mixed_5d": 48}
"""The units at 1x of the narrowest convolution that is scaled."""

ALEXNET_IMAGE = (3, 32, 32)
SMALLEST_OF_INCEPTION = 299
"""The auxiliary head's last convolution covers 5×5 pixels, and fewer would be left of a smaller image."""

Shortcut = Literal["projection", "zero_padding"]
"""How a residual block's input is added to an output of another shape: by a 1×1 convolution and batch norm, or as every
second pixel with channels of zeros on both sides."""

Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"]
"""The nonlinearity after every layer; a leaky ReLU has slope 0.01 below zero, and GELU is exact."""


def scaled_units(units: int, width_factor: float) -> int:
    """The number of units that a layer of `units` at 1x has at `width_factor`, rounded half up.

    Raises:
        ValueError: the layer would be left without units.
    """
    scaled = math.floor(units * width_factor + 0.5)
    if scaled < 1:
        raise ValueError(
            f"width factor {width_factor:g} leaves a layer of {units} units at 1x without units; "
            f"it must be at least {0.5 / units:g}"
        )
    return scaled


class _Scaled(Config):
    """What the networks have in common."""

    LATER = frozenset({"activation"})

    width_factor: PositiveFloat = 1.0
    activation: Activation = "relu"
    """In the place of every ReLU."""

    @property
    def varied_layers(self) -> tuple[str, ...] | None:
        """The measured layers whose units the width factor multiplies; none: all of them."""
        return None

    @model_validator(mode="after")
    def _every_layer_has_units(self):
        scaled_units(self._narrowest(), self.width_factor)
        return self

    def _narrowest(self) -> int:
        """The units at 1x of the narrowest layer that is scaled."""
        return min(UNITS_AT_1X[self.name].values())  # pyright: ignore[reportAttributeAccessIssue]


class MLPArchitecture(_Scaled):
    """The multilayer perceptron."""

    LATER = _Scaled.LATER | {"hidden_layers"}

    name: Literal["mlp"] = "mlp"
    hidden_layers: PositiveInt = 1
    """One after the other, each of as many units as the first."""


class AlexNetArchitecture(_Scaled):
    """AlexNet for CIFAR-10."""

    name: Literal["alexnet"] = "alexnet"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of each of the two dense layers' units while training."""


class ResNet56Architecture(_Scaled):
    """ResNet-56 for CIFAR-10."""

    LATER = _Scaled.LATER | {"blocks"}

    name: Literal["resnet56"] = "resnet56"
    shortcut: Shortcut = "projection"
    blocks: PositiveInt = 9
    """Of each of the three stages: the network has 6 × blocks + 2 layers."""


class ResNet18Architecture(_Scaled):
    """ResNet-18 for ImageNet."""

    LATER = _Scaled.LATER | {"blocks"}

    name: Literal["resnet18"] = "resnet18"
    shortcut: Shortcut = "projection"
    blocks: PositiveInt = 2
    """Of each of the four stages: the network has 8 × blocks + 2 layers."""


class InceptionV3Architecture(_Scaled):
    """Inception-v3 for ImageNet."""

    name: Literal["inception-v3"] = "inception-v3"
    scaled: Literal["all", "mixed_5d"] = "all"
    """What the width factor multiplies: every layer, or the third 35×35 mixed block alone (Inception-v3-layer)."""

    @property
    def varied_layers(self) -> tuple[str, ...] | None:
        """The measured layers whose units the width factor multiplies; none: all of them."""
        return ("Mixed_5d",) if self.scaled == "mixed_5d" else None

    def _narrowest(self) -> int:
        return NARROWEST_OF_INCEPTION[self.scaled]


def _mlp_by_default(content: Any) -> Any:
    return {"name": "mlp", **content} if isinstance(content, dict) else content


Architecture = Annotated[
    MLPArchitecture | AlexNetArchitecture | ResNet56Architecture | ResNet18Architecture | InceptionV3Architecture,
    Field(discriminator="name"),
    BeforeValidator(_mlp_by_default),
]
"""A network of the paper (Table 1) at a width factor, the number that multiplies every layer's units."""


def check_shape(architecture: Architecture, shape: tuple[int, ...]) -> None:
    """See that a network can take inputs of `shape`.

    Raises:
        ValueError: it cannot.
    """
    colour_images = len(shape) == 3 and shape[0] == 3
    match architecture:
        case MLPArchitecture():
            fits, wanted = len(shape) == 1, "(features,)"
        case AlexNetArchitecture():
            fits, wanted = shape == ALEXNET_IMAGE, str(ALEXNET_IMAGE)
        case InceptionV3Architecture():
            fits = colour_images and min(shape[1:]) >= SMALLEST_OF_INCEPTION
            least = f"{SMALLEST_OF_INCEPTION}×{SMALLEST_OF_INCEPTION}"
            wanted = f"(3, height, width), of at least {least} because of its auxiliary head"
        case _:
            fits, wanted = colour_images, "(3, height, width)"
    if not fits:
        raise ValueError(f"the network {architecture.name} takes inputs of shape {wanted}, not {shape}")


Construction = Literal["small", "both", "removable", "repeated", "dead"]
"""A network of Section 2.3, built from a trained small one with hidden activity u and output weights w. small: that
network itself. both: [u, u] with [w, 0]. removable: [u, v] with [w, 0], v uncorrelated. repeated: [u, u] with
[w/2 + η, w/2 - η]. dead: [u, 0] with [w, 0]."""
