"""The tests behind a verdict, against their definitions."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.trend import change_over_widths, holm, page_p_value, slope_per_doubling, smallest_page_p_value

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


def test_the_slope_is_per_doubling_and_its_interval_spans_the_replicates():
    noise = np.random.default_rng(0).normal(0, 0.1, (6, 5))
    table = 2.5 * np.log2(WIDTHS) + np.arange(6)[:, None] + noise
    slope = slope_per_doubling(table, WIDTHS)
    each = [np.polyfit(np.log2(WIDTHS), row, 1)[0] for row in table]
    assert slope.estimate == pytest.approx(np.mean(each))
    assert min(each) <= slope.low < slope.estimate < slope.high <= max(each)
    assert slope == slope_per_doubling(table, WIDTHS)


def test_equal_replicates_have_an_interval_of_no_width():
    slope = slope_per_doubling(np.tile(np.log2(WIDTHS), (3, 1)), WIDTHS)
    assert (slope.low, slope.estimate, slope.high) == pytest.approx((1, 1, 1))


def test_the_change_is_over_all_widths_and_its_bound_is_students():
    noise = np.random.default_rng(1).normal(0, 0.01, (3, 5))
    table = 0.9 - 0.004 * np.log2(WIDTHS) + np.array([[0.0], [0.02], [-0.01]]) + noise
    change, low = change_over_widths(table, WIDTHS)
    # the same line by least squares: an intercept for each replicate and one slope
    doublings = np.log2(WIDTHS)
    design = np.hstack([np.kron(np.eye(3), np.ones((5, 1))), np.tile(doublings, 3)[:, None]])
    solution, residual, *_ = np.linalg.lstsq(design, table.ravel(), rcond=None)
    error = math.sqrt(residual[0] / (15 - 4) * np.linalg.inv(design.T @ design)[3, 3])
    assert change == pytest.approx(4 * solution[3])
    assert low == pytest.approx(4 * (solution[3] - stats.t.ppf(0.95, 11) * error))


def test_the_bound_covers_as_often_as_it_says():
    stream = np.random.default_rng(2)
    bounds = [change_over_widths(stream.normal(0, 1, (3, 5)), WIDTHS)[1] for _ in range(2000)]
    assert np.mean(np.array(bounds) <= 0) == pytest.approx(0.95, abs=0.015)
