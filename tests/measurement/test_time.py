"""How precisely removability is known, and ablations that stop at a precision, against plain computations."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks.plain import ranks_of
from torch import nn

from widthwise.errors import RequestError
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.progress import Progress

LAYERS = ["1", "3"]


def network(examples: int = 600) -> tuple[nn.Sequential, torch.Tensor]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    inputs = torch.randn(examples, 5)
    with torch.no_grad():
        nn.init.normal_(model[4].weight, std=2)
        model[4].bias -= model(inputs).mean(0)
    return model, inputs


@torch.no_grad()
def outcomes(model: nn.Sequential, inputs: torch.Tensor, settings: Measurement, seed: int) -> np.ndarray:
    """Whether each label stays: `layers examples samplings levels`."""
    intact = model(inputs).argmax(1)
    found = np.ones((2, len(inputs), settings.samplings, settings.levels))
    for depth, layer in enumerate((1, 3)):
        value = model[: layer + 1](inputs)
        for sampling in range(settings.samplings):
            stream = [seed, 1, depth, 0, sampling]
            ranks = np.stack([ranks_of(stream, row, value.shape[1], value.device) for row in range(len(inputs))])
            for level in range(settings.levels):
                kept = torch.from_numpy(ranks >= round(level / (settings.levels - 1) * value.shape[1]))
                found[depth, :, sampling, level] = model[layer + 1 :](value * kept).argmax(1) == intact
    return found


def test_the_standard_error_is_that_of_the_mean_of_the_examples_areas():
    model, inputs = network(300)
    measured = profile(model, inputs.split(77), settings=Measurement(), seed=4)
    areas = np.trapezoid(outcomes(model, inputs, Measurement(), 4), dx=1 / 6).mean(2)
    assert measured.layers["auc"].tolist() == pytest.approx(areas.mean(1).tolist())
    expected = areas.std(axis=1, ddof=1) / math.sqrt(300)
    assert measured.removability["precision"].tolist() == pytest.approx(expected.tolist(), rel=0.02)
    assert measured.ablation["labels"].unique().tolist() == [300]


def test_draws_that_all_examples_share_count_in_the_standard_error():
    model, inputs = network(300)
    settings = Measurement(granularity="channel")
    measured = profile(model, [inputs], settings=settings)
    between = measured.layers["auc_std"] / math.sqrt(3)
    assert (measured.removability["precision"] > between).all()
    one = profile(model, [inputs], settings=Measurement(granularity="channel", samplings=1, precision=0.05))
    assert one.removability["precision"].isna().all()
    assert "it is unknown: there are too few" in " ".join(str(one).split())


def test_ablations_stop_at_a_precision_and_say_what_was_reached():
    model, inputs = network()
    for precision in (0.04, 0.02):
        measured = profile(model, inputs.split(100), settings=Measurement(precision=precision))
        assert (measured.removability["precision"] <= precision).all()
        assert (measured.removability["precision"] > 0.7 * precision).all()
        runs = measured.ablation.query("0 < share_dropped < 1").groupby("layer")["labels"].sum()
        assert (runs < 600 * 3 * 5 / 3).all()
        assert f"standard error of AUC of {precision:g}" in " ".join(str(measured).split())
        assert measured.layers["auc_std"].isna().all(), "samplings are of different examples"


def test_areas_spread_as_their_standard_errors_say():
    model, inputs = network(1500)
    inputs = inputs[model(inputs).argmax(1).argsort()]  # examples in the order of their classes
    settings = Measurement()
    expected = np.trapezoid(outcomes(model, inputs, settings, 0), dx=1 / 6).mean((1, 2))
    errors = []
    for seed in range(30):
        measured = profile(model, [inputs], settings=Measurement(precision=0.05), seed=seed, layers=LAYERS)
        errors.append((measured.layers["auc"] - expected) / measured.removability["precision"])
    errors = np.concatenate(errors)
    assert (np.abs(errors) > 2).mean() <= 0.12
    assert (np.abs(errors) < 4).all()
    assert 0.7 < errors.std() < 1.3


def test_levels_that_vary_most_get_most_examples():
    model, inputs = network(1500)
    measured = profile(model, [inputs], settings=Measurement(precision=0.015), layers=LAYERS)
    inner = measured.ablation.query("0 < share_dropped < 1").groupby(["layer", "share_dropped"])
    shares = (inner["unchanged"].mean() * (1 - inner["unchanged"].mean())).clip(0.09)
    labels = inner["labels"].sum()
    assert np.corrcoef(np.sqrt(shares), labels)[0, 1] > 0.8


def test_neither_batches_nor_their_size_change_a_sampled_profile():
    model, inputs = network(200)
    settings = Measurement(precision=0.03)
    one = profile(model, [inputs], settings=settings)
    for batches, size in ((inputs.split(33), 7), (inputs.split(64), None)):
        other = profile(model, batches, settings=settings, batch_size=size)
        pd.testing.assert_frame_equal(one.ablation, other.ablation)
        pd.testing.assert_frame_equal(one.removability, other.removability)


@pytest.mark.parametrize("protocols", [("text",), ("figures",)])
def test_with_too_few_examples_everything_is_run_and_said(protocols):
    model, inputs = network(30)
    measured = profile(model, [inputs], settings=Measurement(precision=0.01, protocols=protocols))
    assert (measured.ablation["labels"] == 30).all()
    assert (measured.removability["precision"] > 0.01).all()
    assert measured.layers["auc_std"].notna().all()
    assert "there are too few examples" in " ".join(str(measured).split())


class WithTable(nn.Module):
    """Takes a table beside the examples, so that batches cannot be cut."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, value: torch.Tensor, names: object) -> torch.Tensor:
        return self.two(torch.relu(self.one(value)))


def test_batches_that_cannot_be_cut_are_run_in_full():
    torch.manual_seed(0)
    model, batches = WithTable(), [((torch.randn(20, 4), {1, 2}),) for _ in range(3)]
    sampled, full = (profile(model, batches, settings=Measurement(precision=each)) for each in (0.1, None))
    pd.testing.assert_frame_equal(sampled.ablation, full.ablation)


def test_the_time_left_is_known_from_the_first_batch_on():
    model, inputs = network(400)
    for precision in (None, 0.03):
        seen: list[Progress] = []
        settings = Measurement(precision=precision)
        profile(model, [inputs], batch_size=50, settings=settings, on_progress=seen.append)
        assert all(each.seconds_left is not None and each.seconds_left >= 0 for each in seen)
        assert seen[0].seconds_left > 0
        assert seen[-1].seconds_left == pytest.approx(0, abs=1e-9)
        assert seen[-1].done == seen[-1].total


@pytest.mark.parametrize("precision", [0.0, -0.1, 2.0])
def test_a_precision_is_an_error_above_0(precision: float):
    with pytest.raises(RequestError, match=r"precision: must be in \(0, 1\], or None for all"):
        Measurement(precision=precision)
