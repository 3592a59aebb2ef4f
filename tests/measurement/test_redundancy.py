"""The share of principal components that hold little variance, and similarity as others report it; by plain NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from widthwise.measurement.correlation import RunningCorrelation
from widthwise.measurement.profile import profile
from widthwise.measurement.repetition import Repetition, repetition
from widthwise.measurement.settings import Measurement


def summary(activity: Tensor, batch: int = 50) -> Repetition:
    running = RunningCorrelation(activity.shape[1])
    for part in activity.split(batch):
        running.update(part)
    return repetition(running, running.compute(), [0.5])


def redundant(activity: np.ndarray) -> int:
    """Components left out one after another, the weakest first, while 95% of the variance stays."""
    variances = sorted(np.linalg.eigvalsh(np.cov(activity.T)))
    count, held = 0, 0.0
    while held + variances[count] <= 0.05 * sum(variances):
        held += variances[count]
        count += 1
    return count


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("rank", [2, 9, 20])
def test_it_is_the_share_of_components_that_hold_the_last_twentieth_of_the_variance(rank: int, offset: float):
    torch.manual_seed(rank)
    activity = torch.randn(300, rank, dtype=torch.float64) @ torch.randn(rank, 20, dtype=torch.float64)
    activity += 0.01 * torch.randn(300, 20, dtype=torch.float64) + offset
    count = redundant(activity.numpy())
    assert count >= 20 - rank
    assert summary(activity).redundancy == pytest.approx(count / 20)


def test_a_unit_that_is_a_sum_of_others_is_redundant_though_it_resembles_no_single_one():
    torch.manual_seed(0)
    independent = torch.randn(2000, 6)
    total = independent.sum(1, keepdim=True)
    assert summary(independent).redundancy == 0
    found = summary(torch.cat([independent, total], dim=1))
    assert found.similarity == (0,)
    assert found.redundancy == pytest.approx(1 / 7)


def test_scales_matter_to_variance_but_units_of_any_scale_are_in_range():
    torch.manual_seed(0)
    activity = torch.randn(100, 4, dtype=torch.float64)
    assert summary(activity * 1e-200).redundancy == summary(activity * 1e200).redundancy == 0
    assert summary(activity * torch.tensor([1e200, 1e-200, 1e200, 1], dtype=torch.float64)).redundancy == 0.5
    assert np.isnan(summary(torch.ones(100, 4)).redundancy)
    assert summary(torch.cat([activity, torch.ones(100, 4)], dim=1)).redundancy == 0.5


def test_a_profile_has_the_spread_between_units_and_the_count_in_which_constant_units_are_minus_one():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 30), nn.ReLU(), nn.Linear(30, 3))
    model[0].weight.data[:4], model[0].bias.data[:4] = 0, torch.tensor([-1.0, 0, 1, 2])
    inputs = torch.randn(200, 5)
    measured = profile(model, inputs.split(60), settings=Measurement(levels=2, threshold=0.4)).layers.iloc[0]
    with torch.no_grad():
        activity = model[:2](inputs).double().numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.abs(np.corrcoef(activity.T)) >= 0.4  # false for NaN, the correlation of a constant unit
    reference = alike.sum(1) - 1
    others = np.maximum(reference, 0)
    assert (reference < 0).sum() >= 4
    assert measured["similarity"] == pytest.approx(others.mean())
    assert measured["similarity_std_units"] == pytest.approx(np.std(others))
    assert measured["similarity_reference"] == pytest.approx(reference.mean())
    assert measured["redundancy_pca"] == pytest.approx(redundant(activity) / 30)


def test_they_are_means_over_samplings():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3))
    inputs = torch.randn(90, 5)
    settings = Measurement(levels=2, samplings=2, activations=20)
    measured = profile(model, [inputs], settings=settings, seed=7).layers.iloc[0]
    with torch.no_grad():
        activity = model[:2](inputs).double().numpy()
    spreads, shares = [], []
    for each in np.random.SeedSequence([7, 2, 0]).spawn(2):
        drawn = activity[np.random.default_rng(each).choice(90, 20, replace=False)]
        with np.errstate(invalid="ignore", divide="ignore"):
            alike = (np.abs(np.corrcoef(drawn.T)) >= 0.5).sum(1)
        spreads.append(np.std(np.maximum(alike - 1, 0)))
        shares.append(redundant(drawn) / 12)
    assert measured["similarity_std_units"] == pytest.approx(np.mean(spreads))
    assert measured["redundancy_pca"] == pytest.approx(np.mean(shares))
