"""The intervals of slopes contain the truth as often as they say, where it is known."""

import pytest
from benchmarks.coverage import (
    EVERY,
    ONE,
    covered,
    covered_by_one_slope,
    covered_by_percentiles,
    false_growth,
    simulate,
)


@pytest.mark.parametrize("level", ["networks", "replicates"])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_covers_what_it_says_whatever_level_varies(level: str, confidence: float):
    share = covered(simulate(600, 3, 5, ONE[level]), confidence)
    assert share == pytest.approx(confidence, abs=0.035)


@pytest.mark.parametrize("replicates", [2, 3, 10])
def test_with_noise_at_every_level_it_covers_at_least_as_often(replicates: int):
    assert covered(simulate(400, replicates, 3, EVERY), 0.9) > 0.86


def test_what_it_does_not_use_covers_less():
    own_slopes = simulate(300, 3, 5, ONE["replicates"])
    assert covered_by_one_slope(own_slopes, 0.9) < 0.65
    assert covered_by_percentiles(own_slopes, 0.9, below=False) < 0.75
    assert covered_by_percentiles(own_slopes, 0.9, below=True) < 0.75


def test_replicates_with_slopes_of_their_own_deceive_the_test_of_ranks_alone():
    alone, with_interval = false_growth(simulate(400, 2, 5, ONE["replicates"], slope=0.0))
    assert alone > 0.15
    assert with_interval < 0.09
