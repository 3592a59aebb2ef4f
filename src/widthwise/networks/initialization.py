"""The initial weights of a network (Section 3, "Initializations"): a distribution, and a variance from the fans."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from widthwise.networks.scheme import Initialization

TRUNCATION = 2.0
"""For a truncated normal, values beyond this many standard deviations are drawn again."""


def fans(weight: Float[Tensor, "outputs inputs *kernel"]) -> tuple[int, int]:
    """Fan-in and fan-out of a dense (`outputs inputs`) or convolution (`outputs inputs *kernel`) weight."""
    positions = math.prod(weight.shape[2:])
    return weight.shape[1] * positions, weight.shape[0] * positions


def standard_deviation(initialization: Initialization, fan_in: int, fan_out: int) -> float:
    """The standard deviation that the weights are drawn with.

    Glorot 2 / (fan_in + fan_out), He 2 / fan_in and LeCun 1 / fan_in are variances, the same for the normal and the
    uniform form (Section 3). For the plain and the truncated normal the deviation is a setting.

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
    """Draw every dense and convolution weight of `network` again, in module order; biases become 0."""
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            deviation = standard_deviation(initialization, *fans(module.weight))
            draw_(module.weight, initialization.distribution, deviation, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
