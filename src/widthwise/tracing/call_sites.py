"""Call sites of a running model: hooks on its modules, and the count of each call."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from widthwise.tracing.structure import tensors_in
from widthwise.tracing.tape import CallSite

Enter = Callable[[str, list[Tensor]], None]
"""A function of the path of a module that is called, and the tensors in its arguments."""
Leave = Callable[[str, object], object]
"""A function of the path of a module that returns, and its output; returns a replacement for the output, or None."""


class CallSites:
    """The module whose `forward` is running, and the count of each call."""

    def __init__(self) -> None:
        self._running = [""]
        self._counts: Counter[tuple[str, str]] = Counter()

    @property
    def path(self) -> str:
        """The path of the running module."""
        return self._running[-1]

    def enter(self, path: str) -> None:
        """Record that a module is called."""
        self._running.append(path)

    def leave(self, path: str) -> None:
        """Record that a module ended, and with it those inside it that an error ended early."""
        while self._running.pop() != path:
            pass

    def of_function(self, name: str) -> CallSite:
        """The call site of a function that the running module now calls."""
        return self._counted(self.path, name)

    def of_module(self, path: str) -> CallSite:
        """The call site of a value that a module now returns."""
        return self._counted(path, "")

    def _counted(self, path: str, name: str) -> CallSite:
        self._counts[path, name] += 1
        return CallSite(path, name, self._counts[path, name] - 1)


@contextmanager
def watched(model: nn.Module, enter: Enter, leave: Leave) -> Iterator[None]:
    """Report every module's call, by hooks that are removed at the end."""
    with ExitStack() as stack:
        for path, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            before = module.register_forward_pre_hook(
                lambda module, args, path=path: enter(path, list(tensors_in(args)))
            )
            after = module.register_forward_hook(
                lambda module, args, output, path=path: leave(path, output), always_call=True
            )
            stack.callback(before.remove)
            stack.callback(after.remove)
        yield
