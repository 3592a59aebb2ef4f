"""The cost of networks: parameters, arithmetic and memory."""

import copy
import functools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from widthwise.networks.description import NetworkDescription, Shape
from widthwise.networks.own_network import called, logits_of

EXAMPLES = 2
"""Batch normalization needs more than one."""


@dataclass(frozen=True)
class Arithmetic:
    """The arithmetic of a network.

    parameters: the number of trainable parameters.
    activations: the number of values that its modules compute for one example.
    forward_flops, training_flops: floating-point operations of matrix products and convolutions for one example, a
        multiplication and an addition counted as two: to predict, and to predict and compute the gradient.
    """

    parameters: int
    activations: int
    forward_flops: int
    training_flops: int


@dataclass(frozen=True)
class NetworkCost(Arithmetic):
    """The cost of one network.

    kept_bytes: bytes that one example needs until its gradient is known.
    """

    kept_bytes: int


def network_cost(description: NetworkDescription, shape: Shape, classes: int) -> NetworkCost:
    """The cost of a published network for inputs of `shape` and `classes` labels.

    Raises:
        ValueError: the network cannot take inputs of that shape.
    """
    return _network_cost(description, _frozen(shape), classes)


def arithmetic(description: NetworkDescription, shape: Shape, classes: int) -> Arithmetic:
    """The arithmetic of a published network for inputs of `shape` and `classes` labels, without computing anything.

    The gradient of a dense layer or a convolution takes its arithmetic once more for the weights, and once more for
    the values that it was given, where these have a gradient: inputs have none.

    Raises:
        ValueError: the network cannot take inputs of that shape.
    """
    return _arithmetic(description, _frozen(shape), classes)


_Frozen = tuple[int, ...] | tuple[tuple[str, tuple[int, ...]], ...]
"""A shape that can be looked up; of several parts, their names and shapes."""


def _frozen(shape: Shape) -> _Frozen:
    return tuple(shape.items()) if isinstance(shape, dict) else shape


@functools.lru_cache(maxsize=256)
def _network_cost(description: NetworkDescription, shape: _Frozen, classes: int) -> NetworkCost:
    network, inputs = _without_numbers(description, shape, classes)
    counted = asdict(_arithmetic(description, shape, classes))
    return NetworkCost(**counted, kept_bytes=_kept_bytes(network, inputs) // len(inputs))


@functools.lru_cache(maxsize=256)
def _arithmetic(description: NetworkDescription, shape: _Frozen, classes: int) -> Arithmetic:
    network, inputs = _without_numbers(description, shape, classes)
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
            module.forward = _as_it_is  # only shapes matter, and these take PyTorch longest
        if not list(module.children()):
            module.register_forward_hook(count)
    network.eval()
    network.training = True  # an auxiliary head computes, too; its parts may stay in evaluation mode, which is faster
    outputs = network(inputs[:1])
    training = sum(flops) + sum(gradients)
    if isinstance(outputs, tuple):  # predicting takes less than the forward pass of training
        for counts in (values, flops):
            counts.clear()
        network.eval()(inputs[:1])
    return Arithmetic(parameters(network), sum(values), sum(flops), training)


def cost_of(network: nn.Module, inputs: Tensor | Mapping[str, Tensor]) -> NetworkCost:
    """The cost of any network, counted while a copy of it predicts and learns these inputs once.

    Args:
        network: returns logits `examples classes`, or an object with them.
        inputs: at least two examples, on its device; a mapping's values are its arguments by name.

    Raises:
        RequestError: it does not return logits.
    """
    examples = len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values())))
    network = copy.deepcopy(network)
    values: list[int] = []

    def count(module: nn.Module, given: object, output: object) -> None:
        values.append(output.numel() if isinstance(output, Tensor) else 0)

    hooks = [each.register_forward_hook(count) for each in network.modules() if not list(each.children())]
    with torch.enable_grad(), torch.random.fork_rng(), sdpa_kernel(SDPBackend.MATH):  # fused attention is not counted
        network.eval()

        with FlopCounterMode(display=False) as forward:
            called(network, inputs)
        for hook in hooks:
            hook.remove()
        network.train()
        with FlopCounterMode(display=False) as training:
            logits_of(called(network, inputs)).sum().backward()
        kept = _kept_bytes(network, inputs)
    return NetworkCost(
        parameters=parameters(network),
        activations=sum(values) // examples,
        forward_flops=forward.get_total_flops() // examples,
        training_flops=training.get_total_flops() // examples,
        kept_bytes=kept // examples,
    )


def _as_it_is(input: Tensor) -> Tensor:
    return input


def _without_numbers(description: NetworkDescription, shape: _Frozen, classes: int) -> tuple[nn.Module, Tensor]:
    """The network and inputs, as shapes alone."""
    with torch.device("meta"):
        sizes = cast(tuple[int, ...], shape)  # published networks take no inputs of several parts
        return description.build(sizes, classes), torch.empty(EXAMPLES, *sizes)


def parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def _kept_bytes(network: nn.Module, inputs: Tensor | Mapping[str, Tensor]) -> int:
    """Saved for the gradient, each value once, without the parameters."""
    own = {id(parameter) for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        base = value if value._base is None else value._base
        if id(base) not in own:
            kept[id(base)] = base
        return value

    network.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        called(network, inputs)
    return sum(value.numel() * value.element_size() for value in kept.values())
