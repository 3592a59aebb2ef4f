"""What training gives: a network's parameters, which epoch they are of, and the history."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from widthwise.training.recipe import Recipe

Parameters = dict[str, Tensor]

HISTORY = (
    "epoch",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
)


@dataclass
class TrainedNetwork:
    """One trained network.

    `history` has one entry an epoch in each of the columns `HISTORY`. Training loss and accuracy are means over the
    epoch's batches, each taken before its step; validation is measured at the epoch's end; seconds are those of the
    whole stack since its training began. `epoch` is the epoch, counted from 1, whose parameters were kept; of a
    diverged network, which keeps none, the epoch that it diverged in. `kept` are the parameters of the epochs that
    the recipe wants kept besides. `damaged` are images that could not be decoded and were left out: name → reason.
    """

    status: Literal["trained", "diverged"] = "trained"
    epoch: int = 0
    parameters: Parameters = field(default_factory=dict)
    kept: dict[int, Parameters] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[float | int]] = field(default_factory=lambda: {name: [] for name in HISTORY})

    def record(self, row: dict[str, float | int], recipe: Recipe, parameters: Callable[[], Parameters]) -> bool:
        """Enter an epoch in the history, keep its parameters if they are to be kept, and say if it was the last."""
        epoch, accuracy = int(row["epoch"]), row[recipe.stop_on]
        better = accuracy > max(self.history[recipe.stop_on], default=-1.0)
        for name, value in row.items():
            self.history[name].append(value)
        if not (math.isfinite(row["train_loss"]) and math.isfinite(row["validation_loss"])):
            self.status, self.epoch, self.parameters, self.kept = "diverged", epoch, {}, {}
            return True
        reached = recipe.stop_at is not None and accuracy >= recipe.stop_at
        last = epoch == recipe.epochs or reached
        if better if recipe.patience else last:
            self.epoch, self.parameters = epoch, parameters()
        if epoch in recipe.kept_epochs:
            self.kept[epoch] = parameters()
        return last or (recipe.patience is not None and epoch - self.epoch >= recipe.patience)
