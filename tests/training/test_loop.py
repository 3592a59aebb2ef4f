"""Training on images: unbroken, continued, in pieces and on several processes it gives the same."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import CSVLogger, Logger
from torch import Tensor

from widthwise.data.dataset import Dataset
from widthwise.data.resident import ResidentImages
from widthwise.errors import RequestError
from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.build import build_initialized
from widthwise.networks.resnet56 import ResNet56Description
from widthwise.networks.scheme import Initialization
from widthwise.progress import Progress
from widthwise.training.callbacks.checkpoint import Interval
from widthwise.training.checkpoint import Checkpoint, packed, unpacked
from widthwise.training.history import HISTORY, History
from widthwise.training.loop import train
from widthwise.training.recipe import ExponentialDecay, Recipe, StepDecay
from widthwise.training.state import Position, SingleTrainingState
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


def split(examples: int, seed: int, crop: int | None = None) -> ResidentImages:
    stream = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (examples, 3, 32, 32), generator=stream, dtype=torch.uint8)
    return ResidentImages(images, torch.randint(10, (examples,), generator=stream), torch.device("cpu"), crop)


DATA = Dataset(split(70, 0), split(20, 1), split(20, 2), 10, (3, 32, 32), "random images")


class InMemory:
    """Checkpoints of a training, all of them."""

    identity, path = "a training", "nowhere"

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
    unbroken, checkpoints, seen = trained(), InMemory(), []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if progress.done == pytest.approx(1.8):
            raise Interrupted

    with pytest.raises(Interrupted):
        trained(checkpoints=checkpoints, interval=Interval(minutes=0.0), on_progress=interrupt)
    assert [progress.done for progress in seen] == pytest.approx([0.4, 0.8, 1, 1.4, 1.8]), "of five batches each"
    assert {(progress.activity, progress.total, progress.unit) for progress in seen} == {("training", 3, "epochs")}
    assert ["validation_accuracy" in progress.numbers for progress in seen] == [False, False, True, False, False]
    times_left = [progress.seconds_left for progress in seen]
    assert all(seconds is not None and seconds > 0 for seconds in times_left)
    assert same(trained(checkpoints=InMemory(checkpoints.written[-1])), unbroken)


def test_with_every_option_a_training_continues_within_a_shorter_epoch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("widthwise.training.loop.LOOK_EVERY", 2)
    fields = {"batches_per_epoch": 4, "order": "fixed", "colour_augmentation": True, "weight_decay_layers": ("dense1",)}
    recipe = RECIPE.model_copy(update=fields)
    cropped = dataclasses.replace(DATA, train=split(70, 0, crop=28), validation=split(20, 1, crop=28))
    unbroken, checkpoints, seen = trained(recipe, data=cropped), InMemory(), []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if progress.done == pytest.approx(1.5):
            raise Interrupted

    with pytest.raises(Interrupted):
        trained(recipe, data=cropped, checkpoints=checkpoints, interval=Interval(minutes=0.0), on_progress=interrupt)
    assert [progress.done for progress in seen] == pytest.approx([0.5, 1, 1.5]), "of four batches each"
    for progress, examples in zip(seen, (32, 64, 96), strict=True):
        assert progress.seconds_left is not None
        left = progress.seconds_left * progress.numbers["examples_per_second"]
        assert left == pytest.approx(3 * 64 - examples)
    assert same(trained(recipe, data=cropped, checkpoints=InMemory(checkpoints.written[-1])), unbroken)


@pytest.mark.parametrize("order", ["fixed", "shuffled"])
def test_an_epoch_may_be_of_fewer_batches_and_only_some_weights_decay(order: str):
    fields = {"batches_per_epoch": 2, "order": order, "weight_decay": 0.5, "weight_decay_layers": ("dense1", "dense2")}
    recipe = Recipe(learning_rate=0.05, batch_size=32, epochs=2, **fields)
    architecture = AlexNetDescription(width_factor=0.05)
    result = trained(recipe, architecture)
    network = build_initialized(architecture, GLOROT, (3, 32, 32), 10, seed=4)
    decaying = [network.dense1.dense.weight, network.dense2.dense.weight]
    others = [value for value in network.parameters() if all(value is not each for each in decaying)]
    steps = torch.optim.SGD([{"params": decaying, "weight_decay": 0.5}, {"params": others}], 0.05, momentum=0.9)
    inputs, labels = next(DATA.train.batches(70))
    accuracies = []
    for epoch in range(2):
        shuffled = torch.cat([labels for _, labels, _ in DATA.train.epoch(4, epoch, 32, augment=False)])
        correct, seen = 0, []
        for number in range(2):
            if order == "fixed":
                batch, answers = inputs[32 * number :][:32], labels[32 * number :][:32]
            else:
                batch, answers, _ = list(DATA.train.epoch(4, epoch, 32, augment=False))[number]
            logits = network(batch)
            steps.zero_grad()
            torch.nn.functional.cross_entropy(logits, answers).backward()
            steps.step()
            correct += int((logits.argmax(1) == answers).sum())
            seen.append(answers)
        assert torch.equal(torch.cat(seen), labels[:64] if order == "fixed" else shuffled[:64])
        accuracies.append(correct / 64)
    assert result.history["train_accuracy"] == pytest.approx(accuracies)
    close(result.parameters, network.state_dict())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"batches_per_epoch": 6},
            "^training.batches_per_epoch: it is 6 and the training set has only 5 batches of 16; set it to less$",
        ),
        (
            {"weight_decay_layers": ("pool1",)},
            "^training.weight_decay_layers: the network has no layer with weights in",
        ),
    ],
)
def test_batches_and_layers_that_are_not_there_are_refused(fields: dict, said: str):
    with pytest.raises(RequestError, match=said):
        trained(RECIPE.model_copy(update=fields))


def test_the_history_is_that_of_a_plain_loop():
    recipe = Recipe(
        learning_rate=0.05, batch_size=32, epochs=2, decay=StepDecay(kind="step", at=(1,)), weight_decay=0.01
    )
    architecture = AlexNetDescription(width_factor=0.05)
    result = trained(recipe, architecture)
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
    torch.testing.assert_close(torch.tensor(result.history["train_loss"]), torch.tensor(losses), rtol=1e-4, atol=1e-5)
    assert result.history["train_accuracy"] == pytest.approx(accuracies)
    assert result.history["learning_rate"] == pytest.approx([0.05, 0.005])
    close(result.parameters, network.state_dict())


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
    together = unpacked((tmp_path / "result").read_bytes(), "one of two", "").trained
    for column in ("train_loss", "validation_loss"):
        assert together.history[column] == pytest.approx(alone.history[column], rel=1e-3)
    close(together.parameters, alone.parameters)


def in_one_of_two(fabric: Fabric, recipe: Recipe, architecture, result: Path) -> None:
    torch.set_num_threads(1)
    network = build_initialized(architecture, GLOROT, (3, 32, 32), 10, seed=4)
    together = train(network, DATA, recipe, 4, fabric)
    if fabric.is_global_zero:
        result.write_bytes(packed(Checkpoint(Position(), together, {}), "one of two"))


def test_bfloat16_learns_nearly_the_same():
    recipe = RECIPE.model_copy(update={"epochs": 1, "augmentation": False})
    full, half = trained(recipe), trained(recipe.model_copy(update={"precision": "bf16-mixed"}))
    assert half.history["train_loss"] != full.history["train_loss"]
    assert half.history["train_loss"] == pytest.approx(full.history["train_loss"], rel=0.02)


def test_a_network_that_diverges_is_recorded_and_ends():
    result = trained(RECIPE.model_copy(update={"learning_rate": 1e30}))
    assert (result.status, result.parameters) == ("diverged", {})
    assert not math.isfinite(result.history["train_loss"][-1])
    assert len(result.history["epoch"]) == result.epoch < 3


def test_training_stops_when_the_watched_accuracy_is_reached():
    recipe = Recipe(learning_rate=0.02, batch_size=8, epochs=200, stop_on="train_accuracy", stop_at=1.0, patience=100)
    few = Dataset(split(16, 5), DATA.validation, DATA.test, 10, (3, 32, 32), "random images")
    result = trained(recipe, AlexNetDescription(width_factor=0.25), few)
    assert result.history["train_accuracy"][-1] == 1.0
    assert max(result.history["train_accuracy"][:-1]) < 1.0
    assert result.epoch == len(result.history["epoch"]) < 200


def test_patience_keeps_the_best_epoch():
    recipe = Recipe(learning_rate=0.05, batch_size=16, epochs=40, patience=3)
    result = trained(recipe, AlexNetDescription(width_factor=0.05))
    accuracies = result.history["validation_accuracy"]
    assert len(accuracies) == result.epoch + 3 < 40
    assert accuracies[result.epoch - 1] == max(accuracies)
    assert max(accuracies[: result.epoch - 1], default=-1) < max(accuracies)


def test_fewer_examples_than_a_batch_are_refused():
    with pytest.raises(
        RequestError, match=r"a batch has 128 examples and the training set only 70; set training.batch_size=70$"
    ):
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


def test_every_logger_receives_every_number(tmp_path: Path):
    csv = CSVLogger(tmp_path, name="training", version="one", flush_logs_every_n_steps=1)
    network = build_initialized(NARROW, GLOROT, (3, 32, 32), 10, seed=4)
    fabric = Fabric(accelerator="cpu", devices=1, loggers=[csv])
    result = train(network, DATA, RECIPE, 4, fabric)
    assert same(result, trained())
    written = pd.read_csv(tmp_path / "training" / "one" / "metrics.csv")
    assert written["step"].tolist() == result.history["epoch"] == [1, 2, 3]
    for name in HISTORY[1:]:
        assert written[name].tolist() == pytest.approx(result.history[name])
    assert (written["examples_per_second"] > 0).all()
    assert set(written) == {"step", *HISTORY[1:], "examples_per_second"}
    assert fabric.loggers == [csv], "the history's own logger goes with the training"
    assert isinstance(History({}), Logger)


class StopAfterOne:
    """A callback of a user's own, which ends the training and remembers what it saw."""

    def __init__(self):
        self.seen: list[tuple[str, int]] = []

    def on_training_begin(self, state: SingleTrainingState) -> None:
        self.seen.append(("begin", state.position.step))

    def on_epoch_measured(self, state: SingleTrainingState) -> None:
        state.metrics["weights"] = sum(value.numel() for value in state.network.parameters())

    def on_epoch_end(self, state: SingleTrainingState) -> None:
        self.seen.append(("epoch", state.position.step))
        state.stopped = True

    def on_training_end(self, state: SingleTrainingState) -> None:
        self.seen.append(("end", state.position.step))


def test_a_callback_of_ones_own_sees_the_training_adds_numbers_and_ends_it(tmp_path: Path):
    callback = StopAfterOne()
    csv = CSVLogger(tmp_path, name="training", version="one", flush_logs_every_n_steps=1)
    network = build_initialized(NARROW, GLOROT, (3, 32, 32), 10, seed=4)
    fabric = Fabric(accelerator="cpu", devices=1, callbacks=[callback], loggers=[csv])
    result = train(network, DATA, RECIPE.model_copy(update={"patience": 5}), 4, fabric)
    assert callback.seen == [("begin", 0), ("epoch", 5), ("end", 5)]
    assert result.epoch == 1
    assert result.history["epoch"] == [1]
    assert equal(result.parameters, network.state_dict())
    weights = pd.read_csv(tmp_path / "training" / "one" / "metrics.csv")["weights"].tolist()
    assert weights == [sum(value.numel() for value in network.parameters())]


def with_dropout() -> torch.nn.Module:
    """A network with PyTorch's own dropout, which draws from the global stream of random numbers."""
    stream = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(3072, 20), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(20, 10)
    )
    torch.random.set_rng_state(stream)
    return network


def test_draws_of_a_users_network_are_the_trainings_own():
    """They depend on the training's seed and step alone, also where it continues, and leave the caller's stream."""
    recipe = RECIPE.model_copy(update={"epochs": 2, "learning_rate": 1e-3})
    checkpoints, results = InMemory(), []
    for number in range(2):
        torch.manual_seed(number)
        stream = torch.random.get_rng_state()
        continued = InMemory(checkpoints.written[0] if number else None)
        fabric = Fabric(accelerator="cpu", devices=1)
        results.append(train(with_dropout(), DATA, recipe, 4, fabric, checkpoints=continued))
        checkpoints.written += continued.written
        assert torch.equal(torch.random.get_rng_state(), stream)
    assert same(*results)
    other = train(with_dropout(), DATA, recipe, 5, Fabric(accelerator="cpu", devices=1))
    assert not equal(other.parameters, results[0].parameters)


COMPILED = """
import torch
from lightning_fabric import Fabric
from tests.training.test_loop import DATA, RECIPE
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
