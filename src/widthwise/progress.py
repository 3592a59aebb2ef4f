"""One event for everything that takes long: the activity, its progress, and its numbers so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Activity = Literal["training", "trials", "measuring", "compressing", "drawing", "damage"]


@dataclass(frozen=True)
class Progress:
    """The progress of a sweep, a training, a measurement or a report.

    activity: `trials` (of a sweep), `training` (the epochs of one network), `measuring` (examples),
        `compressing` (layers), `drawing` (figures), or `damage` (a damaged trial was found and is run again).
    done, total: the number of `unit` that are done, and of all; None: not known.
    unit: the things counted, such as `trials`, `epochs` or `examples`.
    subject: the thing worked on, in words: a cohort, a trial's id, a layer.
    numbers: results so far, by name, such as `train_loss` and `train_accuracy`.
    seconds_left: an estimate; None: there is none.
    """

    activity: Activity
    done: int | float
    total: int | float | None = None
    unit: str = ""
    subject: str = ""
    numbers: Mapping[str, int | float] = field(default_factory=dict)
    seconds_left: int | float | None = None


OnProgress = Callable[[Progress], None]


def unseen(progress: Progress) -> None:
    """Show nothing. Unlike a lambda it can be sent to another process."""
