"""Divergence: a training whose loss is no longer finite ends, and is recorded as diverged."""

import math

from widthwise.training.state import SingleTrainingState, TrainingState


class Divergence:
    """Ends a training that has diverged. Nothing of its network is kept."""

    def on_look(self, state: SingleTrainingState) -> None:
        """End the epoch if its loss so far is not finite."""
        state.stopped = state.stopped or not math.isfinite(state.position.loss)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Record a divergence in the epoch that just ended."""
        trained = state.trained
        losses = (trained.history["train_loss"][-1], trained.history["validation_loss"][-1])
        if not all(map(math.isfinite, losses)):
            trained.status, trained.epoch, trained.parameters, trained.kept = "diverged", state.epoch, {}, {}
            state.stopped = True
