"""A user's own network is tried on examples of its data before anything is trained, and costed and timed on them."""

import time
from pathlib import Path
from typing import Any

import pytest

from widthwise.errors import RequestError, TrialError
from widthwise.execution.cost import trial_cost
from widthwise.execution.machine import Machine
from widthwise.execution.single_trainer import SingleTrainer
from widthwise.execution.train import train
from widthwise.experiments.single_trial import single_trial
from widthwise.experiments.trial import Trial

DATA = """
import torch


def load(seed=0):
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(300, 4, generator=stream)
    return inputs, inputs[:, :3].argmax(1)


def tokens():
    tokens = torch.arange(60)[:, None].expand(60, 6) % 5
    return {"tokens": tokens, "mask": torch.ones(60, 6, dtype=torch.bool)}, tokens[:, 0] % 3
"""
NETWORK = """
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.output = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, inputs):
        value = torch.relu(self.hidden(inputs))
        BODY


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.hidden, self.output = nn.Embedding(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, tokens, mask):
        assert mask.any(1).all(), "a sequence without any token has no mean"
        value = (self.embed(tokens) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.output(torch.relu(self.hidden(value))), value


def build(width_factor):
    return Network()


def tokens(width_factor):
    return Tokens()
"""


def own(folder: Path, body: str = "return self.output(value)", which: str = "load", **settings: Any) -> Trial:
    (folder / "mydata.py").write_text(DATA)
    (folder / "mynet.py").write_text(NETWORK.replace("BODY", body))
    network = "tokens" if which == "tokens" else "build"
    small = {"training.epochs": 1, "training.batch_size": 20, "measurement.samplings": 1, **settings}
    return single_trial(f"mynet.py:{network}", settings=small, data=f"mydata.py:{which}", folder=folder)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "raise KeyError('deep')",
            r"^network\.factory: .* cannot take inputs of its data \(KeyError: ",
        ),
        ("assert False", r"cannot take inputs of its data \(AssertionError\)$"),
        ("return value[:, 0]", r"must return logits of shape \(examples, classes\), not \(2,\)"),
        ("return self.output(value)[:1]", r"logits of shape \(1, 3\) for 2 examples of 3 classes; \(2, 3\) is right"),
        (
            "return self.output(value)[:, :2]",
            r"logits of shape \(2, 2\) for 2 examples of 3 classes; \(2, 3\) is right",
        ),
        ("return self.output(value).detach()", r"cannot learn from its data \(RuntimeError: element 0 of tensors does"),
        ("return self.output(value + torch.randn_like(value))", r"^network\.layers: .*answers differently to the same"),
    ],
)
def test_a_network_that_cannot_be_trained_or_measured_is_refused_first(tmp_path: Path, body: str, said: str):
    with pytest.raises(RequestError, match=said) as raised:
        train(own(tmp_path, body), store=tmp_path / "store")
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "store").glob("trials/*"))


def test_layers_that_are_not_there_are_refused_first(tmp_path: Path):
    with pytest.raises(RequestError, match=r"^network\.layers: .* 'nope' is no layer of the network"):
        train(own(tmp_path, **{"network.layers": ["nope"]}), store=tmp_path / "store")
    with pytest.raises(RequestError, match=r"network\.layers: tuple should have at least 1 item"):
        own(tmp_path, **{"network.layers": []})


def test_what_its_code_raises_later_is_said_in_a_sentence(tmp_path: Path):
    body = "assert len(inputs) < 5, 'it was tried on two'\n        return self.output(value)"
    with pytest.raises(TrialError, match=r"mynet.py:build 1x, .* measured: AssertionError: it was tried on two$"):
        train(own(tmp_path, body), store=tmp_path / "store")


def test_its_cost_is_counted_on_its_own_data_and_the_first_of_a_tuple_is_its_logits(tmp_path: Path):
    cost = trial_cost(own(tmp_path, which="tokens"))
    assert (cost.parameters, cost.forward_flops) == (5 * 8 + 8 * 8 + 8 + 8 * 3 + 3, 2 * (8 * 8 + 8 * 3))
    trained = train(own(tmp_path, which="tokens"), store=tmp_path / "store")
    assert trained.status == "trained"
    assert trained.layers["units"].tolist() == [8]


def test_the_estimate_of_a_small_network_counts_what_every_epoch_takes_once(tmp_path: Path):
    trial = own(tmp_path, **{"training.epochs": 30, "training.batch_size": 5})
    trainer, machine = SingleTrainer(), Machine(threads=1)
    estimates = [trainer.seconds([trial], machine)]
    started = time.perf_counter()
    list(trainer.train([trial], machine))
    took = time.perf_counter() - started
    estimates.append(trainer.seconds([trial], machine))
    assert min(estimates) / 3 < took < 3 * max(estimates), "the machine may be busy with something else"
