"""Training of small networks as one stack: initial networks and data in, trained networks and histories out."""

import time
from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor, nn

from widthwise.data.dataset import Dataset, Split
from widthwise.randomness import generator
from widthwise.training.callbacks.divergence import Divergence
from widthwise.training.callbacks.early_stop import EarlyStop
from widthwise.training.history import History
from widthwise.training.optimizer import build_optimizer, keep_members, stacked_groups
from widthwise.training.recipe import Recipe
from widthwise.training.stack import Stack
from widthwise.training.state import TrainingState
from widthwise.training.trained_network import TrainedNetwork

MEASURED = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


@torch.no_grad()
def train_stack(
    networks: Sequence[nn.Module], datasets: Sequence[Dataset], seeds: Sequence[int], recipe: Recipe
) -> list[TrainedNetwork]:
    """Train each network on its data set by `recipe`, all as one stack; the networks themselves stay as they are.

    The order of the examples is drawn afresh each epoch from the network's seed, or is that of the data. A network
    whose loss is no longer finite has diverged: it ends there and is recorded as diverged. Each result is that of
    training the network by itself, bit for bit on one CPU thread.

    Args:
        networks: initial networks of one architecture, one per member.
        datasets: each member's data; members may share one.
        seeds: each member's seed.

    Raises:
        RequestError: there are fewer batches than an epoch has, or no layer has a name that the recipe gives.
    """
    stack = Stack(networks)
    optimizer = build_optimizer(recipe, stacked_groups(recipe, stack.parameters, networks[0]))
    train = _StackedSplit([dataset.train for dataset in datasets])
    validation = _StackedSplit([dataset.validation for dataset in datasets])
    shuffles = {seed: generator(seed, "order") for seed in seeds}
    in_epoch = recipe.examples_in_epoch(train.examples)

    states = [TrainingState(recipe, partial(stack.member, member)) for member in range(len(networks))]
    histories = [History(state.trained.history) for state in states]
    rules = (Divergence(), EarlyStop())
    running = torch.arange(len(networks))  # the members that the stack still holds
    started = time.perf_counter()
    for epoch in range(recipe.epochs):
        rate = recipe.rate(epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if recipe.order == "fixed":
            order = torch.arange(in_epoch).expand(len(stack), -1)
        else:
            orders = {seed: torch.randperm(train.examples, generator=shuffle) for seed, shuffle in shuffles.items()}
            order = torch.stack([orders[seeds[member]][:in_epoch] for member in running.tolist()])
        trained = _train_epoch(stack, optimizer, train, running, order, recipe.scaled_batch_size)
        validated = _evaluate(stack, validation, running, recipe.scaled_batch_size)
        seconds = time.perf_counter() - started
        columns = zip(running.tolist(), *(column.tolist() for column in (*trained, *validated)), strict=True)
        for member, *measured in columns:
            state = states[member]
            if state.stopped:
                continue
            state.epoch = epoch + 1
            numbers = dict(zip(MEASURED, measured, strict=True))
            histories[member].log_metrics({"learning_rate": rate, **numbers, "seconds": seconds}, step=state.epoch)
            for rule in rules:
                rule.on_epoch_end(state)
        alive = torch.tensor([not states[member].stopped for member in running.tolist()])
        if not alive.any():
            break
        if alive.sum() * 2 <= len(stack):  # a smaller stack is traced anew, so shrink seldom
            running = running[alive]
            before = list(stack.parameters.values())
            stack.keep(alive)
            keep_members(optimizer, dict(zip(before, stack.parameters.values(), strict=True)), alive)
            for index, member in enumerate(running.tolist()):
                states[member].parameters = partial(stack.member, index)
    return [state.trained for state in states]


class _StackedSplit:
    """One split of each member's data set, those that members share stored once."""

    def __init__(self, splits: Sequence[Split]):
        distinct = {id(split): split for split in splits}
        indices = {identity: index for index, identity in enumerate(distinct)}
        whole = [next(iter(split.batches(len(split)))) for split in distinct.values()]
        inputs, labels = zip(*whole, strict=True)
        self.inputs, self.labels = torch.stack(inputs), torch.stack(labels)
        self.index = torch.tensor([indices[id(split)] for split in splits])
        self.examples = self.labels.shape[1]

    def batch(
        self, members: Int[Tensor, " members"], examples: Int[Tensor, "members batch"]
    ) -> tuple[Tensor, Int[Tensor, "members batch"]]:
        """Inputs and labels of each member's own examples."""
        index = self.index[members].unsqueeze(1)
        return self.inputs[index, examples], self.labels[index, examples]


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
    return loss / order.shape[1], correct / order.shape[1]


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
