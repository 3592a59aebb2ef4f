"""Leaving a model as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each module's mode and all buffers are what they were."""
    modes = {module: module.training for module in model.modules()}
    with torch.inference_mode(False), torch.no_grad():
        attached = {module: dict(module._buffers) for module in modes}
        contents = [(buffer, buffer.clone()) for buffer in model.buffers()]
        try:
            for module in modes:  # train() may be overridden by a method that does more
                module.training = False
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            for module, buffers in attached.items():
                module._buffers.clear()
                module._buffers.update(buffers)
            for buffer, before in contents:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
