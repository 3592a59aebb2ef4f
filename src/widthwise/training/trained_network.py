"""The result of a training: a network's parameters, their epoch, and the history."""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from widthwise.training.history import Columns, empty_history

Parameters = dict[str, Tensor]


@dataclass
class TrainedNetwork:
    """One trained network.

    status: `diverged` if a loss was no longer finite; then no parameters are kept.
    epoch: the epoch, counted from 1, whose parameters were kept; for a diverged network the epoch that it diverged in.
    parameters: the parameters of that epoch, by name, including buffers.
    kept: the parameters of further epochs that the recipe asks for.
    damaged: images that could not be decoded and were left out: name → reason.
    history: one row per epoch, in the columns `HISTORY`. Training loss and accuracy are means over the epoch's batches,
        each computed before its step; validation is measured at the epoch's end; seconds are those since the training
        began, for a stack those of the whole stack.
    """

    status: Literal["trained", "diverged"] = "trained"
    epoch: int = 0
    parameters: Parameters = field(default_factory=dict)
    kept: dict[int, Parameters] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    history: Columns = field(default_factory=empty_history)
