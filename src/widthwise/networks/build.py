"""From a description and an initialization to a network."""

import torch
from torch import nn

from widthwise.networks.description import NetworkDescription, Shape
from widthwise.networks.initialization import initialize
from widthwise.networks.scheme import Initialization
from widthwise.randomness import generator


def build_initialized(
    description: NetworkDescription, initialization: Initialization, shape: Shape, classes: int, seed: int
) -> nn.Module:
    """The network, its weights drawn by `initialization` from `seed`.

    Args:
        description: the network to build.
        initialization: the initial weights. With `as_built` they are as the network's own code draws them.
        shape: the shape of one input.
        classes: the number of labels.
        seed: the seed of the weights. While the network is built, PyTorch's own random numbers on the CPU also depend
            on it; afterwards their state is restored.

    Raises:
        ValueError: the network cannot take inputs of that shape, has no layer that the initialization names, or a
            user's own function fails.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(generator(seed, "network").get_state())
        network = description.build(shape, classes)
    if initialization.scheme != "as_built":
        initialize(network, initialization, generator(seed, "initialization"))
    return network
