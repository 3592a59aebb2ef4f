"""Which trainer a trial gets, and what each does with networks and data that the other could have."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from widthwise.data.dataset import Dataset
from widthwise.data.examples import ResidentExamples
from widthwise.data.source import TeacherData
from widthwise.execution import memory, single_trainer, timing
from widthwise.execution.datasets import Extent, extent
from widthwise.execution.machine import Machine
from widthwise.execution.single_trainer import SingleTrainer
from widthwise.execution.stack_trainer import StackTrainer
from widthwise.execution.trainer import cohorts, trainer_for
from widthwise.experiments.settings import resolved
from widthwise.experiments.sweep import Sweep
from widthwise.experiments.trial import Trial
from widthwise.measurement.settings import Measurement
from widthwise.networks.cost import network_cost
from widthwise.progress import Progress
from widthwise.training.recipe import Recipe

SMALL = Trial(
    data=TeacherData(train_examples=100, validation_examples=60, test_examples=40),
    training=Recipe(learning_rate=0.1, batch_size=32, epochs=3),
    measurement=Measurement(levels=3, samplings=1),
)
IMAGES = resolved({"network": {"name": "alexnet", "width_factor": 0.05}}, "test")


def test_a_trial_is_stacked_where_it_can_be():
    assert isinstance(trainer_for(SMALL), StackTrainer)
    assert isinstance(trainer_for(IMAGES), SingleTrainer)
    assert trainer_for(SMALL) is trainer_for(SMALL.model_copy(update={"seed": 3}))


def test_cohorts_are_of_one_trainer_and_those_that_cost_most_come_first():
    trials = [IMAGES, *Sweep.load("mlp10-initialization").trials("smoke"), IMAGES.model_copy(update={"seed": 1})]
    found = cohorts(trials)
    assert [len(cohort) for cohort in found if cohort[0].network.name == "alexnet"] == [1, 1]
    assert all(len({trainer_for(trial) for trial in cohort}) == 1 for cohort in found)
    assert [cohort[0].network.name for cohort in found[:2]] == ["alexnet", "alexnet"]
    assert sorted(trial.id for cohort in found for trial in cohort) == sorted(trial.id for trial in trials)


def test_the_single_trainer_trains_what_could_be_stacked():
    """The order of examples is another, so the numbers are; each learns, and is measured over the same test set."""
    (_, stacked), (_, single) = (
        next(trainer.train([SMALL], Machine(threads=1))) for trainer in (StackTrainer(), SingleTrainer())
    )
    assert stacked.status == single.status == "trained"
    assert stacked.results.keys() == single.results.keys()
    assert stacked.tables["layers"]["layer"].tolist() == single.tables["layers"]["layer"].tolist() == ["hidden"]
    for each in (stacked, single):
        losses = each.tables["history"]["train_loss"].tolist()
        assert losses[-1] < losses[0]
    assert stacked.results["parameters"] == single.results["parameters"]


class Sequences(nn.Module):
    """A small transformer on tokens and a mask, which names no layers and gives its logits as a field."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.output = nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        value = self.encoder(self.embedding(tokens), src_key_padding_mask=~mask)
        return {"logits": self.output((value * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))}


def sequences(examples: int, seed: int) -> ResidentExamples:
    """Sequences of 7 tokens, the last of which may be masked; the label is the first token's remainder by 3."""
    stream = torch.Generator().manual_seed(seed)
    tokens = torch.randint(11, (examples, 7), generator=stream)
    mask = torch.arange(7) < torch.randint(3, 8, (examples, 1), generator=stream)
    return ResidentExamples({"tokens": tokens, "mask": mask}, tokens[:, 0] % 3)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Trial:
    """A trial whose network and data are `Sequences` and `sequences`, as a user's own would be."""
    splits = (sequences(60, 0), sequences(30, 1), sequences(20, 2))
    dataset = Dataset(*splits, classes=3, shape={"tokens": (7,), "mask": (7,)}, description="sequences")

    def build(*arguments: object) -> nn.Module:
        torch.manual_seed(0)
        return Sequences()

    sizes = Extent(dataset.shape, dataset.classes, 60, 30, 20)
    for module in (single_trainer, timing):
        monkeypatch.setattr(module, "build_initialized", build)
        monkeypatch.setattr(module, "load_dataset", lambda *arguments: dataset)
    for module in (memory, timing):
        monkeypatch.setattr(module, "extent", lambda *arguments: sizes)
    cost = network_cost(SMALL.network, (10,), 2)
    monkeypatch.setattr(timing, "trial_arithmetic", lambda *arguments: cost)
    monkeypatch.setattr(memory, "trial_cost", lambda *arguments: cost)
    return SMALL


def test_any_network_on_any_data_is_trained_measured_and_timed(own: Trial):
    events: list[Progress] = []
    ((trial, result),) = SingleTrainer().train([own], Machine(threads=1), on_progress=events.append)
    assert (trial, result.status, result.data) == (own, "trained", "sequences")
    assert [event.done for event in events] == [1, 2, 3]
    assert len(result.tables["history"]) == 3
    assert result.tables["layers"]["units"].tolist() == [16], "profile finds the layer after the nonlinearity"
    assert 0 < result.results["test_accuracy"] <= 1
    assert "damaged_images" not in result.results
    ((_, again),) = SingleTrainer().train([own], Machine(threads=1))
    assert all((again.network[name] == value).all() for name, value in result.network.items())
    assert 0 < SingleTrainer().seconds([own], Machine(threads=1)) < 60


@pytest.mark.parametrize(
    ("flops", "seconds_of_an_example"), [(timing.TIMED_FLOPS, 1000 / 32), (0, 1000 / 2)], ids=["cheap", "costly"]
)
def test_the_estimate_counts_the_batches_that_an_epoch_trains_on(
    own: Trial, monkeypatch: pytest.MonkeyPatch, flops: float, seconds_of_an_example: float
):
    """Each batch takes a thousand seconds; the costly network is timed on batches of two examples."""

    def train(network: nn.Module, data: Dataset, recipe: Recipe, *arguments: object) -> SimpleNamespace:
        seconds = 1000.0 * recipe.batches_in_epoch(len(data.train))
        return SimpleNamespace(history={"seconds": [seconds * (epoch + 1) for epoch in range(recipe.epochs)]})

    monkeypatch.setattr(timing, "train", train)
    monkeypatch.setattr(timing, "TIMED_FLOPS", flops)
    shorter = own.model_copy(update={"training": own.training.model_copy(update={"batches_per_epoch": 1})})
    found = SingleTrainer().seconds([shorter], Machine(threads=1))
    assert found == pytest.approx(3 * 32 * seconds_of_an_example, rel=0.01), (
        "three epochs of 32 examples, and little else"
    )


def test_the_size_of_a_source_that_says_it_is_known_without_loading():
    assert extent(IMAGES.data, Machine()) == Extent((3, 32, 32), 10, 45_000, 5_000, 10_000)
    assert extent(SMALL.data, Machine()) == Extent((10,), 2, 100, 60, 40)
