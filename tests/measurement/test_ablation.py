"""Removability: how many units are dropped, which, and what the curve's area is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import widthwise.measurement.masks as drawing
from widthwise.measurement.curves import area_under_curve, corrected_for_chance
from widthwise.measurement.masks import (
    NARROW_UNITS,
    drawn_on_device,
    dropped_counts,
    laid_out,
    levels_survived,
    random_levels,
    stays,
)

CPU = torch.device("cpu")


def masks(rows: int, units: int, counts: list[int], seed: int = 0, first: int = 0) -> dict[int, torch.Tensor]:
    """Which units stay at each random level."""
    survived = levels_survived(np.random.SeedSequence(seed), first, rows, units, counts, CPU)
    return {
        level: stays(survived.float(), number + 1).bool() for number, level in enumerate(random_levels(counts, units))
    }


def test_seven_levels_drop_rounded_shares():
    assert dropped_counts(32, 7) == [round(32 * level / 6) for level in range(7)] == [0, 5, 11, 16, 21, 27, 32]


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 20), units=st.integers(2, 60), levels=st.integers(2, 9), seed=st.integers(0, 10**6))
def test_of_each_image_exactly_the_rounded_share_is_dropped(rows: int, units: int, levels: int, seed: int):
    counts = dropped_counts(units, levels)
    below = torch.zeros(rows, units, dtype=torch.bool)
    for level, kept in masks(rows, units, counts, seed).items():
        assert ((~kept).sum(dim=1) == counts[level]).all()
        assert not (below & kept).any(), "what is dropped at one level is dropped at the higher ones"
        below = ~kept


def test_in_a_convolution_each_application_is_dropped_by_itself():
    value = torch.zeros(6, 4, 5, 5)
    survived = levels_survived(np.random.SeedSequence(0), 0, 6, 100, dropped_counts(100, 3), CPU)
    kept = stays(laid_out(survived, value, 1), 1).bool()
    assert kept.shape == value.shape
    assert ((~kept).flatten(1).sum(1) == 50).all()
    assert len(torch.unique(kept.flatten(1), dim=0)) == 6, "each image has its own draw"
    assert len(torch.unique(kept[0].flatten(1), dim=0)) > 1, "channels are not dropped as a whole"


def test_whole_channels_are_dropped_from_every_image():
    survived = levels_survived(np.random.SeedSequence(0), 0, 1, 10, dropped_counts(10, 3), CPU)
    kept = stays(laid_out(survived, torch.zeros(6, 10, 5, 5), 1), 1).bool()
    assert kept.shape == (1, 10, 1, 1)
    assert (~kept).sum() == 5


@pytest.mark.parametrize("units", [7, 30, NARROW_UNITS + 3])
def test_an_examples_draw_does_not_depend_on_its_batch(units: int):
    counts = dropped_counts(units, 4)
    together = masks(1000, units, counts)
    apart = [masks(300, units, counts), masks(700, units, counts, first=300)]
    for level, kept in together.items():
        assert torch.equal(kept, torch.cat([part[level] for part in apart]))


def test_draws_made_on_another_device_are_exact_and_do_not_depend_on_batches_either():
    counts = dropped_counts(50, 5)
    drawn = [counts[level] for level in random_levels(counts, 50)]
    seed = np.random.SeedSequence([1, 2, 3])
    together = drawn_on_device(seed, 0, 200, 50, drawn, CPU)
    apart = [drawn_on_device(seed, 0, 70, 50, drawn, CPU), drawn_on_device(seed, 70, 130, 50, drawn, CPU)]
    assert torch.equal(together, torch.cat(apart))
    for number, count in enumerate(drawn):
        assert ((together <= number).sum(1) == count).all()
    assert len(torch.unique(together, dim=0)) == 200


@pytest.mark.parametrize("units", [10, NARROW_UNITS, NARROW_UNITS + 1, 70_001])
def test_draws_are_exact_whatever_the_number_of_units(units: int):
    counts = dropped_counts(units, 7)
    for level, kept in masks(9, units, counts).items():
        assert ((~kept).sum(1) == counts[level]).all()


def test_where_keys_are_alike_every_unit_is_still_dropped_equally_often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("widthwise.measurement.masks.NARROW_UNITS", 1)
    random_words = drawing._random_words

    def coarse(*arguments):
        words = random_words(*arguments)
        words[:, :-1] &= np.uint64(0x0003_0003_0003_0003)  # keys of two bits: most are tied
        return words

    monkeypatch.setattr("widthwise.measurement.masks._random_words", coarse)
    dropped = ~masks(40_000, 12, [4, 5])[0]
    assert (dropped.sum(1) == 4).all()
    frequencies = dropped.double().mean(0)
    torch.testing.assert_close(frequencies, torch.full((12,), 1 / 3, dtype=torch.float64), atol=0.012, rtol=0)


def test_every_unit_is_dropped_equally_often():
    dropped = ~masks(40_000, 12, [4])[0]
    frequencies = dropped.double().mean(0)
    # 5 standard errors of a binomial share of 1/3 from 40,000 draws
    torch.testing.assert_close(frequencies, torch.full((12,), 1 / 3, dtype=torch.float64), atol=0.012, rtol=0)
    together = (dropped[:, 0] & dropped[:, 1]).double().mean().item()
    assert together == pytest.approx(4 / 12 * 3 / 11, abs=0.012)


def test_the_area_is_the_trapezoid_rules():
    assert area_under_curve(np.array([[1, 1, 1], [1, 0.5, 0], [1, 0, 0]])).tolist() == [1, 0.5, 0.25]


def test_corrected_for_chance_it_runs_from_random_answers_to_no_change():
    never, random = np.ones((2, 7)), np.array([[1] + [1 / 10] * 6] * 2)
    areas = area_under_curve(np.stack([never[0], random[0]]))
    assert corrected_for_chance(areas, levels=7, classes=10) == pytest.approx([1, 0])
