"""Early stopping, and the choice of epochs whose networks are kept."""

from widthwise.training.state import TrainingState


class EarlyStop:
    """Keeps the networks that the recipe asks for, and ends the training when the recipe says so.

    With `patience` the best epoch's network is the result, otherwise the last one's.
    """

    def on_epoch_end(self, state: TrainingState) -> None:
        """Check the epoch that just ended."""
        recipe, trained = state.recipe, state.trained
        if trained.status == "diverged":
            return
        *before, accuracy = trained.history[recipe.stop_on]
        better = accuracy > max(before, default=-1.0)
        reached = recipe.stop_at is not None and accuracy >= recipe.stop_at
        last = state.stopped or reached or state.epoch == recipe.epochs
        if better if recipe.patience else last:
            trained.epoch, trained.parameters = state.epoch, state.parameters()
        if state.epoch in recipe.kept_epochs:
            trained.kept[state.epoch] = state.parameters()
        state.stopped = last or (recipe.patience is not None and state.epoch - trained.epoch >= recipe.patience)
