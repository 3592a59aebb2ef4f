"""How small trained networks can be made is among the results of the trials that ask for it."""

from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from widthwise.execution.machine import Machine
from widthwise.execution.single_trainer import SingleTrainer
from widthwise.execution.stack_trainer import StackTrainer
from widthwise.execution.trainer import Trainer
from widthwise.experiments.settings import resolved
from widthwise.experiments.single_trial import single_trial
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial

SMALL: dict[str, Any] = {
    "network": {"width_factor": 0.25},
    "data": {"train_examples": 300, "validation_examples": 60, "test_examples": 100},
    "training": {"learning_rate": 0.1, "batch_size": 32, "epochs": 5},
    "measurement": {"levels": 3, "samplings": 1},
}
RESULTS = {"compressed_parameters", "compressibility", "compressed_labels_kept"}
TIMES = {"training_seconds", "measuring_seconds"}
NETWORK = """
from torch import nn


def build(width_factor):
    return nn.Sequential(nn.Linear(10, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2))
"""


def trial(**content: Any) -> Trial:
    return resolved({**SMALL, **content}, "sweep.yaml")


def outcomes(trainer: Trainer, *trials: Trial) -> list[Outcome]:
    return [outcome for _, outcome in trainer.train(list(trials), Machine(threads=1))]


@pytest.mark.parametrize("trainer", [StackTrainer(), SingleTrainer()], ids=["stack", "single"])
def test_a_trial_has_the_size_of_its_network_once_compressed_beside_all_else(trainer: Trainer):
    plain, first = trial(), trial(compressibility=True)
    second = first.model_copy(update={"seed": 1})
    (without,) = outcomes(trainer, plain)
    found, other = outcomes(trainer, first, second)
    assert found.results.keys() - without.results.keys() == RESULTS
    for name in without.results.keys() - TIMES:
        assert found.results[name] == without.results[name], name
    assert found.tables.keys() == without.tables.keys()
    for outcome in (found, other):
        units = (outcome.results["compressed_parameters"] - 2) / 13
        assert units == round(units), "whole units of 10 + 1 + 2 parameters"
        assert 1 <= units < 32
        assert outcome.results["compressibility"] == outcome.results["compressed_parameters"] / (32 * 13 + 2)
        assert 0.85 < outcome.results["compressed_labels_kept"] <= 1
    (alone,) = outcomes(trainer, second)
    assert {alone.results[name] == other.results[name] for name in RESULTS} == {True}, "the same beside others"


def test_a_network_that_cannot_be_compressed_has_the_reason_and_all_other_results(tmp_path: Path):
    (tmp_path / "mynet.py").write_text(NETWORK)
    settings = {"compressibility": True, "data.name": "teacher", "training.epochs": 1}
    one = single_trial(f"{tmp_path / 'mynet.py'}:build", 1.0, settings, 0)
    done = ww.train(one, store=tmp_path / "store")
    assert done.status == "trained"
    assert RESULTS.isdisjoint(done.results)
    assert 0 <= done.results["test_accuracy"] <= 1
    (reason,) = Store(tmp_path / "store").table(done.id, "not_compressed")["reason"]
    assert reason.startswith("there is nothing to make smaller: all units stay of 0, since layer_norm")


def test_only_trials_that_ask_for_it_have_another_name():
    assert trial().id == trial(compressibility=False).id != trial(compressibility=True).id
    again = Trial.from_record(trial(compressibility=True).record(), "trial.json")
    assert again.compressibility
    old = trial().record()
    del old["trial"]["compressibility"]
    assert Trial.from_record({**old, "trial_format": 4}, "trial.json") == trial(), "as it was written before"
