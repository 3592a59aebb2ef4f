"""Everything in a training except its steps, as callbacks in the manner of Lightning Fabric, one per file.

A callback is any object with some of these methods, each of which takes the training's state:

    on_training_begin     before the first batch, also of a training that continues
    on_look               every few batches, in all processes; the state's sums are up to date
    on_within_epoch       after `on_look`, and in a single process also after some time without it
    on_epoch_measured     the epoch's numbers are known but not logged yet
    on_epoch_end          they are logged: the history holds the epoch
    on_next_epoch         the state's position is that of the next epoch, or of the end
    on_training_end       after the last epoch

The names differ from PyTorch Lightning's: a user's network may be a LightningModule, and Fabric calls its methods too.
"""
