"""The clock of a training: seconds, speed, time left."""

import time

from widthwise.training.state import SingleTrainingState


class Clock:
    """Counts seconds across interruptions, and speed since this process began to train."""

    def on_training_begin(self, state: SingleTrainingState) -> None:
        """Start from the seconds that a continued training has already taken."""
        self._started = time.perf_counter()
        self._before, self._seen_before = state.position.seconds, _seen(state)

    def on_within_epoch(self, state: SingleTrainingState) -> None:
        """Bring the state up to date."""
        here, seen = time.perf_counter() - self._started, _seen(state)
        state.position.seconds = self._before + here
        state.speed = (seen - self._seen_before) / here
        state.seconds_left = (state.recipe.epochs * state.examples - seen) / state.speed

    def on_epoch_measured(self, state: SingleTrainingState) -> None:
        """Add the numbers of the epoch: seconds since training began, and examples per second."""
        self.on_within_epoch(state)
        state.metrics |= {"seconds": state.position.seconds, "examples_per_second": state.speed}

    def on_next_epoch(self, state: SingleTrainingState) -> None:
        """Carry the seconds over."""
        state.position.seconds = self._before + time.perf_counter() - self._started


def _seen(state: SingleTrainingState) -> int:
    """Examples trained on so far, in all epochs together."""
    return state.position.epoch * state.examples + state.position.examples
