"""What a network costs: parameters, arithmetic and memory, counted without computing anything."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from widthwise.networks.architecture import Architecture
from widthwise.networks.build import build


@dataclass(frozen=True)
class NetworkCost:
    """The cost of one network.

    parameters: that are trained.
    activations: values that its modules compute for one example.
    forward_flops, training_flops: floating-point operations of matrix products and convolutions for one example, a
        multiplication and an addition counted as two: to predict, and to predict and find the gradient.
    kept_bytes: what is kept of one example until its gradient is known, in float32.
    """

    parameters: int
    activations: int
    forward_flops: int
    training_flops: int
    kept_bytes: int


@functools.lru_cache(maxsize=256)
def network_cost(architecture: Architecture, shape: tuple[int, ...], classes: int) -> NetworkCost:
    """The cost of a network for inputs of `shape` and so many labels."""
    with torch.device("meta"):
        network = build(architecture, shape, classes)
        inputs = torch.empty(2, *shape)  # batch normalization needs more than one
    return NetworkCost(
        parameters=parameters(network),
        activations=_activations(network, inputs[:1]),
        forward_flops=_forward_flops(network, inputs[:1]),
        training_flops=_training_flops(network, inputs) // len(inputs),
        kept_bytes=_kept_bytes(network, inputs) // len(inputs),
    )


def parameters(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def _activations(network: nn.Module, inputs: Tensor) -> int:
    outputs: list[int] = []
    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(lambda module, inputs, out: outputs.append(out.numel())) for module in leaves]
    network.eval()(inputs)
    for hook in hooks:
        hook.remove()
    return sum(outputs)


def _forward_flops(network: nn.Module, inputs: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(inputs)
    return counter.get_total_flops()


def _training_flops(network: nn.Module, inputs: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        _summed(network.train()(inputs)).backward()
    network.zero_grad()
    return counter.get_total_flops()


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


def _summed(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    several = outputs if isinstance(outputs, tuple) else (outputs,)
    return torch.stack([each.sum() for each in several]).sum()
