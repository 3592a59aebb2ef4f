"""Repetition, against numpy.corrcoef in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.measurement.correlation import RunningCorrelation
from widthwise.measurement.repetition import HISTOGRAM_BINS, Repetition, repetition


def running(activity: torch.Tensor, batch: int = 64) -> RunningCorrelation:
    correlation = RunningCorrelation(activity.shape[1])
    for part in activity.split(batch):
        correlation.update(part)
    return correlation


def summary(correlation: RunningCorrelation, thresholds: list[float]) -> Repetition:
    return repetition(correlation, correlation.compute(), thresholds)


def mixed(samples: int, units: int, seed: int = 0) -> torch.Tensor:
    """Activity with strong and weak correlations."""
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(samples, units, generator=stream) @ torch.randn(units, units, generator=stream)


@pytest.mark.parametrize("batch", [7, 64, 1000])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_it_agrees_with_numpy_also_when_means_dwarf_deviations(batch: int, offset: float):
    activity = mixed(500, 12)
    activity = (activity / activity.std() + offset).float()
    expected = np.abs(np.corrcoef(activity.double().numpy().T))
    np.testing.assert_allclose(running(activity, batch).compute().r.abs().numpy(), expected, atol=1e-5)


def test_drifting_batches_are_merged_exactly():
    activity = mixed(400, 6) + torch.arange(400).unsqueeze(1) * torch.tensor([5.0, -3, 2, 0, 1, 100])
    expected = np.abs(np.corrcoef(activity.double().numpy().T))
    np.testing.assert_allclose(running(activity, 32).compute().r.abs().numpy(), expected, atol=1e-5)


def test_similarity_counts_the_other_units_at_or_above_the_threshold():
    activity = mixed(300, 20)
    correlations = np.abs(np.corrcoef(activity.double().numpy().T))
    np.fill_diagonal(correlations, 0)
    for threshold in (0.2, 0.5):
        expected = np.mean((correlations >= threshold).sum(axis=1))
        assert summary(running(activity), [threshold]).similarity == pytest.approx((expected,))


def test_a_copy_is_similar_to_its_original_and_to_nobody_else():
    activity = torch.eye(8).repeat(1, 2)  # eight units that never agree, and a copy of each
    assert summary(running(activity), [0.5]).similarity == (1,)


def test_constant_units_have_no_pairs_and_are_counted_as_dead():
    activity = mixed(100, 5)
    with_constants = torch.cat([activity, torch.zeros(100, 2), torch.full((100, 1), 0.1)], dim=1)
    alive, result = summary(running(activity), [0.5]), summary(running(with_constants), [0.5])
    assert running(with_constants).constant.sum() == 3
    assert result.similarity[0] == pytest.approx(alive.similarity[0] * 5 / 8)
    assert (result.histogram == alive.histogram).all()
    nothing = summary(running(torch.ones(100, 4)), [0.5])
    assert (nothing.similarity, nothing.histogram.sum()) == ((0,), 0)


def test_the_histogram_counts_each_pair_once():
    activity = mixed(300, 15)
    pairs = np.abs(np.corrcoef(activity.double().numpy().T))[np.triu_indices(15, 1)]
    expected, _ = np.histogram(pairs, HISTOGRAM_BINS, range=(0, 1))
    np.testing.assert_array_equal(summary(running(activity), [0.5]).histogram, expected)


@settings(max_examples=30, deadline=None)
@given(units=st.integers(2, 12), seed=st.integers(0, 1000), threshold=st.floats(0.05, 0.95))
def test_copies_orders_and_scales_change_what_they_should(units: int, seed: int, threshold: float):
    activity = mixed(60, units, seed)
    similarity = summary(running(activity), [threshold]).similarity
    doubled = summary(running(torch.cat([activity, activity], dim=1)), [threshold]).similarity
    assert doubled[0] == pytest.approx(2 * similarity[0] + 1)
    shuffled = activity[:, torch.randperm(units, generator=torch.Generator().manual_seed(seed))]
    assert summary(running(shuffled), [threshold]).similarity == similarity
    halved = activity * torch.tensor([0.5, -4.0]).repeat(units)[:units]  # powers of two round nothing
    assert summary(running(halved), [threshold]).similarity == similarity
