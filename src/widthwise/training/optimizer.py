"""The recipe's optimizer over (stacked) parameters. All of them work element by element, so members stay apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, Optimizer, RMSprop

from widthwise.networks.layer_names import check_names, lies_in
from widthwise.training.recipe import Recipe


def build_optimizer(recipe: Recipe, parameters: Sequence[Tensor] | list[dict[str, Any]]) -> Optimizer:
    """The optimizer that `recipe` names, over `parameters`."""
    rate, decay, epsilon = recipe.rate(0), recipe.weight_decay, recipe.epsilon
    match recipe.optimizer:
        case "momentum":
            return SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay)
        case "nesterov":
            return SGD(parameters, rate, momentum=recipe.momentum, nesterov=True, weight_decay=decay)
        case "sgd":
            return SGD(parameters, rate, weight_decay=decay)
        case "adagrad":
            return Adagrad(parameters, rate, eps=epsilon, weight_decay=decay)
        case "adadelta":
            return Adadelta(parameters, rate, eps=epsilon, weight_decay=decay)
        case "adam":
            return Adam(parameters, rate, eps=epsilon, weight_decay=decay)
        case "rmsprop":
            return RMSprop(parameters, rate, alpha=0.9, eps=epsilon, momentum=recipe.momentum, weight_decay=decay)


def decaying_weights_alone(recipe: Recipe, network: nn.Module) -> list[dict[str, Any]]:
    """A network's parameters in two groups: weights decay; biases, and a batch normalization's scale and shift, do not.

    The recipes that the paper cites do the same. If `recipe` names layers, only their weights decay.

    Raises:
        RequestError: the network has no such layer.
    """
    parameters = {name: value for name, value in network.named_parameters() if value.requires_grad}
    return _in_groups(recipe, parameters, decaying_weights(recipe, network))


def stacked_groups(
    recipe: Recipe, parameters: Mapping[str, Tensor], network: nn.Module
) -> list[Tensor] | list[dict[str, Any]]:
    """The parameters of a stack of networks like `network`: all decay, or only the weights that `recipe` names.

    Raises:
        RequestError: the network has no such layer.
    """
    if recipe.weight_decay_layers is None:
        return list(parameters.values())
    return _in_groups(recipe, parameters, decaying_weights(recipe, network))


def decaying_weights(recipe: Recipe, network: nn.Module) -> list[str]:
    """The names of the weights that decay: those of `weight_decay_layers`, or all.

    Raises:
        RequestError: the network has no such layer.
    """
    weights = [name for name, value in network.named_parameters() if value.requires_grad and value.dim() > 1]
    layers = recipe.weight_decay_layers
    if layers is None:
        return weights
    paths = [name.rpartition(".")[0] for name in weights]
    check_names(layers, paths, "layer with weights", "training.weight_decay_layers")
    return [name for name, path in zip(weights, paths, strict=True) if any(lies_in(path, layer) for layer in layers)]


def _in_groups(recipe: Recipe, parameters: Mapping[str, Tensor], decaying: Sequence[str]) -> list[dict[str, Any]]:
    """Those that decay, and the others."""
    decay = [value for name, value in parameters.items() if name in decaying]
    others = [value for name, value in parameters.items() if name not in decaying]
    groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def keep_members(optimizer: Optimizer, parameters: Mapping[Tensor, Tensor], members: torch.Tensor) -> None:
    """Continue `optimizer` with only these `members` of a stack, and with their share of its state.

    Args:
        optimizer: of the whole stack.
        parameters: the whole stack's parameters, and in place of each the one that holds only these members.
        members: whether each is kept.
    """
    for before, after in parameters.items():
        state = optimizer.state.pop(before, {})  # plain gradient descent has none
        kept = {
            name: value[members] if isinstance(value, Tensor) and value.shape == before.shape else value
            for name, value in state.items()
        }
        if kept:
            optimizer.state[after] = kept
    for group in optimizer.param_groups:
        group["params"] = [parameters[before] for before in group["params"]]
