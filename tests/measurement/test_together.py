"""Ablations run in whatever way is fastest give the same labels, to the bit."""

import time

import pandas as pd
import pytest
import torch
from torch import nn

from widthwise.measurement import passes, ways_to_run
from widthwise.measurement.ablation import Dropping, random_groups
from widthwise.measurement.curves import curves
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network
from widthwise.tracing.recorded_run import RecordedRun
from widthwise.tracing.untouched import untouched


class Net(nn.Module):
    """What follows its layer holds the size of the batch, adds a value of the intact run and writes in place."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(36, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.one(images))
        second = torch.relu(self.two(first)).add_(first)
        return self.head(second.reshape(images.shape[0], 36))


def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model, images = Net(), torch.randn(24, 1, 5, 5)
    with torch.no_grad():
        nn.init.normal_(model.head.weight, std=2)
        model.head.bias -= model(images).mean(0)
    return model, images


@pytest.mark.parametrize("granularity", ["application", "channel"])
@pytest.mark.parametrize("replacement", ["zero", "mean"])
def test_levels_run_as_one_batch_give_what_they_give_one_by_one(granularity, replacement):
    model, images = network()
    settings = Measurement(granularity=granularity)
    with untouched(model):
        net = Network(model, Inputs((images,), {}))
        run = net.run(Inputs((images,), {}))
        replacements = {"relu": torch.rand(4)} if replacement == "mean" else {}
        for curve in curves(net.layers, run, settings):
            dropping = Dropping(net, curve, run, replacements)
            dropping.draw(0, 0, 0)
            groups = random_groups(curve)
            at_once = dropping.labels_at_once(groups)
            assert torch.equal(at_once, torch.stack([dropping.labels(group) for group in groups]))
            scores = torch.stack([dropping.scores(group) for group in groups])
            torch.testing.assert_close(dropping.labels_at_once(groups, scores=True), scores, rtol=1e-5, atol=1e-5)
            assert curve.name != "relu" or len(torch.unique(at_once, dim=0)) > 1


def test_a_profile_is_the_same_whether_levels_run_together_or_not(monkeypatch: pytest.MonkeyPatch):
    model, images = network()
    found = []
    for number in (1, 2, 5):
        monkeypatch.setattr(passes, "ablations_at_once", lambda *_, number=number: number)
        found.append(profile(model, images.split(10), batch_size=10))
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0].ablation, other.ablation)
        pd.testing.assert_frame_equal(found[0].removability, other.removability)


def test_levels_run_together_only_where_that_is_faster(monkeypatch: pytest.MonkeyPatch):
    model, images = network()
    with untouched(model):
        net = Network(model, Inputs((images,), {}))
        run = net.run(Inputs((images,), {}))
        curve = curves(net.layers, run, Measurement())[0]
        one_by_one = Dropping.labels
        monkeypatch.setattr(Dropping, "labels", lambda self, group: (time.sleep(0.05), one_by_one(self, group))[1])
        assert ways_to_run.ablations_at_once(net, curve, run, 0, {}) in (1, len(random_groups(curve)))
        monkeypatch.setattr(ways_to_run, "_same_scores", lambda *_: True)
        assert ways_to_run.ablations_at_once(net, curve, run, 0, {}) == len(random_groups(curve))
        monkeypatch.setattr(ways_to_run, "LARGEST_VALUE", 2 * 24 * 4 * 9 * 4)  # room for two values of the layer
        assert ways_to_run.ablations_at_once(net, curve, run, 0, {}) == 2
        at_once = Dropping.labels_at_once
        monkeypatch.setattr(Dropping, "labels", one_by_one)
        monkeypatch.setattr(
            Dropping, "labels_at_once", lambda self, *given, **named: (time.sleep(0.5), at_once(self, *given))[1]
        )
        assert ways_to_run.ablations_at_once(net, curve, run, 0, {}) == 1


def test_the_network_is_run_whole_where_replaying_is_slower(monkeypatch: pytest.MonkeyPatch):
    model, images = network()
    expected = profile(model, [images])
    assert expected.about["replayed"]
    replay = Network.replay

    def slow(self: Network, run: RecordedRun, layer: Layer, value: torch.Tensor) -> torch.Tensor:
        time.sleep(0.1)
        return replay(self, run, layer, value)

    monkeypatch.setattr(Network, "replay", slow)
    measured = profile(model, [images])
    assert measured.about["replayed"] is False
    assert measured.about["reason"] == "running it whole was measured to be faster"
    pd.testing.assert_frame_equal(measured.ablation, expected.ablation)


def test_a_single_layer_is_all_layers_together_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    for precision in (None, 0.1):
        settings = Measurement(protocols=("figures",), precision=precision)
        table = profile(model, [torch.randn(40, 4)], settings=settings).removability
        assert table["layer"].tolist() == ["", "1"]
        if precision is None:
            assert table["auc"][0] == table["auc"][1]
