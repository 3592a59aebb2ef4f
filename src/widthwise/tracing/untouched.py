"""Leaving a model as it was."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

CONTENTS = tuple(name for name, value in vars(nn.Module()).items() if isinstance(value, dict))
"""The dictionaries of every module: its parameters, buffers, submodules and hooks."""


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each module's mode, parts and attributes and all buffers are
    what they were.

    Whatever fails when a part is put back, all other parts are put back before the error is raised.
    """
    modules = list(model.modules())
    with torch.inference_mode(False), torch.no_grad(), ExitStack() as putting_back:
        for buffer in model.buffers():
            putting_back.callback(_refill, buffer, buffer.clone())
        for module in modules:
            if isinstance(module, torch.jit.ScriptModule):  # has no dictionaries of its own
                if hasattr(module, "training"):  # a frozen one has no mode
                    putting_back.callback(setattr, module, "training", module.training)
                    module.training = False
                continue
            attributes = dict(vars(module))
            putting_back.callback(_put_back, vars(module), attributes)
            for name in CONTENTS:
                if isinstance(entries := attributes.get(name), dict):
                    putting_back.callback(_put_back, entries, dict(entries))
            vars(module)["training"] = False  # train() may be overridden by a method that does more
        yield


def _put_back(entries: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Give a dictionary the entries that it had, in their order."""
    entries.clear()
    entries.update(before)


def _refill(buffer: Tensor, before: Tensor) -> None:
    """Give a buffer the values that it had."""
    if not torch.equal(buffer, before):
        buffer.copy_(before)
