"""Training of small networks as one stack: initial networks and data in, trained networks and histories out."""

import time
from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor, nn

from widthwise.data.dataset import Dataset
from widthwise.data.examples import ResidentExamples
from widthwise.randomness import generator
from widthwise.training.optimizer import build_optimizer, keep_members
from widthwise.training.recipe import Recipe
from widthwise.training.stack import Stack
from widthwise.training.trained_network import HISTORY, TrainedNetwork


@torch.no_grad()
def fit(
    networks: Sequence[nn.Module], datasets: Sequence[Dataset], seeds: Sequence[int], recipe: Recipe
) -> list[TrainedNetwork]:
    """Train each network on its data set by `recipe`, all as one stack; the networks themselves stay as they are.

    The order of the examples is drawn afresh each epoch from the network's seed. A network whose loss is no longer
    finite has diverged: it ends there and is recorded so. Each result is what training that network by itself gives,
    to the bit on one CPU thread.

    Args:
        networks: initial networks of one architecture, one a member.
        datasets: each member's data; members may share one.
        seeds: each member's seed.
    """
    stack = Stack(networks)
    parameters = list(stack.parameters.values())
    optimizer = build_optimizer(recipe, parameters)
    train = _StackedSplit([dataset.train for dataset in datasets])
    validation = _StackedSplit([dataset.validation for dataset in datasets])
    shuffles = {seed: generator(seed, "order") for seed in seeds}

    fitted = [TrainedNetwork() for _ in networks]
    running = torch.arange(len(networks))  # the members that the stack still holds
    ended: set[int] = set()
    started = time.perf_counter()
    for epoch in range(recipe.epochs):
        rate = recipe.rate(epoch)
        optimizer.param_groups[0]["lr"] = rate
        orders = {seed: torch.randperm(train.examples, generator=shuffle) for seed, shuffle in shuffles.items()}
        order = torch.stack([orders[seeds[member]] for member in running.tolist()])
        train_loss, train_accuracy = _train_epoch(stack, optimizer, train, running, order, recipe.scaled_batch_size)
        validation_loss, validation_accuracy = _evaluate(stack, validation, running, recipe.scaled_batch_size)
        seconds = time.perf_counter() - started
        for place, member in enumerate(running.tolist()):
            if member in ended:
                continue
            measured = (train_loss, train_accuracy, validation_loss, validation_accuracy)
            row = (epoch + 1, rate, *(column[place].item() for column in measured), seconds)
            entry = dict(zip(HISTORY, row, strict=True))
            if fitted[member].record(entry, recipe, partial(stack.member, place)):
                ended.add(member)
        if len(ended) == len(networks):
            break
        alive = torch.tensor([member not in ended for member in running.tolist()])
        if alive.sum() * 2 <= len(stack):  # a smaller stack is traced anew, so shrink seldom
            running = running[alive]
            stack.keep(alive)
            keep_members(optimizer, list(stack.parameters.values()), alive)
    return fitted


class _StackedSplit:
    """One split of each member's data set, those that members share stored once."""

    def __init__(self, splits: Sequence[ResidentExamples]):
        distinct = {id(split): split for split in splits}
        places = {identity: place for place, identity in enumerate(distinct)}
        self.inputs = torch.stack([split.inputs for split in distinct.values()])
        self.labels = torch.stack([split.labels for split in distinct.values()])
        self.place = torch.tensor([places[id(split)] for split in splits])
        self.examples = self.labels.shape[1]

    def batch(
        self, members: Int[Tensor, " members"], examples: Int[Tensor, "members batch"]
    ) -> tuple[Tensor, Int[Tensor, "members batch"]]:
        """Inputs and labels of each member's own examples."""
        place = self.place[members].unsqueeze(1)
        return self.inputs[place, examples], self.labels[place, examples]


def _train_epoch(
    stack: Stack,
    optimizer: torch.optim.Optimizer,
    split: _StackedSplit,
    running: Int[Tensor, " members"],
    order: Int[Tensor, "members examples"],
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """Mean loss and accuracy of each member over the epoch's batches."""
    loss = torch.zeros(len(stack), dtype=torch.float64)
    correct = torch.zeros(len(stack), dtype=torch.float64)
    for examples in order.split(batch_size, dim=1):
        gradients, evaluation = stack.gradients(*split.batch(running, examples))
        for parameter, gradient in zip(stack.parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        loss += evaluation.loss
        correct += evaluation.correct
    return loss / split.examples, correct / split.examples


def _evaluate(
    stack: Stack, split: _StackedSplit, running: Int[Tensor, " members"], batch_size: int
) -> tuple[Tensor, Tensor]:
    """Mean loss and accuracy of each member over a split."""
    loss = torch.zeros(len(stack), dtype=torch.float64)
    correct = torch.zeros(len(stack), dtype=torch.float64)
    for examples in torch.arange(split.examples).split(batch_size):
        evaluation = stack.evaluate(*split.batch(running, examples.expand(len(stack), -1)))
        loss += evaluation.loss
        correct += evaluation.correct
    return loss / split.examples, correct / split.examples
