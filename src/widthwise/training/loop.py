"""Training of one network on images, on any device and on several processes, with Lightning Fabric."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Int
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from widthwise.data.dataset import Dataset, Split
from widthwise.errors import RequestError
from widthwise.networks.dropout import draw_dropout
from widthwise.training.batch_normalization import momenta, synchronized, weigh_running_statistics
from widthwise.training.checkpoint import Checkpoint, Position, packed, restore, unpacked
from widthwise.training.evaluation import IMAGE_BATCH, evaluate
from widthwise.training.optimizer import build_optimizer, decaying_weights_alone
from widthwise.training.recipe import Recipe
from widthwise.training.trained_network import HISTORY, Parameters, TrainedNetwork

AUXILIARY_WEIGHT = 0.4
"""Of the loss of Inception-v3's auxiliary head, as published."""
LOOK_EVERY = 50
"""After so many batches the loss is looked at: a network that has diverged ends there, progress is shown, and a
checkpoint written if it is time."""
SECONDS_BETWEEN_LOOKS = 10.0
"""One process alone also shows progress and writes after so many seconds."""


@runtime_checkable
class Checkpoints(Protocol):
    """Where the checkpoints of one training are kept."""

    @property
    def identity(self) -> str:
        """What the training is called."""
        ...

    @property
    def where(self) -> str:
        """The path of the checkpoint, for messages."""
        ...

    def load(self) -> bytes | None:
        """The last checkpoint, if there is one."""
        ...

    def save(self, content: bytes) -> None:
        """Put a checkpoint in the place of the last one, whole or not at all."""
        ...


@dataclass(frozen=True)
class Interval:
    """A checkpoint is written after so many epochs or minutes, whichever comes first, and when training ends."""

    epochs: int = 1
    minutes: float = 5.0


@dataclass(frozen=True)
class Moment:
    """Where a training is, to be shown. Means are over the epoch so far; speed is over this call of `train`."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float
    validation_accuracy: float | None = None
    """At the end of an epoch."""


def train(
    network: nn.Module,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    fabric: Fabric,
    *,
    checkpoints: Checkpoints | None = None,
    interval: Interval = Interval(),
    on_moment: Callable[[Moment], None] = lambda moment: None,
) -> TrainedNetwork:
    """Train `network` in place on images by `recipe`.

    With several processes each computes its share of every batch, and the result is that of one process with the
    whole batch, but for the order in which sums are taken. A training that continues from a checkpoint ends with the
    numbers of an unbroken one, to the bit on a CPU.

    Args:
        network: the initial network, on the CPU.
        data: whose batches come on the device of `fabric`.
        recipe: how to train.
        seed: of the order of examples, augmentation and dropout.
        fabric: device, precision and processes, launched.
        checkpoints: where to continue from and to write to; of several processes the first one writes.
        interval: how often to write.
        on_moment: told of progress every few batches, and of each epoch's end.

    Raises:
        RequestError: there are fewer examples than a batch holds, the last batch cannot be shared between the
            processes, a checkpoint does not fit, or an image cannot be decoded.
    """
    _check(len(data.train), recipe, fabric.world_size)
    network.to(fabric.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if fabric.world_size > 1:
        network = synchronized(network, fabric.device)
    optimizer = build_optimizer(recipe, decaying_weights_alone(recipe, network))
    run = TrainingState(network, optimizer, Position(), TrainedNetwork())
    if checkpoints is not None and (content := checkpoints.load()) is not None:
        checkpoint = unpacked(content, checkpoints.identity, checkpoints.where)
        restore(checkpoint, network, optimizer, checkpoints.where)
        run.position, run.fitted = checkpoint.position, checkpoint.fitted
    compiled = cast(nn.Module, torch.compile(network)) if recipe.compile else network
    module, wrapped = fabric.setup(compiled, optimizer)

    clock = _Clock(run.position, len(data.train), recipe)
    batches = -(-len(data.train) // recipe.scaled_batch_size)
    last_written = last_told = time.perf_counter()
    decays = {} if recipe.compile else momenta(network)  # a momentum that changes would be compiled again and again

    def write() -> None:
        nonlocal last_written
        run.position.seconds = clock.seconds
        if checkpoints is not None and fabric.is_global_zero:
            checkpoints.save(packed(run.checkpoint(), checkpoints.identity))
        last_written = time.perf_counter()

    for epoch in range(run.position.epoch, recipe.epochs):
        network.train()
        position, rate = run.position, recipe.rate(epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate
        before = [position.loss, position.correct] if fabric.is_global_zero else [0.0, 0.0]
        totals = torch.tensor(before, dtype=torch.float64, device=fabric.device)
        share = {"rank": fabric.global_rank, "processes": fabric.world_size, "start": position.batch}
        shuffled = data.train.epoch(seed, epoch, recipe.scaled_batch_size, augment=recipe.augmentation, **share)
        for inputs, labels, examples in shuffled:
            weigh_running_statistics(decays, position.step)
            first = _first_of_share(examples, fabric)
            draw = partial(draw_dropout, network, seed, position.step, examples)
            totals += _step(fabric, module, wrapped, inputs, labels, examples, first, draw, recipe)
            position.batch, position.step = position.batch + 1, position.step + 1
            position.examples += examples
            looked = position.batch % LOOK_EVERY == 0
            late = fabric.world_size == 1 and time.perf_counter() - last_told > SECONDS_BETWEEN_LOOKS
            if (looked or late) and position.batch < batches:
                position.loss, position.correct = _over_processes(fabric, totals)
                if looked and not math.isfinite(position.loss):
                    break
                on_moment(clock.moment(position, batches))
                last_told = time.perf_counter()
                if last_told - last_written > 60 * interval.minutes:
                    write()
        position.loss, position.correct = _over_processes(fabric, totals)
        validation = _evaluated_if_finite(network, data.validation, position.loss)
        seconds = clock.seconds
        means = (position.loss / position.examples, position.correct / position.examples)
        row: dict[str, float | int] = dict(zip(HISTORY, (epoch + 1, rate, *means, *validation, seconds), strict=True))
        moment = clock.moment(position, batches, validation[1])
        row = fabric.broadcast(row)  # so that all processes end together
        run.fitted.damaged |= _damaged(fabric, data)
        ended = run.fitted.record(row, recipe, partial(_state, network))
        run.position = Position(recipe.epochs if ended else epoch + 1, step=position.step, seconds=seconds)
        on_moment(moment)
        if ended:
            write()
            break
        if (epoch + 1) % interval.epochs == 0 or time.perf_counter() - last_written > 60 * interval.minutes:
            write()
    return run.fitted


@dataclass
class TrainingState:
    """A training as it stands."""

    network: nn.Module
    optimizer: Optimizer
    position: Position
    fitted: TrainedNetwork

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.position, self.fitted, self.network.state_dict(), self.optimizer.state_dict())


@dataclass
class _Clock:
    """Time and speed, counted over interruptions."""

    begun_at: Position
    examples: int
    recipe: Recipe
    _started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self._before, self._seen = self.begun_at.seconds, self._seen_at(self.begun_at)

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._started

    def moment(self, position: Position, batches: int, validation_accuracy: float | None = None) -> Moment:
        """Where the training is; the time left counts all of the recipe's epochs."""
        seen = self._seen_at(position)
        rate = (seen - self._seen) / (time.perf_counter() - self._started)
        return Moment(
            epoch=position.epoch + 1,
            epochs=self.recipe.epochs,
            batch=position.batch,
            batches=batches,
            loss=position.loss / position.examples,
            accuracy=position.correct / position.examples,
            images_per_second=rate,
            seconds_left=(self.recipe.epochs * self.examples - seen) / rate,
            validation_accuracy=validation_accuracy,
        )

    def _seen_at(self, position: Position) -> int:
        return position.epoch * self.examples + position.examples


def _check(examples: int, recipe: Recipe, processes: int) -> None:
    batch = recipe.scaled_batch_size
    if examples < batch:
        raise RequestError(
            f"a batch has {batch} examples and the training set only {examples}; set training.batch_size to at most "
            f"{examples}"
        )
    for size in (batch, examples % batch):
        if 0 < size < processes:
            raise RequestError(
                f"a batch of {size} cannot be shared between {processes} processes; choose another training.batch_size"
            )


def _first_of_share(examples: int, fabric: Fabric) -> int:
    """The number, within a batch, of the first example of this process's share."""
    share, more = divmod(examples, fabric.world_size)
    return share * fabric.global_rank + min(more, fabric.global_rank)


def _over_processes(fabric: Fabric, totals: Tensor) -> tuple[float, float]:
    """The sums of all processes."""
    loss, correct = cast(Tensor, fabric.all_reduce(totals.clone(), reduce_op="sum")).tolist()
    return loss, correct


def _damaged(fabric: Fabric, data: Dataset) -> dict[str, str]:
    """The images that any process could not decode so far."""
    own = data.train.damaged | data.validation.damaged
    if fabric.world_size == 1:
        return own
    every: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(every, own)
    return {name: reason for each in every for name, reason in each.items()}


def _step(
    fabric: Fabric,
    module: Any,
    optimizer: Optimizer,
    inputs: Tensor,
    labels: Int[Tensor, " share"],
    examples: int,
    first: int,
    draw: Callable[[int], None],
    recipe: Recipe,
) -> Tensor:
    """One step with the gradient of the mean loss over the whole batch; the share's summed loss and correct answers."""
    optimizer.zero_grad()
    totals = torch.zeros(2, dtype=torch.float64, device=fabric.device)
    largest_share = -(-examples // fabric.world_size)
    count = -(-largest_share // (recipe.micro_batch_size or largest_share))  # the same in every process
    pieces = zip(inputs.tensor_split(count), labels.tensor_split(count), strict=True)
    for number, (some, their_labels) in enumerate(pieces):
        draw(first)
        first += len(their_labels)
        with fabric.no_backward_sync(module, enabled=number + 1 < count):
            outputs = module(some)
            logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
            summed = nn.functional.cross_entropy(logits.float(), their_labels, reduction="sum")
            loss = summed
            for extra in auxiliary:
                loss = loss + AUXILIARY_WEIGHT * nn.functional.cross_entropy(
                    extra.float(), their_labels, reduction="sum"
                )
            fabric.backward(loss * (fabric.world_size / examples))
        with torch.no_grad():
            totals += torch.stack([summed, (logits.argmax(-1) == their_labels).sum()])
    optimizer.step()
    return totals


def _state(network: nn.Module) -> Parameters:
    """A copy of the network's parameters and buffers, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _evaluated_if_finite(network: nn.Module, split: Split, loss: float) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over a split; of a network that has diverged neither is a number."""
    if not math.isfinite(loss):
        return math.nan, math.nan
    accuracy, mean = evaluate(network, split, IMAGE_BATCH)
    return mean, accuracy
