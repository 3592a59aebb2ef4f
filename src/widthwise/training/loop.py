"""Training of one network by itself, on any device and in several processes, with Lightning Fabric.

Everything but the steps is done by the callbacks in `callbacks/`, and every epoch's numbers go to Fabric's loggers, of
which the history is one.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from torch import nn

from widthwise.data.dataset import Dataset, Part, Split
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, unseen
from widthwise.training.batch import BatchStep, over_processes
from widthwise.training.batch_normalization import momenta, synchronized
from widthwise.training.callbacks.checkpoint import Checkpoints, Interval, WriteCheckpoints, resume
from widthwise.training.callbacks.clock import Clock
from widthwise.training.callbacks.divergence import Divergence
from widthwise.training.callbacks.early_stop import EarlyStop
from widthwise.training.callbacks.progress import ProgressEvents
from widthwise.training.evaluation import SINGLE_BATCH, evaluate
from widthwise.training.history import History
from widthwise.training.optimizer import build_optimizer, decaying_weights_alone
from widthwise.training.recipe import Recipe
from widthwise.training.state import Position, SingleTrainingState
from widthwise.training.trained_network import Parameters, TrainedNetwork

LOOK_EVERY = 50
"""After this many batches the callbacks check the training: it ends if it has diverged, progress is shown, and a
checkpoint is written if it is time."""
SECONDS_BETWEEN_LOOKS = 10.0
"""One process alone also shows progress, and writes, after this time."""

Logger.register(History)


def train(
    network: nn.Module,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    fabric: Fabric,
    *,
    checkpoints: Checkpoints | None = None,
    interval: Interval = Interval(),
    on_progress: OnProgress = unseen,
) -> TrainedNetwork:
    """Train `network` in place by `recipe`.

    With several processes each computes its share of every batch, and the result is that of one process with the whole
    batch, except for the order of summation. A training that continues from a checkpoint ends with the numbers of an
    uninterrupted one, bit for bit on a CPU.

    Args:
        network: the initial network, on the CPU.
        data: of any kind that the network takes; its batches come on the device of `fabric`.
        recipe: the recipe to train by.
        seed: the seed of the order of examples, augmentation and dropout.
        fabric: device, precision and processes, launched. Its loggers receive each epoch's numbers: `learning_rate`,
            `train_loss`, `train_accuracy`, `validation_loss`, `validation_accuracy`, `seconds` and
            `examples_per_second`, with the epoch, counted from 1, as the step. Its callbacks are called after the
            training's own (`widthwise.training.callbacks`).
        checkpoints: the storage to continue from and to write to; of several processes the first one writes.
        interval: the interval between checkpoints.
        on_progress: receives an event every few batches and at each epoch's end, in the first process.

    Raises:
        RequestError: there are fewer examples than a batch holds or fewer batches than an epoch has, the last batch
            cannot be shared between the processes, no layer has a name that the recipe gives, a checkpoint does not
            fit, or an image cannot be decoded.
    """
    _check(len(data.train), recipe, fabric.world_size)
    _channels_last(network.to(fabric.device))
    if fabric.world_size > 1:
        network = synchronized(network, fabric.device)
    optimizer = build_optimizer(recipe, decaying_weights_alone(recipe, network))
    state = SingleTrainingState(
        recipe,
        partial(_copied, network),
        network=network,
        optimizer=optimizer,
        examples=recipe.examples_in_epoch(len(data.train)),
        batches=recipe.batches_in_epoch(len(data.train)),
    )
    if checkpoints is not None:
        resume(state, checkpoints)
    own: list[object] = [Clock(), Divergence(), EarlyStop()]
    if fabric.is_global_zero:
        own += [ProgressEvents(on_progress)]
        own += [WriteCheckpoints(checkpoints, interval)] if checkpoints is not None else []
    call = partial(_call, fabric, own, state)
    compiled = cast(nn.Module, torch.compile(network)) if recipe.compile else network
    drawn_on = [fabric.device] if fabric.device.type == "cuda" else []  # and on the CPU: each step sets these streams
    with _logging_to(fabric, History(state.trained.history)), torch.random.fork_rng(drawn_on):
        module, stepping = fabric.setup(compiled, optimizer)
        decays = {} if recipe.compile else momenta(network)  # a changing momentum would be compiled again and again
        step = BatchStep(fabric, module, stepping, network, recipe, seed, decays)
        call("on_training_begin")
        for epoch in range(state.position.epoch, recipe.epochs):
            state.epoch = epoch + 1
            _train_epoch(state, step, data.train, call)
            _measure_epoch(state, data.validation)
            call("on_epoch_measured")
            state.metrics = fabric.broadcast(state.metrics)  # so that all processes end together
            fabric.log_dict(state.metrics, step=state.epoch)
            state.trained.damaged |= _damaged(fabric, data)
            call("on_epoch_end")
            state.position = Position(recipe.epochs if state.stopped else state.epoch, step=state.position.step)
            call("on_next_epoch")
            if state.stopped:
                break
        call("on_training_end")
    return state.trained


def _train_epoch(state: SingleTrainingState, step: BatchStep, split: Split, call: Callable[[str], None]) -> None:
    """Train on the batches of an epoch that are left, and leave their sums in the state's position."""
    fabric, recipe, position = step.fabric, state.recipe, state.position
    state.network.train()
    for group in state.optimizer.param_groups:
        group["lr"] = recipe.rate(position.epoch)
    before = [position.loss, position.correct] if fabric.is_global_zero else [0.0, 0.0]
    totals = torch.tensor(before, dtype=torch.float64, device=fabric.device)
    batches = split.epoch(
        step.seed,
        position.epoch,
        recipe.scaled_batch_size,
        augment=recipe.augmentation,
        recolour=recipe.colour_augmentation,
        shuffled=recipe.order == "shuffled",
        part=Part(fabric.global_rank, fabric.world_size, position.batch, state.batches),
    )
    seen = time.perf_counter()
    for inputs, labels, examples in batches:
        totals += step(inputs, labels, examples, position.step)
        position.batch, position.step = position.batch + 1, position.step + 1
        position.examples += examples
        look = position.batch % LOOK_EVERY == 0
        late = fabric.world_size == 1 and time.perf_counter() - seen > SECONDS_BETWEEN_LOOKS
        if (look or late) and position.batch < state.batches:
            seen = time.perf_counter()
            position.loss, position.correct = over_processes(fabric, totals)
            if look:
                call("on_look")
            if state.stopped:
                break
            call("on_within_epoch")
    position.loss, position.correct = over_processes(fabric, totals)


def _measure_epoch(state: SingleTrainingState, validation: Split) -> None:
    """Write the epoch's numbers into the state's metrics. A network that has diverged is not evaluated."""
    position = state.position
    accuracy = loss = math.nan
    if math.isfinite(position.loss):
        accuracy, loss = evaluate(state.network, validation, SINGLE_BATCH)
    state.metrics = {
        "learning_rate": state.recipe.rate(position.epoch),
        "train_loss": position.loss / position.examples,
        "train_accuracy": position.correct / position.examples,
        "validation_loss": loss,
        "validation_accuracy": accuracy,
    }


def _call(fabric: Fabric, own: Sequence[object], state: SingleTrainingState, event: str) -> None:
    """Call the methods for an event: of a training's own callbacks, then of those that `fabric` came with.

    Fabric takes callbacks only when it is created, before there is a training.
    """
    for callback in own:
        if method := getattr(callback, event, None):
            method(state)
    fabric.call(event, state)


@contextmanager
def _logging_to(fabric: Fabric, history: History) -> Iterator[None]:
    """Put a training's history before the loggers of `fabric`, and remove it afterwards."""
    fabric.loggers.insert(0, cast(Logger, history))
    try:
        yield
    finally:
        del fabric.loggers[0]


def _check(examples: int, recipe: Recipe, processes: int) -> None:
    batch = recipe.scaled_batch_size
    if examples < batch:
        raise RequestError(
            f"a batch has {batch} examples and the training set only {examples}",
            settings={"training.batch_size": examples},
        )
    for size in (batch, recipe.examples_in_epoch(examples) % batch):
        if 0 < size < processes:
            raise RequestError(
                f"a batch of {size} cannot be shared between {processes} processes; choose another batch size",
                field="training.batch_size",
            )


def _channels_last(network: nn.Module) -> None:
    """Store images with their channels last, which convolutions in two dimensions compute fastest."""
    if all(parameter.dim() < 5 for parameter in network.parameters()):
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _damaged(fabric: Fabric, data: Dataset) -> dict[str, str]:
    """The images that any process could not decode so far."""
    own = data.train.damaged | data.validation.damaged
    if fabric.world_size == 1:
        return own
    every: list[dict[str, str]] = [{}] * fabric.world_size
    torch.distributed.all_gather_object(every, own)
    return {name: reason for each in every for name, reason in each.items()}


def _copied(network: nn.Module) -> Parameters:
    """A copy of the network's parameters and buffers, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
