"""Functions of PyTorch that are written in Python and hide steps of interest, opened so that each step is seen."""

from collections.abc import Callable
from types import FunctionType

import torch.nn.functional as F


def opened(function: Callable[..., object]) -> Callable[..., object] | None:
    """A copy of a function whose steps are calls of PyTorch functions by themselves; None: it is not to be opened.

    The copy does not hand itself over as a whole to whoever watches PyTorch's functions.
    """
    return _OPENED.get(function)


def _open(function: FunctionType) -> FunctionType:
    inside = {**function.__globals__, "has_torch_function": lambda tensors: False}
    copy = FunctionType(function.__code__, inside, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_OPENED: dict[Callable[..., object], Callable[..., object]] = {
    F.multi_head_attention_forward: _open(F.multi_head_attention_forward)
}
