"""The tests behind a verdict, against their definitions."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.trend import (
    Estimate,
    doublings_between,
    holm,
    page_p_value,
    slope_of_means,
    slope_per_doubling,
    smallest_page_p_value,
)

WIDTHS = np.array([0.25, 0.5, 1, 2, 4])


def test_page_is_exact_for_perfect_order():
    rising = np.tile(np.arange(5.0), (3, 1)) + np.array([[0], [10], [-5]])
    assert page_p_value(rising) == pytest.approx((1 / math.factorial(5)) ** 3)
    assert smallest_page_p_value(3, 5) == pytest.approx(page_p_value(rising))
    assert page_p_value(-rising) == pytest.approx(1)


def test_page_agrees_with_counting_all_orders():
    table = np.array([[1.0, 3, 2, 4], [2, 1, 3, 4]])
    ranks = np.arange(1, 5)
    observed = sum((np.argsort(np.argsort(row)) + 1) @ ranks for row in table)
    orders = [np.array(order) @ ranks for order in itertools.permutations(range(1, 5))]
    as_extreme = sum(one + two >= observed for one in orders for two in orders)
    assert page_p_value(table) == pytest.approx(as_extreme / len(orders) ** 2)


def test_holm_steps_down_and_stays_in_order():
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


def test_the_slope_is_per_doubling_and_its_interval_students_over_replicates():
    noise = np.random.default_rng(0).normal(0, 0.1, (6, 5))
    table = 2.5 * np.log2(WIDTHS) + np.arange(6)[:, None] + noise
    slope = slope_per_doubling(table, WIDTHS)
    each = [np.polyfit(np.log2(WIDTHS), row, 1)[0] for row in table]
    assert slope.value == pytest.approx(np.mean(each))
    for confidence in (0.9, 0.95):
        expected = stats.ttest_1samp(each, 0).confidence_interval(confidence)
        assert slope.interval(confidence) == pytest.approx((expected.low, expected.high))
    assert slope.interval() == slope.interval(0.9)
    assert slope.p_above(2.4) == pytest.approx(stats.ttest_1samp(each, 2.4, alternative="greater").pvalue)
    assert slope.p_below(2.6) == pytest.approx(stats.ttest_1samp(each, 2.6, alternative="less").pvalue)


def test_equal_replicates_have_an_interval_of_no_width_unless_the_measurement_varies():
    table = np.tile(np.log2(WIDTHS), (3, 1))
    slope = slope_per_doubling(table, WIDTHS)
    assert (slope.value, slope.error) == pytest.approx((1, 0))
    measured = slope_per_doubling(table, WIDTHS, np.full((3, 5), 0.04))
    # a mean of 3 slopes, each with weights (-2, -1, 0, 1, 2) / 10 of values with a standard deviation of 0.2
    assert measured.error == pytest.approx(0.2 * math.sqrt(10) / 10 / math.sqrt(3))
    assert measured.freedom == 2


def test_the_measurement_is_a_floor_and_is_not_counted_twice():
    stream = np.random.default_rng(3)
    table = stream.normal(0, 1, (4, 5))
    between = slope_per_doubling(table, WIDTHS)
    assert slope_per_doubling(table, WIDTHS, np.full((4, 5), 1e-6)) == between
    assert slope_per_doubling(table, WIDTHS, np.full((4, 5), 100.0)).error > between.error


def test_an_effect_is_within_a_margin_if_its_interval_is():
    effect = Estimate(0.01, 0.01, 4)
    low, high = effect.interval()
    assert effect.p_within(high) == pytest.approx(0.05)
    assert effect.p_within(-low) > 0.05 > effect.p_within(high + 0.01)
    assert effect.p_above(low) == pytest.approx(0.05)
    assert effect.times(-2.0) == Estimate(-0.02, 0.02, 4)
    assert Estimate(-0.5, 0.0, 2).p_within(1.0) == 0
    assert Estimate(-0.5, 0.0, 2).p_above() == 1
    assert Estimate(-1234.5, 0.0, 2).in_words(".1f") == "−1234.5 [−1234.5, −1234.5]"


def test_a_line_through_means_is_a_regression():
    means = np.array([0.5, 0.55, 0.52, 0.61, 0.66])
    expected = stats.linregress(np.log2(WIDTHS), means)
    found = slope_of_means(means, WIDTHS)
    assert (found.value, found.error, found.freedom) == pytest.approx((expected.slope, expected.stderr, 3))
    assert doublings_between(WIDTHS) == 4
