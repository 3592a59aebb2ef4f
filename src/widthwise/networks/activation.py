"""The activation functions by their names: as modules, and as functions inside a block."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from widthwise.networks.description import Activation

ACTIVATION_MODULES: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
ACTIVATION_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    name: getattr(functional, name) for name in ACTIVATION_MODULES
}
