"""Training on images: unbroken, continued, in pieces and on several processes it gives the same."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from widthwise.data.dataset import Dataset
from widthwise.data.resident import ResidentImages
from widthwise.errors import RequestError
from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.build import build_initialized
from widthwise.networks.resnet56 import ResNet56Description
from widthwise.networks.scheme import Initialization
from widthwise.training.checkpoint import Checkpoint, Position, packed, unpacked
from widthwise.training.loop import Interval, Moment, train
from widthwise.training.recipe import ExponentialDecay, Recipe, StepDecay
from widthwise.training.trained_network import TrainedNetwork

GLOROT = Initialization(scheme="glorot_normal")
NARROW = AlexNetDescription(width_factor=0.05, dropout=0.5)
RECIPE = Recipe(
    learning_rate=0.02,
    batch_size=16,
    epochs=3,
    augmentation=True,
    weight_decay=1e-3,
    decay=ExponentialDecay(kind="exponential", rate=0.5),
)


def split(examples: int, seed: int) -> ResidentImages:
    stream = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (examples, 3, 32, 32), generator=stream, dtype=torch.uint8)
    return ResidentImages(images, torch.randint(10, (examples,), generator=stream), torch.device("cpu"))


DATA = Dataset(split(70, 0), split(20, 1), split(20, 2), 10, (3, 32, 32), "random images")


class InMemory:
    """Checkpoints of a training, all of them."""

    identity, where = "a training", "nowhere"

    def __init__(self, begin: bytes | None = None):
        self.begin, self.written = begin, []

    def load(self) -> bytes | None:
        return self.begin

    def save(self, content: bytes) -> None:
        self.written.append(content)


def trained(recipe: Recipe = RECIPE, architecture=NARROW, data: Dataset = DATA, **options) -> TrainedNetwork:
    network = build_initialized(architecture, GLOROT, (3, 32, 32), 10, seed=4)
    fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.precision)
    return train(network, data, recipe, 4, fabric, **options)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def same(one: TrainedNetwork, other: TrainedNetwork) -> bool:
    """To the bit, but for the time that it took."""
    histories = ({name: column for name, column in each.history.items() if name != "seconds"} for each in (one, other))
    first, second = histories
    return (
        first == second
        and (one.status, one.epoch) == (other.status, other.epoch)
        and equal(one.parameters, other.parameters)
        and one.kept.keys() == other.kept.keys()
        and all(
            torch.equal(one.kept[epoch][name], other.kept[epoch][name])
            for epoch in one.kept
            for name in one.kept[epoch]
        )
    )


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("architecture", [NARROW, ResNet56Description(width_factor=0.125)], ids=lambda each: each.name)
def test_a_training_that_continues_ends_as_an_unbroken_one(architecture):
    recipe = RECIPE.model_copy(update={"patience": 2, "keep_epochs": (1, -1), "optimizer": "adam"})
    unbroken = trained(recipe, architecture)
    checkpoints = InMemory()
    trained(recipe, architecture, checkpoints=checkpoints)
    assert len(checkpoints.written) >= 2
    for written in checkpoints.written:
        assert same(trained(recipe, architecture, checkpoints=InMemory(written)), unbroken)


def test_a_training_continues_within_an_epoch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("widthwise.training.loop.LOOK_EVERY", 2)
    unbroken, checkpoints, moments = trained(), InMemory(), []

    def interrupt(moment: Moment) -> None:
        moments.append(moment)
        if moment.epoch == 2 and moment.batch == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        trained(checkpoints=checkpoints, interval=Interval(minutes=0.0), on_moment=interrupt)
    assert [(moment.epoch, moment.batch) for moment in moments] == [(1, 2), (1, 4), (1, 5), (2, 2), (2, 4)]
    assert moments[-1].batches == 5
    assert same(trained(checkpoints=InMemory(checkpoints.written[-1])), unbroken)


def test_the_history_is_that_of_a_plain_loop():
    recipe = Recipe(
        learning_rate=0.05, batch_size=32, epochs=2, decay=StepDecay(kind="step", at=(1,)), weight_decay=0.01
    )
    architecture = AlexNetDescription(width_factor=0.05)
    fitted = trained(recipe, architecture)
    network = build_initialized(architecture, GLOROT, (3, 32, 32), 10, seed=4)
    weights = [value for value in network.parameters() if value.dim() > 1]
    biases = [value for value in network.parameters() if value.dim() == 1]
    momentum = {id(value): torch.zeros_like(value) for value in network.parameters()}
    losses, accuracies = [], []
    for epoch, rate in enumerate((0.05, 0.005)):
        loss, correct = 0.0, 0
        for inputs, labels, examples in DATA.train.epoch(4, epoch, 32, augment=False):
            assert examples == len(labels)
            network.zero_grad()
            logits = network(inputs)
            mean = torch.nn.functional.cross_entropy(logits, labels)
            mean.backward()
            for value in [*weights, *biases]:
                gradient = value.grad + (0.01 * value.data if value.dim() > 1 else 0)
                momentum[id(value)] = 0.9 * momentum[id(value)] + gradient
                value.data -= rate * momentum[id(value)]
            loss, correct = loss + mean.item() * examples, correct + int((logits.argmax(1) == labels).sum())
        losses.append(loss / 70)
        accuracies.append(correct / 70)
    torch.testing.assert_close(torch.tensor(fitted.history["train_loss"]), torch.tensor(losses), rtol=1e-4, atol=1e-5)
    assert fitted.history["train_accuracy"] == pytest.approx(accuracies)
    assert fitted.history["learning_rate"] == pytest.approx([0.05, 0.005])
    close(fitted.parameters, network.state_dict())


def close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-5, msg=name)


def test_a_batch_in_pieces_gives_the_gradient_of_the_whole():
    whole, pieces = trained(), trained(RECIPE.model_copy(update={"micro_batch_size": 5}))
    close(pieces.parameters, whole.parameters)


def test_the_factor_k_multiplies_batch_and_rate():
    scaled = trained(RECIPE.model_copy(update={"scale": 2.0}))
    by_hand = trained(RECIPE.model_copy(update={"batch_size": 32, "learning_rate": 0.04}))
    assert same(scaled, by_hand)


@pytest.mark.parametrize(
    ("architecture", "learning_rate"),
    [(NARROW, 0.02), (ResNet56Description(width_factor=0.25), 1e-5)],
    ids=["alexnet with dropout", "resnet56 with batch normalization"],
)
def test_two_processes_give_what_one_gives(architecture, learning_rate: float, tmp_path: Path):
    """The deep network learns slowly, since it would make much of a rounding error."""
    recipe = RECIPE.model_copy(update={"epochs": 2, "learning_rate": learning_rate})
    alone = trained(recipe, architecture)
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    fabric.launch(in_one_of_two, recipe, architecture, tmp_path / "result")
    together = unpacked((tmp_path / "result").read_bytes(), "one of two", "").fitted
    for column in ("train_loss", "validation_loss"):
        assert together.history[column] == pytest.approx(alone.history[column], rel=1e-3)
    close(together.parameters, alone.parameters)


def in_one_of_two(fabric: Fabric, recipe: Recipe, architecture, result: Path) -> None:
    torch.set_num_threads(1)
    network = build_initialized(architecture, GLOROT, (3, 32, 32), 10, seed=4)
    fitted = train(network, DATA, recipe, 4, fabric)
    if fabric.is_global_zero:
        result.write_bytes(packed(Checkpoint(Position(), fitted, {}), "one of two"))


def test_bfloat16_learns_nearly_the_same():
    recipe = RECIPE.model_copy(update={"epochs": 1, "augmentation": False})
    full, half = trained(recipe), trained(recipe.model_copy(update={"precision": "bf16-mixed"}))
    assert half.history["train_loss"] != full.history["train_loss"]
    assert half.history["train_loss"] == pytest.approx(full.history["train_loss"], rel=0.02)


def test_a_network_that_diverges_is_recorded_and_ends():
    fitted = trained(RECIPE.model_copy(update={"learning_rate": 1e30}))
    assert (fitted.status, fitted.parameters) == ("diverged", {})
    assert not math.isfinite(fitted.history["train_loss"][-1])
    assert len(fitted.history["epoch"]) == fitted.epoch < 3


def test_training_stops_when_the_watched_accuracy_is_reached():
    recipe = Recipe(learning_rate=0.02, batch_size=8, epochs=200, stop_on="train_accuracy", stop_at=1.0, patience=100)
    few = Dataset(split(16, 5), DATA.validation, DATA.test, 10, (3, 32, 32), "random images")
    fitted = trained(recipe, AlexNetDescription(width_factor=0.25), few)
    assert fitted.history["train_accuracy"][-1] == 1.0
    assert max(fitted.history["train_accuracy"][:-1]) < 1.0
    assert fitted.epoch == len(fitted.history["epoch"]) < 200


def test_patience_keeps_the_best_epoch():
    recipe = Recipe(learning_rate=0.05, batch_size=16, epochs=40, patience=3)
    fitted = trained(recipe, AlexNetDescription(width_factor=0.05))
    accuracies = fitted.history["validation_accuracy"]
    assert len(accuracies) == fitted.epoch + 3 < 40
    assert accuracies[fitted.epoch - 1] == max(accuracies)
    assert max(accuracies[: fitted.epoch - 1], default=-1) < max(accuracies)


def test_fewer_examples_than_a_batch_are_refused():
    with pytest.raises(RequestError, match=r"a batch has 128 examples and the training set only 70; .* at most 70"):
        trained(RECIPE.model_copy(update={"batch_size": 128}))


def test_checkpoints_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch):
    checkpoints = InMemory()
    trained(RECIPE.model_copy(update={"epochs": 2}), checkpoints=checkpoints)
    content = checkpoints.written[0]
    other = InMemory(content)
    other.identity = "another training"
    with pytest.raises(RequestError, match="is that of the training a training, not of another training"):
        trained(checkpoints=other)
    with pytest.raises(RequestError, match=r"is that of another network: .* delete nowhere to train"):
        trained(architecture=AlexNetDescription(width_factor=0.1), checkpoints=InMemory(content))
    for damaged in (b"", content[:100], content[:-100], b"x" * 200):
        with pytest.raises(RequestError, match="the checkpoint nowhere is damaged; delete nowhere"):
            trained(checkpoints=InMemory(damaged))
    monkeypatch.setattr("widthwise.training.checkpoint.torch.__version__", "1.0")
    with pytest.raises(RequestError, match=r"was written with torch 2.* and this is 1\.0"):
        trained(checkpoints=InMemory(content))


COMPILED = """
import torch
from lightning_fabric import Fabric
from tests.training.test_train import DATA, RECIPE
from widthwise.training.loop import train

torch.set_num_threads(1)
for compiled in (False, True):
    recipe = RECIPE.model_copy(update={"epochs": 1, "compile": compiled})
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    print(train(network, DATA, recipe, 4, Fabric(accelerator="cpu", devices=1)).history["train_loss"][0])
"""


def test_compiled_it_learns_the_same():
    """In a process of its own: the compiler does not go through the shape checks that tests are run with."""
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=True)
    plain, compiled = map(float, done.stdout.split())
    assert compiled == pytest.approx(plain, rel=1e-4)
