"""Plain ways to get what tracing gives, for tests to compare with."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def plain_activity(model: nn.Module, batches: Sequence[tuple[object, ...]], name: str) -> Tensor:
    """All values of a module with its units last, `vectors units`, by a hook. `NAME:2` is its second call alone."""
    name, _, number = name.partition(":")
    wanted, calls, found = int(number or 1), [0], []

    def keep(module: nn.Module, given: object, output: Tensor) -> None:
        calls[0] += 1
        if calls[0] == wanted:
            found.append(output.double())

    handle = model.get_submodule(name).register_forward_hook(keep)
    training = model.training
    try:
        with torch.no_grad():
            for arguments in batches:
                calls[0] = 0
                model.eval()(*arguments)
    finally:
        handle.remove()
        model.train(training)
    return torch.cat([value.reshape(-1, value.shape[-1]) for value in found])
