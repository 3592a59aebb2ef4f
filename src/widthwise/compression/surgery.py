"""A copy of a network with some of its parameters and buffers cut."""

import copy
from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor, nn

from widthwise.compression.shortcuts import Rearrangement, rearranged

Kept = dict[tuple[str, int], Int[Tensor, " kept"]]
"""The indices that stay, by a parameter's or buffer's name and the dimension along which it is cut."""
SIZES = {
    nn.Linear: {"in_features": 1, "out_features": 0},
    nn.modules.conv._ConvNd: {"in_channels": 1, "out_channels": 0},  # pyright: ignore[reportPrivateUsage]
    nn.modules.batchnorm._NormBase: {"num_features": 0},  # pyright: ignore[reportPrivateUsage]
    nn.PReLU: {"num_parameters": 0},
}
"""The attributes of PyTorch's modules that repeat the size of a weight, and its dimension."""
TRANSPOSED = nn.modules.conv._ConvTransposeNd  # pyright: ignore[reportPrivateUsage]


def smaller(
    model: nn.Module,
    kept: Kept,
    changed: Mapping[str, Tensor],
    biases: Mapping[str, Tensor],
    attributes: Mapping[str, int],
    rearrangements: Mapping[str, Rearrangement],
) -> nn.Module:
    """A copy of a model.

    Args:
        model: the model, which stays as it is.
        kept: the indices that stay of what is cut.
        changed: other values of parameters, before they are cut.
        biases: new parameters, by their names, where the model has None.
        attributes: other values of attributes of modules, by `path.name`.
        rearrangements: which channels shortcuts take and give, by the modules' paths.
    """
    result = copy.deepcopy(model)
    same = aliases(result)
    cuts: dict[str, list[tuple[int, Tensor]]] = {}
    for (name, dimension), indices in kept.items():
        cuts.setdefault(name, []).append((dimension, indices))
    for name in {*cuts, *changed}:
        path, _, attribute = name.rpartition(".")
        module = result.get_submodule(path)
        old = getattr(module, attribute)
        with torch.no_grad():
            value = changed.get(name, old.detach()).to(old)
            for dimension, indices in cuts.get(name, ()):
                value = value.index_select(dimension, indices.to(value.device))
            value = value.clone()
        new = nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else value
        for alias in same.get(name, [name]):
            place, _, attribute = alias.rpartition(".")
            setattr(result.get_submodule(place), attribute, new)
    for name, bias in biases.items():
        path, _, attribute = name.rpartition(".")
        module = result.get_submodule(path)
        weight = module.weight
        assert isinstance(weight, nn.Parameter)
        for dimension, indices in cuts.get(f"{path}.weight".lstrip("."), ()):  # its own units may go, too
            bias = bias.index_select(0, indices.to(bias.device)) if dimension == 0 else bias
        setattr(module, attribute, nn.Parameter(bias.to(weight), requires_grad=weight.requires_grad))
    for path in {alias.rpartition(".")[0] for name in cuts for alias in same.get(name, [name])}:
        resize(result.get_submodule(path))
    set_attributes(result, attributes)
    rearranged(result, rearrangements)
    return result


def aliases(model: nn.Module) -> dict[str, list[str]]:
    """All names of each parameter and buffer, by its first."""
    names: dict[int, list[str]] = {}
    for tensors in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)):
        for name, tensor in tensors:
            names.setdefault(id(tensor), []).append(name)
    return {each[0]: each for each in names.values()}


def set_attributes(model: nn.Module, attributes: Mapping[str, int]) -> None:
    """Give attributes of modules, by `path.name`, other values."""
    for name, value in attributes.items():
        path, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(path), attribute, value)


def resize(module: nn.Module) -> None:
    """Bring the attributes that repeat a weight's sizes in line with it."""
    weight = getattr(module, "weight", None)
    if weight is None:
        weight = getattr(module, "running_mean", None)
    if not isinstance(weight, Tensor):
        return
    groups = getattr(module, "groups", 1)
    depthwise = groups > 1 and groups == module.in_channels
    if isinstance(module, TRANSPOSED) or (groups > 1 and not depthwise):  # these are never cut
        return
    for kind, attributes in SIZES.items():
        if isinstance(module, kind):
            for attribute, dimension in attributes.items():
                vars(module)[attribute] = weight.shape[0 if depthwise else dimension]
            if depthwise:
                vars(module)["groups"] = weight.shape[0]
