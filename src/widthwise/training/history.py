"""The history of a training: one row per epoch, collected through the interface of Lightning Fabric's loggers."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

HISTORY = (
    "epoch",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
)
"""The columns of a history. Numbers of other names, such as the speed, are for other loggers."""

Columns = dict[str, list[float | int]]


def empty_history() -> Columns:
    """A history without rows."""
    return {name: [] for name in HISTORY}


class History:
    """A logger that appends each epoch's numbers to the columns of a history.

    It behaves like one of Lightning Fabric's loggers, and `loop` registers it as one. It does not import that class,
    which would take one second in each process that trains stacks.
    """

    name = "history"
    version = None

    def __init__(self, columns: Columns):
        self.columns = columns

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row.

        Args:
            metrics: numbers by name, among them all columns but `epoch`.
            step: the epoch, counted from 1.
        """
        row = {"epoch": step, **metrics}
        for name, column in self.columns.items():
            column.append(row[name])

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Keep nothing: a trial's own description holds its settings."""
