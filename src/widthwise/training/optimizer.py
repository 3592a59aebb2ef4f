"""The recipe's optimizer over (stacked) parameters. All of them work element by element, so members stay apart."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from widthwise.training.recipe import Recipe


def build_optimizer(recipe: Recipe, parameters: Sequence[Tensor] | list[dict[str, Any]]) -> Optimizer:
    """The optimizer that `recipe` names, over `parameters`."""
    rate, decay, epsilon = recipe.rate(0), recipe.weight_decay, recipe.epsilon
    match recipe.optimizer:
        case "momentum":
            return SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay)
        case "sgd":
            return SGD(parameters, rate, weight_decay=decay)
        case "adam":
            return Adam(parameters, rate, eps=epsilon, weight_decay=decay)
        case "rmsprop":
            return RMSprop(parameters, rate, alpha=0.9, eps=epsilon, momentum=recipe.momentum, weight_decay=decay)


def decaying_weights_alone(recipe: Recipe, network: nn.Module) -> list[dict[str, Any]]:
    """A network's parameters in two groups: weights decay; biases, and a batch normalization's scale and shift, do not.

    The recipes that the paper cites do the same.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in parameters if parameter.dim() > 1]
    others = [parameter for parameter in parameters if parameter.dim() <= 1]
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def keep_members(optimizer: Optimizer, parameters: Sequence[Tensor], members: torch.Tensor) -> None:
    """Continue `optimizer` with `parameters`, which hold only these `members`, and with their share of its state."""
    group = optimizer.param_groups[0]
    for before, after in zip(list(group["params"]), parameters, strict=True):
        state = optimizer.state.pop(before, {})  # plain gradient descent has none
        kept = {
            name: value[members] if isinstance(value, Tensor) and value.shape == before.shape else value
            for name, value in state.items()
        }
        if kept:
            optimizer.state[after] = kept
    group["params"] = list(parameters)
