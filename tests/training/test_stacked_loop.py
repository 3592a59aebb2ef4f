"""Training: against PyTorch's own loop, alone and in a stack, to the end and to a stop."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from widthwise.data.dataset import Dataset
from widthwise.data.examples import ResidentExamples
from widthwise.data.source import TeacherData
from widthwise.data.teacher import teacher_data
from widthwise.errors import RequestError
from widthwise.networks.build import build_initialized
from widthwise.networks.mlp import MLPDescription
from widthwise.networks.scheme import Initialization
from widthwise.randomness import generator
from widthwise.training.history import HISTORY
from widthwise.training.recipe import ConstantRate, ExponentialDecay, Recipe, StepDecay
from widthwise.training.stacked_loop import train_stack
from widthwise.training.trained_network import TrainedNetwork

SOURCE = TeacherData(train_examples=100, validation_examples=60, test_examples=10)
RECIPE = Recipe(learning_rate=0.1, batch_size=32, epochs=4)


def network(width: float = 0.25, deviation: float = 0.5, seed: int = 0, inputs: int = 10) -> nn.Module:
    initialization = Initialization(scheme="normal", standard_deviation=deviation)
    return build_initialized(MLPDescription(width_factor=width), initialization, (inputs,), 2, seed)


def data(seed: int, dimensions: int = 10) -> Dataset:
    return teacher_data(SOURCE.model_copy(update={"seed": seed, "dimensions": dimensions}))


def same(one: TrainedNetwork, other: TrainedNetwork) -> bool:
    """The same to the bit, but for the time it took."""
    histories = ({name: column for name, column in each.history.items() if name != "seconds"} for each in (one, other))
    first, second = ({name: torch.tensor(column) for name, column in each.items()} for each in histories)
    return (
        (one.status, one.epoch) == (other.status, other.epoch)
        and all(torch.equal(one.parameters[name], other.parameters[name]) for name in other.parameters)
        and one.parameters.keys() == other.parameters.keys()
        and all(torch.allclose(first[name], second[name], rtol=0, atol=0, equal_nan=True) for name in first)
    )


@pytest.mark.parametrize("optimizer", ["momentum", "sgd", "adam", "rmsprop"])
def test_it_does_what_a_plain_loop_does(optimizer):
    recipe = RECIPE.model_copy(update={"optimizer": optimizer, "learning_rate": 0.01, "weight_decay": 0.001})
    dataset = data(0)
    (trained,) = train_stack([network()], [dataset], [7], recipe)

    plain = network()
    choices = {
        "momentum": lambda parameters: torch.optim.SGD(parameters, 0.01, momentum=0.9, weight_decay=0.001),
        "sgd": lambda parameters: torch.optim.SGD(parameters, 0.01, weight_decay=0.001),
        "adam": lambda parameters: torch.optim.Adam(parameters, 0.01, weight_decay=0.001),
        "rmsprop": lambda parameters: torch.optim.RMSprop(
            parameters, 0.01, alpha=0.9, momentum=0.9, weight_decay=0.001
        ),
    }
    steps = choices[optimizer](plain.parameters())
    shuffle = generator(7, "order")
    for epoch in range(4):
        total = 0.0
        for examples in torch.randperm(100, generator=shuffle).split(32):
            loss = functional.cross_entropy(plain(dataset.train.inputs[examples]), dataset.train.labels[examples])
            steps.zero_grad()
            loss.backward()
            steps.step()
            total += loss.item() * len(examples)
        assert trained.history["train_loss"][epoch] == pytest.approx(total / 100, rel=1e-4)
        answers = plain(dataset.validation.inputs).argmax(1)
        correct = (answers == dataset.validation.labels).double().mean().item()
        assert trained.history["validation_accuracy"][epoch] == pytest.approx(correct, abs=1 / 60 + 1e-9)
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(trained.parameters[name], parameter.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "rmsprop"])
@pytest.mark.parametrize(("width", "dimensions"), [(0.25, 10), (4, 10), (0.5, 300)])
def test_each_member_of_a_stack_is_exactly_what_it_is_alone(optimizer, width: float, dimensions: int):
    recipe = RECIPE.model_copy(update={"optimizer": optimizer, "learning_rate": 0.01})
    members = [(seed, deviation) for seed in range(3) for deviation in (1e-4, 1.0, 1e4)]
    networks = [network(width, deviation, seed, dimensions) for seed, deviation in members]
    datasets = {seed: data(seed, dimensions) for seed in range(3)}
    stacked = train_stack(networks, [datasets[seed] for seed, _ in members], [seed for seed, _ in members], recipe)
    for (seed, _), initial, result in zip(members, networks, stacked, strict=True):
        (alone,) = train_stack([initial], [datasets[seed]], [seed], recipe)
        assert same(result, alone)


@pytest.mark.parametrize("order", ["fixed", "shuffled"])
def test_an_epoch_may_be_of_fewer_batches_and_in_the_order_of_the_data(order: str):
    """And only the weights of some layers may decay."""
    recipe = RECIPE.model_copy(
        update={"batches_per_epoch": 2, "order": order, "weight_decay": 0.5, "weight_decay_layers": ("hidden",)}
    )
    dataset = data(0)
    trained = train_stack([network(), network(seed=1)], [dataset] * 2, [7, 8], recipe)
    for result, plain, seed in zip(trained, (network(), network(seed=1)), (7, 8), strict=True):
        decaying = plain.hidden.linear.weight
        others = [value for value in plain.parameters() if value is not decaying]
        groups = [{"params": [decaying], "weight_decay": 0.5}, {"params": others}]
        steps, shuffle = torch.optim.SGD(groups, 0.1, momentum=0.9), generator(seed, "order")
        for epoch in range(4):
            examples = torch.randperm(100, generator=shuffle)[:64] if order == "shuffled" else torch.arange(64)
            total, correct = 0.0, 0
            for batch in (examples[:32], examples[32:]):
                logits, labels = plain(dataset.train.inputs[batch]), dataset.train.labels[batch]
                loss = functional.cross_entropy(logits, labels)
                steps.zero_grad()
                loss.backward()
                steps.step()
                total, correct = total + loss.item(), correct + int((logits.argmax(1) == labels).sum())
            assert result.history["train_loss"][epoch] == pytest.approx(total / 2, rel=1e-4)
            assert result.history["train_accuracy"][epoch] == correct / 64
        for name, parameter in plain.named_parameters():
            torch.testing.assert_close(result.parameters[name], parameter.detach(), rtol=1e-3, atol=1e-5)


def test_all_batches_are_the_epoch():
    (limited,) = train_stack([network()], [data(0)], [7], RECIPE.model_copy(update={"batches_per_epoch": 4}))
    (whole,) = train_stack([network()], [data(0)], [7], RECIPE)
    assert same(limited, whole), "of 100 examples in batches of 32"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"batches_per_epoch": 5},
            "^training.batches_per_epoch: it is 5 and the training set has only 4 batches of 32; set it to less$",
        ),
        (
            {"weight_decay_layers": ("dense",)},
            "^training.weight_decay_layers: .* in 'dense'; there are hidden and output$",
        ),
    ],
)
def test_batches_and_layers_that_are_not_there_are_refused(fields: dict, said: str):
    with pytest.raises(RequestError, match=said):
        train_stack([network()], [data(0)], [7], RECIPE.model_copy(update=fields))


@pytest.mark.parametrize("decaying", [None, ("hidden",)], ids=["all decay", "hidden decays"])
@pytest.mark.parametrize("optimizer", ["momentum", "sgd", "adam", "rmsprop"])
def test_a_diverging_member_ends_and_its_neighbours_do_not_notice(optimizer, decaying: tuple[str, ...] | None):
    recipe = RECIPE.model_copy(
        update={"epochs": 8, "optimizer": optimizer, "weight_decay": 0.01, "weight_decay_layers": decaying}
    )
    healthy = data(0)
    broken = dataclasses.replace(healthy, train=ResidentExamples(healthy.train.inputs.clone(), healthy.train.labels))
    broken.train.inputs[3] = torch.inf
    networks = [network(seed=seed) for seed in range(4)]
    stacked = train_stack(networks, [healthy, broken, broken, broken], [0, 1, 2, 3], recipe)
    assert [result.status for result in stacked] == ["trained", "diverged", "diverged", "diverged"]
    assert all(result.epoch == 1 and not result.parameters for result in stacked[1:])
    assert all(len(result.history["epoch"]) == 1 for result in stacked[1:])
    (alone,) = train_stack(networks[:1], [healthy], [0], recipe)
    assert same(stacked[0], alone)


def test_early_stopping_keeps_the_best_epoch_and_stops_after_patience():
    recipe = Recipe(learning_rate=1.0, batch_size=16, epochs=40, patience=3)
    networks, datasets, seeds = (
        [network(seed=seed) for seed in range(6)],
        [data(seed) for seed in range(6)],
        list(range(6)),
    )
    stacked = train_stack(networks, datasets, seeds, recipe)
    lengths = set()
    for initial, dataset, seed, result in zip(networks, datasets, seeds, stacked, strict=True):
        accuracies = result.history["validation_accuracy"]
        best = accuracies.index(max(accuracies)) + 1
        assert result.epoch == best
        assert len(accuracies) == min(best + 3, 40)
        until_best = recipe.model_copy(update={"epochs": best, "patience": None})
        (at_best,) = train_stack([initial], [dataset], [seed], until_best)
        assert all(torch.equal(at_best.parameters[name], result.parameters[name]) for name in result.parameters)
        lengths.add(len(accuracies))
    assert len(lengths) > 1, "members that all stop together would not test that the stack goes on with the rest"


def test_the_history_has_a_row_an_epoch():
    (trained,) = train_stack([network()], [data(0)], [0], RECIPE)
    assert tuple(trained.history) == HISTORY
    assert trained.history["epoch"] == [1, 2, 3, 4]
    assert all(len(column) == 4 for column in trained.history.values())
    assert trained.history["seconds"] == sorted(trained.history["seconds"])


def test_the_initial_networks_stay_as_they_are():
    initial, untouched = network(), network()
    train_stack([initial], [data(0)], [0], RECIPE)
    assert all(torch.equal(*pair) for pair in zip(initial.parameters(), untouched.parameters(), strict=True))


def test_decays_multiply_the_rate_when_they_say():
    assert [ConstantRate().factor(epoch) for epoch in (0, 100)] == [1, 1]
    exponential = ExponentialDecay(kind="exponential", rate=0.95, every=2)
    assert [exponential.factor(epoch) for epoch in (0, 1, 2, 3, 4)] == pytest.approx([1, 1, 0.95, 0.95, 0.95**2])
    step = StepDecay(kind="step", rate=0.1, at=(91, 136))
    assert [step.factor(epoch) for epoch in (0, 90, 91, 135, 136)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_the_decay_reaches_the_optimizer():
    recipe = RECIPE.model_copy(update={"decay": StepDecay(kind="step", rate=1e-30, at=(2,))})
    (trained,) = train_stack([network()], [data(0)], [0], recipe)
    assert trained.history["learning_rate"] == pytest.approx([0.1, 0.1, 1e-31, 1e-31])
    (short,) = train_stack([network()], [data(0)], [0], RECIPE.model_copy(update={"epochs": 2}))
    assert all(torch.allclose(trained.parameters[name], short.parameters[name]) for name in short.parameters)


def test_networks_with_buffers_are_refused():
    with pytest.raises(ValueError, match="cannot be stacked"):
        train_stack([nn.Sequential(nn.BatchNorm1d(10), nn.Linear(10, 2))], [data(0)], [0], RECIPE)
