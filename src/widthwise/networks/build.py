"""From an architecture and an initialization to a network."""

from torch import nn

from widthwise.networks.alexnet import AlexNet
from widthwise.networks.architecture import (
    AlexNetArchitecture,
    Architecture,
    InceptionV3Architecture,
    MLPArchitecture,
    ResNet18Architecture,
    ResNet56Architecture,
    check_shape,
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
    check_shape(architecture, shape)
    width_factor, activation = architecture.width_factor, architecture.activation
    match architecture:
        case MLPArchitecture():
            return MLP(shape[0], outputs, width_factor, architecture.hidden_layers, activation)
        case AlexNetArchitecture():
            return AlexNet(outputs, width_factor, architecture.dropout, activation)
        case ResNet56Architecture():
            return ResNet56(outputs, width_factor, architecture.shortcut, architecture.blocks, activation)
        case ResNet18Architecture():
            return ResNet18(outputs, width_factor, architecture.shortcut, architecture.blocks, activation)
        case InceptionV3Architecture():
            return InceptionV3(outputs, width_factor, architecture.scaled, activation=activation)


def build_initialized(
    architecture: Architecture, initialization: Initialization, shape: tuple[int, ...], outputs: int, seed: int
) -> nn.Module:
    """The network, its weights drawn by `initialization` from `seed`."""
    network = build(architecture, shape, outputs)
    initialize(network, initialization, generator(seed, "initialization"))
    return network
