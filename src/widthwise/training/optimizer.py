"""The recipe's optimizer over (stacked) parameters. All of them work element by element, so members stay apart."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer, RMSprop

from widthwise.training.recipe import Recipe


def build_optimizer(recipe: Recipe, parameters: Sequence[Tensor]) -> Optimizer:
    """The optimizer that `recipe` names, over `parameters`."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    match recipe.optimizer:
        case "momentum":
            return SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay)
        case "sgd":
            return SGD(parameters, rate, weight_decay=decay)
        case "adam":
            return Adam(parameters, rate, weight_decay=decay)
        case "rmsprop":
            return RMSprop(parameters, rate, alpha=0.9, momentum=recipe.momentum, weight_decay=decay)


def keep_members(optimizer: Optimizer, parameters: Sequence[Tensor], members: torch.Tensor) -> None:
    """Make `optimizer` go on with `parameters`, which hold only these `members`, and with their share of its state."""
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
