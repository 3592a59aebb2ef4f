"""From an architecture and an initialization to a network."""

from torch import nn

from widthwise.networks.architecture import Architecture
from widthwise.networks.initialization import initialize
from widthwise.networks.mlp import MLP
from widthwise.networks.scheme import Initialization
from widthwise.randomness import generator


def build(architecture: Architecture, inputs: int, outputs: int) -> nn.Module:
    """The network, with PyTorch's own initial weights, for `inputs` features and `outputs` labels."""
    match architecture.name:
        case "mlp":
            return MLP(inputs, outputs, architecture.width_factor)


def build_initialized(
    architecture: Architecture, initialization: Initialization, inputs: int, outputs: int, seed: int
) -> nn.Module:
    """The network, its weights drawn by `initialization` from `seed`."""
    network = build(architecture, inputs, outputs)
    initialize(network, initialization, generator(seed, "initialization"))
    return network
