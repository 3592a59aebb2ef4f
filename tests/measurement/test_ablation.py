"""Removability: how many units are dropped, which, and what the curve's area is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.measurement.ablation import NARROW_KEY_UNITS, area_under_curve, drop_keys, drop_masks, dropped_counts


def masks(shape, unit_dimension, counts, granularity, seed=0):
    return dict(drop_masks(np.random.SeedSequence(seed), torch.Size(shape), unit_dimension, counts, granularity))


def test_seven_levels_drop_rounded_shares():
    assert dropped_counts(32, 7) == [round(32 * level / 6) for level in range(7)] == [0, 5, 11, 16, 21, 27, 32]


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 20), units=st.integers(2, 60), levels=st.integers(2, 9), seed=st.integers(0, 10**6))
def test_exactly_so_many_values_of_each_image_are_dropped(rows: int, units: int, levels: int, seed: int):
    counts = dropped_counts(units, levels)
    for level, stays in masks((rows, units), -1, counts, "application", seed).items():
        assert ((~stays).sum(dim=1) == counts[level]).all()


def test_in_a_convolution_each_application_is_dropped_by_itself():
    shape = (6, 4, 5, 5)
    stays = masks(shape, 1, dropped_counts(100, 3), "application")[1]
    assert stays.shape == shape
    assert ((~stays).flatten(1).sum(1) == 50).all()
    assert len(torch.unique(stays.flatten(1), dim=0)) == 6, "each image has its own draw"
    assert len(torch.unique(stays[0].flatten(1), dim=0)) > 1, "channels are not dropped as a whole"


def test_whole_channels_are_dropped_from_every_image():
    stays = masks((6, 10, 5, 5), 1, dropped_counts(10, 3), "channel")[1]
    assert stays.shape == (1, 10, 1, 1)
    assert (~stays).sum() == 5


@pytest.mark.parametrize("units", [10, 2048, NARROW_KEY_UNITS + 1, 5000])
def test_keys_are_distinct_whatever_the_number_of_units(units: int):
    keys, in_order = drop_keys(np.random.SeedSequence(1), 20, units)
    assert (np.diff(in_order.astype(np.uint64), axis=1) > 0).all()
    np.testing.assert_array_equal(np.sort(keys, axis=1), in_order)


def test_every_unit_is_dropped_equally_often():
    stays = masks((40_000, 12), -1, [4], "application")[0]
    frequencies = (~stays).double().mean(0)
    # 5 standard errors of a binomial share of 1/3 from 40,000 draws
    torch.testing.assert_close(frequencies, torch.full((12,), 1 / 3, dtype=torch.float64), atol=0.012, rtol=0)
    together = (~stays[:, 0] & ~stays[:, 1]).double().mean().item()
    assert together == pytest.approx(4 / 12 * 3 / 11, abs=0.012)


def test_the_area_is_the_trapezoid_rules():
    assert area_under_curve(np.array([[1, 1, 1], [1, 0.5, 0], [1, 0, 0]])).tolist() == [1, 0.5, 0.25]
