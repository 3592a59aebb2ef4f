"""Correlations and statistics of activity of any precision and scale, against NumPy in double precision or more."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.correlation import FEW_UNITS, MOST_SAMPLES, SPLIT_UNITS, RunningCorrelation
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement

UNITS = 12
SETTINGS = Measurement(levels=2, samplings=1)


def mixed(samples: int = 500, units: int = UNITS) -> Tensor:
    """Activity in double precision with strong and weak correlations, and deviations of 1."""
    stream = torch.Generator().manual_seed(0)
    draws = torch.randn(samples, units, generator=stream, dtype=torch.float64)
    activity = draws @ torch.randn(units, units, generator=stream, dtype=torch.float64)
    return activity / activity.std(0)


def correlations(activity: Tensor, batch: int = 70) -> np.ndarray:
    running = RunningCorrelation(activity.shape[1])
    for part in activity.split(batch):
        running.update(part)
    return running.compute().r.numpy()


def exact(activity: Tensor) -> np.ndarray:
    """`numpy.corrcoef`, of numbers with more digits and a larger range than double precision has."""
    values = activity.double().numpy().astype(np.longdouble)
    values = values - values.mean(0)
    values = values / np.abs(values).max(0)
    products = values.T @ values
    deviations = np.sqrt(np.diag(products))
    return (products / np.outer(deviations, deviations)).astype(np.float64)


@pytest.mark.parametrize("batch", [1, 70, 500])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
@pytest.mark.parametrize("scale", [1e-300, 1e-60, 1.0, 1e60, 1e290])
def test_double_precision_is_not_cast_down(offset: float, scale: float, batch: int):
    activity = (mixed() + offset) * scale
    np.testing.assert_allclose(correlations(activity, batch), exact(activity), atol=1e-6 if offset == 1e8 else 1e-11)


@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1.0, 1e20, 1e38])
def test_single_precision_keeps_its_whole_range(scale: float):
    activity = (mixed() * (scale / 5)).float()
    np.testing.assert_allclose(correlations(activity), exact(activity), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_half_precision_is_widened_before_anything_is_added(dtype: torch.dtype, offset: float):
    activity = (mixed() + offset).to(dtype)
    np.testing.assert_allclose(correlations(activity), exact(activity), atol=1e-6)


def test_units_of_very_different_scales_are_compared():
    scales = torch.logspace(-280, 280, UNITS, dtype=torch.float64)
    activity = (mixed() + 3) * scales
    np.testing.assert_allclose(correlations(activity), exact(activity), atol=1e-11)
    grown = mixed() * torch.logspace(-30, 30, 500, dtype=torch.float64)[:, None]  # each sample larger than the last
    np.testing.assert_allclose(correlations(grown), exact(grown), atol=1e-11)
    shrunk = grown.flip(0)
    np.testing.assert_allclose(correlations(shrunk), exact(shrunk), atol=1e-11)


def test_batches_may_differ_in_precision():
    activity = mixed()
    running = RunningCorrelation(UNITS)
    first, second, third = activity[:200].half(), activity[200:300].float() * 1e3, activity[300:] * 1e50
    for part in (first, second, third):
        running.update(part)
    expected = exact(torch.cat([first.double(), second.double(), third]))
    np.testing.assert_allclose(running.compute().r.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 5.0, 1e-40, 3e38, -7.3])
def test_a_constant_unit_of_any_value_stays_out_of_the_others_way(value: float):
    activity = mixed().float()
    activity[:, 4] = value
    found = correlations(activity)
    others = [unit for unit in range(UNITS) if unit != 4]
    np.testing.assert_allclose(found, exact(activity[:, others]), atol=1e-6)


def test_a_rare_value_far_away_is_weighed_as_numpy_does():
    activity = mixed().float()
    activity[17] *= 1e6
    np.testing.assert_allclose(correlations(activity), exact(activity), atol=1e-6)


@pytest.mark.parametrize("units", [6, FEW_UNITS])
def test_sums_in_single_precision_lose_nothing_in_the_largest_block(units: int):
    """Activity that is mostly 0, as after a ReLU, whose centred values nearly all have one sign."""
    stream = torch.Generator().manual_seed(1)
    activity = (torch.rand(MOST_SAMPLES, units, generator=stream) < 0.02).float() * 0.1
    activity[:, units // 2 :] += activity[:, : units // 2]
    expected = np.corrcoef(activity.double().numpy().T)
    np.testing.assert_allclose(correlations(activity, MOST_SAMPLES), expected, atol=5e-6)


def test_products_in_blocks_are_those_of_one_matrix():
    units = 2 * SPLIT_UNITS + 3
    activity = mixed(40, units)
    np.testing.assert_allclose(correlations(activity, 16), np.corrcoef(activity.numpy().T), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_activity_of_a_network_is_measured_in_its_own_precision(dtype: torch.dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)
    scale, offset = (1e-60, 1e8) if dtype is torch.float64 else (1.0, 8.0)
    model[0].weight.data *= 1 if dtype is torch.float64 else 20
    model[0].bias.data += offset
    model.insert(2, Scaled(scale))
    inputs = torch.randn(300, 6, dtype=dtype)
    with torch.no_grad():
        activity = model[:3](inputs).double().numpy()
    measured = profile(model, inputs.split(100), layers="2", settings=SETTINGS)
    expected = np.corrcoef(activity.T)
    for pair in measured.pairs.to_dict("records"):
        assert pair["r"] == pytest.approx(expected[pair["unit"], pair["other"]], abs=1e-5)
    assert measured.units["mean"].to_numpy() == pytest.approx(activity.mean(0), rel=1e-12)
    assert len(measured.pairs) == 28


class Scaled(nn.Module):
    """Values times a number."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, value: Tensor) -> Tensor:
        return value * self.factor


def test_complex_activity_is_refused_in_a_sentence():
    class Turning(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.turn, self.two = nn.Linear(4, 8), Complex(), nn.Linear(8, 2)

        def forward(self, value: Tensor) -> Tensor:
            return self.two(self.turn(torch.relu(self.one(value))).abs())

    with pytest.raises(RequestError, match=r"type torch\.complex64; a layer's value is of floating point"):
        profile(Turning(), [torch.randn(10, 4)], layers="turn", settings=SETTINGS)


class Complex(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return torch.complex(value, value.flip(-1))


class Fragile(nn.Module):
    """Divides by the activity of its first unit, so that without it scores are infinite or NaN."""

    def __init__(self):
        super().__init__()
        self.one, self.relu, self.two = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3)
        self.one.bias.data += 5

    def forward(self, value: Tensor) -> Tensor:
        value = self.relu(self.one(value))
        return self.two(value) / value[:, :1]


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("precision", [None, 0.001])
def test_scores_that_are_not_finite_after_an_ablation_are_no_label_and_are_counted(precision, replay: bool):
    torch.manual_seed(0)
    model, inputs = Fragile(), torch.randn(50, 3)
    settings = Measurement(levels=5, samplings=2, granularity="channel", precision=precision)
    measured = profile(model, inputs.split(20), settings=settings, replay=replay)
    some = measured.ablation[measured.ablation["units_dropped"] > 0]
    lost = some[some["not_finite"] > 0]
    assert (lost["not_finite"] == 50).all()  # the unit is dropped for all examples or for none
    assert (lost["unchanged"] == 0).all()
    assert (lost["share_dropped"] == 1).sum() == 2
    assert (some[some["not_finite"] == 0]["unchanged"] > 0).all()
    assert f"After {len(lost)} of 10 ablations, {50 * len(lost)} of {50 * len(lost)} labels" in repr(measured).replace(
        "\n", " "
    )
    whole = profile(model, [inputs], settings=Measurement(levels=5, samplings=2), replay=replay)
    assert 0 < whole.ablation["not_finite"].max() <= 50


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "NaN"), (float("inf"), "infinite scores")])
def test_an_intact_network_with_such_scores_is_refused(value: float, kind: str):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    inputs = torch.randn(20, 3)
    with pytest.raises(RequestError, match=f"the model's output holds {kind}, so no label can be formed"):
        profile(model, [inputs], predict=lambda output: output + torch.tensor([0.0, 0.0, value]))
    masked = profile(model, [inputs], predict=lambda output: output + torch.tensor([0.0, 0.0, -torch.inf]))
    assert masked.ablation["not_finite"].sum() == 0  # a class that is never chosen is no fault
