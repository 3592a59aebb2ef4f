"""From an architecture and an initialization to a network."""

from torch import nn

from widthwise.networks import alexnet, inception_v3
from widthwise.networks.alexnet import AlexNet
from widthwise.networks.architecture import (
    AlexNetArchitecture,
    Architecture,
    InceptionV3Architecture,
    MLPArchitecture,
    ResNet18Architecture,
    ResNet56Architecture,
)
from widthwise.networks.inception_v3 import InceptionV3
from widthwise.networks.initialization import initialize
from widthwise.networks.mlp import MLP
from widthwise.networks.resnet18 import ResNet18
from widthwise.networks.resnet56 import ResNet56
from widthwise.networks.scheme import Initialization
from widthwise.randomness import generator


def build(architecture: Architecture, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The network, with PyTorch's own initial weights.

    Args:
        architecture: which network.
        shape: of one input: `(features,)` for the MLP and `(channels, height, width)` for the others.
        outputs: how many labels there are.

    Raises:
        ValueError: the network cannot take inputs of that shape.
    """
    if (wanted := _wanted(architecture, shape)) is not None:
        raise ValueError(f"the network {architecture.name} takes inputs of shape {wanted}, not {shape}")
    width_factor = architecture.width_factor
    match architecture:
        case MLPArchitecture():
            return MLP(shape[0], outputs, width_factor)
        case AlexNetArchitecture():
            return AlexNet(outputs, width_factor, architecture.dropout)
        case ResNet56Architecture():
            return ResNet56(outputs, width_factor, architecture.shortcut)
        case ResNet18Architecture():
            return ResNet18(outputs, width_factor, architecture.shortcut)
        case InceptionV3Architecture():
            return InceptionV3(outputs, width_factor, architecture.scaled)


def build_initialized(
    architecture: Architecture, initialization: Initialization, shape: tuple[int, ...], outputs: int, seed: int
) -> nn.Module:
    """The network, its weights drawn by `initialization` from `seed`."""
    network = build(architecture, shape, outputs)
    initialize(network, initialization, generator(seed, "initialization"))
    return network


def _wanted(architecture: Architecture, shape: tuple[int, ...]) -> str | None:
    """The shapes that a network takes, in words, if `shape` is none of them."""
    match architecture:
        case MLPArchitecture():
            return None if len(shape) == 1 else "(features,)"
        case AlexNetArchitecture():
            return None if shape == alexnet.INPUT_SHAPE else f"{alexnet.INPUT_SHAPE}"
        case InceptionV3Architecture():
            least = inception_v3.SMALLEST_IMAGE
            wanted = f"(3, height, width), of at least {least}×{least} because of its auxiliary head"
            return None if _are_colour_images(shape, least) else wanted
        case ResNet56Architecture() | ResNet18Architecture():
            return None if _are_colour_images(shape) else "(3, height, width)"


def _are_colour_images(shape: tuple[int, ...], least: int = 1) -> bool:
    return len(shape) == 3 and shape[0] == 3 and min(shape[1:]) >= least
