"""The initial weights of a network (Section 3, "Initializations"): a distribution, and a variance from the fans."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from widthwise.networks.layer_names import check_names, value_of
from widthwise.networks.scheme import Initialization

TRUNCATION = 2.0
"""For a truncated normal, values beyond this many standard deviations are drawn again."""
LEFT_BY_TRUNCATION = 0.87962566103423978
"""The standard deviation of a standard normal that is truncated so."""


def fans(weight: Float[Tensor, "outputs inputs *kernel"]) -> tuple[int, int]:
    """Fan-in and fan-out of a dense (`outputs inputs`) or convolution (`outputs inputs *kernel`) weight."""
    positions = math.prod(weight.shape[2:])
    return weight.shape[1] * positions, weight.shape[0] * positions


def standard_deviation(initialization: Initialization, fan_in: int, fan_out: int) -> float:
    """The standard deviation of the weights.

    Glorot 2 / (fan_in + fan_out), He 2 / fan_in and LeCun 1 / fan_in are variances, the same for the normal, the
    uniform (Section 3) and the truncated form. For the plain and the truncated normal the deviation is a setting, that
    of the truncated one before truncation.

    Raises:
        ValueError: nothing is drawn with the scheme.
    """
    match initialization.variance:
        case "glorot":
            return math.sqrt(2 / (fan_in + fan_out))
        case "he":
            return math.sqrt(2 / fan_in)
        case "lecun":
            return math.sqrt(1 / fan_in)
        case "given":
            return initialization.standard_deviation or 0.0
        case "as_built":
            raise ValueError("with the scheme as_built no weight is drawn afresh")


def draw_(
    weight: Float[Tensor, "*shape"],
    distribution: Literal["normal", "uniform", "truncated_normal"],
    deviation: float,
    generator: torch.Generator,
) -> None:
    """Fill `weight` from the distribution with mean 0 and scale `deviation`.

    The uniform distribution has standard deviation `deviation`. The truncated normal has `deviation` before values
    beyond two of them are drawn again, as in the published recipe of Inception-v3.
    """
    match distribution:
        case "normal":
            nn.init.normal_(weight, 0.0, deviation, generator=generator)
        case "uniform":
            bound = math.sqrt(3) * deviation
            nn.init.uniform_(weight, -bound, bound, generator=generator)
        case "truncated_normal":
            limit = TRUNCATION * deviation
            nn.init.trunc_normal_(weight, 0.0, deviation, -limit, limit, generator=generator)


@torch.no_grad()
def initialize(network: nn.Module, initialization: Initialization, generator: torch.Generator) -> None:
    """Draw every dense and convolution weight of `network` again, in module order; biases become constants, mostly 0.

    Raises:
        RequestError: a layer is named that the network does not have.
    """
    check_initialized_layers(network, initialization)
    scaled_afterwards = initialization.distribution == "truncated_normal" and initialization.variance != "given"
    for path, module in _layers(network).items():
        deviation = standard_deviation(initialization, *fans(module.weight))
        deviation *= value_of(path, initialization.layer_factors, 1.0)
        if scaled_afterwards:
            deviation /= LEFT_BY_TRUNCATION
        draw_(module.weight, initialization.distribution, deviation, generator)
        if module.bias is not None:
            nn.init.constant_(module.bias, value_of(path, initialization.biases, 0.0))


def check_initialized_layers(network: nn.Module, initialization: Initialization) -> None:
    """Check that the network has the layers that `initialization` names.

    Raises:
        RequestError: it does not.
    """
    layers = _layers(network)
    biased = [path for path, module in layers.items() if module.bias is not None]
    field = "initialization.layer_factors"
    check_names(initialization.layer_factors, layers, "dense layer or convolution", field)
    check_names(initialization.biases, biased, "dense layer or convolution with biases", "initialization.biases")


def _layers(network: nn.Module) -> dict[str, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d]:
    """The layers whose weights are drawn, by their paths."""
    return {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))
    }
