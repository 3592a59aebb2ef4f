"""What a network costs: parameters, arithmetic and memory, counted without computing anything."""

import functools
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from widthwise.networks.architecture import Architecture
from widthwise.networks.build import build


@dataclass(frozen=True)
class Arithmetic:
    """What a network computes.

    parameters: that are trained.
    activations: values that its modules compute for one example.
    forward_flops, training_flops: floating-point operations of matrix products and convolutions for one example, a
        multiplication and an addition counted as two: to predict, and to predict and find the gradient.
    """

    parameters: int
    activations: int
    forward_flops: int
    training_flops: int


@dataclass(frozen=True)
class NetworkCost(Arithmetic):
    """The cost of one network.

    kept_bytes: what is kept of one example until its gradient is known, in float32.
    """

    kept_bytes: int


@functools.lru_cache(maxsize=256)
def network_cost(architecture: Architecture, shape: tuple[int, ...], classes: int) -> NetworkCost:
    """The cost of a network for inputs of `shape` and so many labels."""
    network, inputs = _without_numbers(architecture, shape, classes)
    counted = asdict(arithmetic(architecture, shape, classes))
    return NetworkCost(**counted, kept_bytes=_kept_bytes(network, inputs) // len(inputs))


@functools.lru_cache(maxsize=256)
def arithmetic(architecture: Architecture, shape: tuple[int, ...], classes: int) -> Arithmetic:
    """What a network computes of inputs of `shape` for so many labels.

    The gradient of a dense layer or a convolution takes its arithmetic once more for the weights, and once more for
    the values that it was given, where these have a gradient: inputs have none.
    """
    network, inputs = _without_numbers(architecture, shape, classes)
    values: list[int] = []
    flops: list[int] = []
    gradients: list[int] = []

    def count(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        values.append(output.numel())
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            flops.append(2 * output.numel() * math.prod(module.weight.shape[1:]))
            gradients.append((1 + given[0].requires_grad) * flops[-1])

    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LocalResponseNorm, nn.ReLU)):
            module.forward = _as_it_is  # shapes alone count, and those of these take PyTorch longest
        if not list(module.children()):
            module.register_forward_hook(count)
    network.eval()
    network.training = True  # an auxiliary head computes too; its parts may go on as in evaluation, which is faster
    outputs = network(inputs[:1])
    training = sum(flops) + sum(gradients)
    if isinstance(outputs, tuple):  # predicting takes less than the forward pass of training
        for counts in (values, flops):
            counts.clear()
        network.eval()(inputs[:1])
    return Arithmetic(parameters(network), sum(values), sum(flops), training)


def _as_it_is(input: Tensor) -> Tensor:
    return input


def _without_numbers(architecture: Architecture, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, Tensor]:
    """The network and two inputs, for batch normalization needs more than one, as shapes alone."""
    with torch.device("meta"):
        return build(architecture, shape, classes), torch.empty(2, *shape)


def parameters(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def _kept_bytes(network: nn.Module, inputs: Tensor) -> int:
    """Saved for the gradient, each value once, without the parameters."""
    own = {id(parameter) for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        base = value if value._base is None else value._base
        if id(base) not in own:
            kept[id(base)] = base
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        outputs = network.train()(inputs)
    del outputs
    return sum(value.numel() * value.element_size() for value in kept.values())
