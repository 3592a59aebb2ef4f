"""The progress of a training, as events."""

from widthwise.progress import OnProgress, Progress
from widthwise.training.state import SingleTrainingState


class ProgressEvents:
    """Turns a training's state into `Progress` events: every few batches, and at each epoch's end.

    `done` and `total` are epochs, with the share of the present one. At an epoch's end the numbers are the epoch's
    own; within it they are means over the epoch so far. Each has the speed, `examples_per_second`.
    """

    def __init__(self, on_progress: OnProgress):
        self._on_progress = on_progress

    def on_within_epoch(self, state: SingleTrainingState) -> None:
        """Report the means so far."""
        position = state.position
        self._report(
            state,
            position.epoch + position.batch / state.batches,
            {
                "train_loss": position.loss / position.examples,
                "train_accuracy": position.correct / position.examples,
                "examples_per_second": state.speed,
            },
        )

    def on_epoch_end(self, state: SingleTrainingState) -> None:
        """Report the epoch."""
        self._report(state, state.epoch, state.metrics)

    def _report(self, state: SingleTrainingState, done: int | float, numbers: dict[str, float]) -> None:
        left = state.seconds_left
        self._on_progress(Progress("training", done, state.recipe.epochs, "epochs", numbers=numbers, seconds_left=left))
