"""One event for everything that takes long: what is being done, how far it is, and its numbers so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Activity = Literal["training", "trials", "measuring", "drawing", "damage"]


@dataclass(frozen=True)
class Progress:
    """Where a sweep, a training or a measurement is.

    activity: `trials` (of a sweep), `training` (the epochs of one network), `measuring` (examples), `drawing`
        (figures), or `damage` (a damaged trial was found and is run again).
    done, total: how many of `unit` are done, and of how many; None where that is not known.
    unit: what is counted, such as `trials`, `epochs` or `examples`.
    subject: what is worked on, in words: a cohort, a trial's id, a layer.
    numbers: what has been measured so far, by name, such as `train_loss` and `train_accuracy`.
    seconds_left: an estimate; None where there is none.
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
