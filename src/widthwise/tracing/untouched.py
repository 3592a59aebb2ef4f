"""Leaving a model as it was."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

CONTENTS = ("_parameters", "_buffers", "_modules")
"""The dictionaries of a module whose entries may change while it runs."""


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
                putting_back.callback(module.train, module.training)
                module.eval()
                continue
            attributes = dict(vars(module))
            putting_back.callback(_put_back, vars(module), attributes)
            for name in CONTENTS:
                putting_back.callback(_put_back, attributes[name], dict(attributes[name]))
            vars(module)["training"] = False  # train() may be overridden by a method that does more
        yield


def _put_back(entries: dict[str, object], before: dict[str, object]) -> None:
    """Give a dictionary the entries that it had, in their order."""
    entries.clear()
    entries.update(before)


def _refill(buffer: Tensor, before: Tensor) -> None:
    """Give a buffer the values that it had."""
    if not torch.equal(buffer, before):
        buffer.copy_(before)
