"""The state of a training, which a loop holds and callbacks read and change."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from widthwise.training.recipe import Recipe
from widthwise.training.trained_network import Parameters, TrainedNetwork


@dataclass
class TrainingState:
    """The training of one network, by itself or in a stack.

    recipe: the recipe that it is trained by.
    parameters: a function that returns a copy of the network's current parameters and buffers, on the CPU.
    trained: the result so far; its history holds each epoch that has ended.
    epoch: the current epoch, counted from 1.
    stopped: a callback sets it to end the training; within an epoch, that epoch is the last.
    """

    recipe: Recipe
    parameters: Callable[[], Parameters]
    trained: TrainedNetwork = field(default_factory=TrainedNetwork)
    epoch: int = 0
    stopped: bool = False


@dataclass
class Position:
    """The next batch to train on, and the sums over the epoch's batches before it.

    epoch, batch: counted from 0.
    step: the number of batches since training began.
    seconds: the time that training has taken so far.
    loss, correct, examples: the summed loss, the number of correct answers, and the number of examples.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    correct: float = 0.0
    examples: int = 0


@dataclass
class SingleTrainingState(TrainingState):
    """The training of a network by itself, batch by batch.

    network, optimizer: their current state.
    examples, batches: the numbers of examples and of batches in an epoch.
    position: the position of the training.
    metrics: the numbers of the epoch that just ended, by name; callbacks add theirs before they are logged.
    speed: examples per second since this process began to train.
    seconds_left: an estimate; it counts all of the recipe's epochs.
    """

    network: nn.Module = field(kw_only=True)
    optimizer: Optimizer = field(kw_only=True)
    examples: int = field(kw_only=True)
    batches: int = field(kw_only=True)
    position: Position = field(default_factory=Position)
    metrics: dict[str, float] = field(default_factory=dict)
    speed: float = 0.0
    seconds_left: float | None = None
