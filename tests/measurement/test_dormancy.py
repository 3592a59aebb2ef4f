"""Dormant and rarely active units, against plain NumPy."""

import pytest
import torch
from torch import Tensor, nn

from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.measurement.units import UnitStatistics

FAST = Measurement(levels=2, samplings=1)


def statistics(activity: Tensor, kept: Tensor | None = None, batch: int = 7) -> UnitStatistics:
    found = UnitStatistics(activity.shape[-1], torch.device("cpu"))
    for first in range(0, len(activity), batch):
        part = slice(first, first + batch)
        found.update(activity[part], None if kept is None else kept[part])
    return found


@pytest.mark.parametrize("function", [torch.relu, torch.tanh, lambda value: -torch.relu(value), nn.functional.gelu])
@pytest.mark.parametrize("padded", [True, False])
def test_dormancy_is_the_mean_magnitude_relative_to_the_layer(function, padded: bool):
    torch.manual_seed(0)
    activity = function(torch.randn(40, 3, 5, dtype=torch.float64) * torch.tensor([1.0, 2, 0.01, 1, 3]))
    kept = torch.rand(40, 3) < 0.7 if padded else None
    rows = activity[kept] if kept is not None else activity.flatten(0, 1)
    magnitudes = rows.abs().numpy().mean(0)
    table = statistics(activity, kept).compute()
    assert table["dormancy"].tolist() == pytest.approx((magnitudes / magnitudes.mean()).tolist())
    assert table["dormant"].tolist() == [False, False, True, False, False]


def test_gathered_apart_and_merged_it_is_the_same():
    activity = torch.randn(40, 2, 4, dtype=torch.float64)
    activity[:20] = activity[:20].relu()
    one, other = statistics(activity[:25]), statistics(activity[25:])
    one.merge(other)
    whole = statistics(activity).compute()
    assert one.compute()["dormancy"].tolist() == pytest.approx(whole["dormancy"].tolist(), rel=1e-12)
    copied = UnitStatistics(4, torch.device("cpu"))
    copied.load_state_dict(one.state_dict())
    assert copied.compute().equals(one.compute())


def test_the_threshold_is_inclusive_and_a_silent_layer_is_all_dormant():
    activity = torch.tensor([39.0, 1.0]).expand(10, 1, 2)  # scores of 1.95 and 0.05
    assert statistics(activity).compute()["dormancy"].tolist() == pytest.approx([1.95, 0.05])
    activity = torch.tensor([79.0, 1.0]).expand(10, 1, 2)
    found = statistics(activity).compute()
    assert found["dormancy"].tolist() == [1.975, 0.025]
    assert found["dormant"].tolist() == [False, True]
    silent = statistics(torch.zeros(10, 2, 3)).compute()
    assert silent["dormancy"].tolist() == [0, 0, 0]
    assert silent["dormant"].all()


def test_rarely_active_units_act_on_fewer_than_one_example_in_a_thousand():
    activity = torch.zeros(2000, 4, 3)
    activity[0, 2, 0] = activity[:2, 1, 1] = 1.0  # one example; two, which is just 0.1%
    activity[:, 0, 2] = 1.0
    assert statistics(activity, batch=500).compute()["rarely_active"].tolist() == [True, False, False]


def test_layers_have_the_shares_of_such_units():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].weight.data = torch.diag(torch.tensor([1.0, 1.0, 0.001, 0.0]))
    model[0].bias.data = torch.zeros(4)
    torch.manual_seed(0)
    measured = profile(model, [torch.randn(100, 4)], settings=FAST)
    assert measured.layers["dormant_share"].tolist() == [0.5]
    assert measured.layers["rarely_active_share"].tolist() == [0.25]
    assert measured.units["rarely_active"].tolist() == [False, False, False, True]
