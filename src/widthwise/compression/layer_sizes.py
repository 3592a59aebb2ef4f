"""The parameters and operations of each module of a network."""

from collections import Counter
from collections.abc import Container

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from widthwise.compression.comparison import without_gradients
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.model_runs import ModelRuns
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched


def layer_sizes(model: nn.Module, inputs: Inputs, predict: Predict | None) -> dict[str, tuple[int, int]]:
    """The parameters, and the floating-point operations of products for some inputs, by the path of each module.

    What belongs to the modules in a module does not count as its own. Only modules that have some are there.
    """
    parameters: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        parameters[name.rpartition(".")[0]] += parameter.numel()
    operations = _operations(model, inputs, predict)
    names = [name for name, _ in model.named_modules() if parameters[name] or operations[name]]
    return {name: (parameters[name], operations[name]) for name in names}


def _operations(model: nn.Module, inputs: Inputs, predict: Predict | None) -> Counter[str]:
    runs = ModelRuns(model, predict)
    with untouched(model), torch.no_grad(), without_gradients(model), FlopCounterMode(display=False) as counter:
        runs.with_changes(inputs, {}, "")
    root = type(model).__name__
    totals = {name: sum(each.values()) for name, each in counter.get_flop_counts().items() if name != "Global"}
    own = Counter(totals)
    for name, total in totals.items():
        if around := _around(name, totals):
            own[around] -= total
    return Counter({name.removeprefix(root).lstrip("."): count for name, count in own.items() if count > 0})


def _around(name: str, known: Container[str]) -> str:
    """The innermost module that another lies in and that was called, too; empty if there is none."""
    while name := name.rpartition(".")[0]:
        if name in known:
            break
    return name
