"""Checkpoints: the times to write them, and how a training continues from one."""

import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from widthwise.training.checkpoint import Checkpoint, packed, restore, unpacked
from widthwise.training.state import SingleTrainingState


@runtime_checkable
class Checkpoints(Protocol):
    """The storage of the checkpoints of one training."""

    @property
    def identity(self) -> str:
        """The training's name."""
        ...

    @property
    def path(self) -> str:
        """The path of the checkpoint, for messages."""
        ...

    def load(self) -> bytes | None:
        """The last checkpoint, if there is one."""
        ...

    def save(self, content: bytes) -> None:
        """Replace the last checkpoint, whole or not at all."""
        ...


@dataclass(frozen=True)
class Interval:
    """A checkpoint is written after this many epochs or minutes, whichever comes first, and when training ends."""

    epochs: int = 1
    minutes: float = 5.0


def resume(state: SingleTrainingState, checkpoints: Checkpoints) -> None:
    """Continue a training from its last checkpoint; without one it starts from the beginning.

    Raises:
        RequestError: the checkpoint is damaged, or does not fit.
    """
    content = checkpoints.load()
    if content is not None:
        checkpoint = unpacked(content, checkpoints.identity, checkpoints.path)
        restore(checkpoint, state.network, state.optimizer, checkpoints.path)
        state.position, state.trained = checkpoint.position, checkpoint.trained


class WriteCheckpoints:
    """Writes checkpoints at intervals, and at the end."""

    def __init__(self, checkpoints: Checkpoints, interval: Interval):
        self._checkpoints, self._interval = checkpoints, interval

    def on_training_begin(self, state: SingleTrainingState) -> None:
        """Count the minutes from here."""
        self._written = time.perf_counter()

    def on_within_epoch(self, state: SingleTrainingState) -> None:
        """Write one if the minutes have passed."""
        if time.perf_counter() - self._written > 60 * self._interval.minutes:
            self._write(state)

    def on_next_epoch(self, state: SingleTrainingState) -> None:
        """Write one if the epochs or the minutes have passed, or the training ends."""
        if state.stopped or state.epoch % self._interval.epochs == 0:
            self._write(state)
        else:
            self.on_within_epoch(state)

    def _write(self, state: SingleTrainingState) -> None:
        checkpoint = Checkpoint(state.position, state.trained, state.network.state_dict(), state.optimizer.state_dict())
        self._checkpoints.save(packed(checkpoint, self._checkpoints.identity))
        self._written = time.perf_counter()
