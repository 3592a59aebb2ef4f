"""The linear algebra: the units that go, the error that it foretells, and the weights that are left."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.compression.comparison import wilson
from widthwise.compression.elimination import EXACT, WAITING, Elimination, Moments, MomentSums, eliminate, refit


def problem(features: torch.Tensor, outputs: int = 3, seed: int = 1) -> tuple[Moments, torch.Tensor]:
    """A reader with random weights that gives exactly its target."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(features.shape[1] + 1, outputs, generator=generator, dtype=torch.float64)
    extended = torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], 1)
    targets = extended.double() @ weights
    sums = MomentSums(weights)
    sums.add(features, targets, targets)
    return sums.moments(), weights


def randoms(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def columns(units: int, width: int = 1) -> torch.Tensor:
    return torch.arange(units * width).view(units, width)


def added(found: Elimination, keep: int) -> float:
    """The error when `keep` units stay."""
    return found.errors[len(found.order) - keep - 1]


def error_of(features: torch.Tensor, moments: Moments, weights: torch.Tensor, units: list[int], width: int) -> float:
    """The squared error of the best weights for some units, from the rows themselves."""
    chosen = [unit * width + column for unit in units for column in range(width)]
    ones = torch.ones(len(features), 1, dtype=torch.float64)
    targets = torch.cat([features, ones], 1) @ weights
    some = torch.cat([features[:, chosen], ones], 1)
    best = torch.linalg.lstsq(some, targets).solution
    return float((some @ best - targets).square().mean(0).sum()) / moments.power


@given(width=st.integers(1, 3), units=st.integers(2, 6), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_error_that_is_foretold_is_that_of_the_best_weights(width: int, units: int, seed: int):
    features = randoms(2000, units * width, seed)
    moments, weights = problem(features, seed=seed)
    found = eliminate([(moments, columns(units, width))], 1)
    for keep in range(1, units):
        assert added(found, keep) == pytest.approx(
            error_of(features, moments, weights, found.kept(keep), width), rel=0.02
        )


def test_units_of_many_features_are_removed_too():
    features = randoms(6000, 3 * 140, 4)
    moments, weights = problem(features)
    found = eliminate([(moments, columns(3, 140))], 1)
    assert added(found, 1) == pytest.approx(error_of(features, moments, weights, found.kept(1), 140), rel=0.02)


@given(width=st.integers(1, 3), units=st.integers(2, 5), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_each_unit_that_goes_is_the_one_that_costs_least(width: int, units: int, seed: int):
    features = randoms(2000, units * width, seed)
    moments, weights = problem(features, seed=seed)
    found = eliminate([(moments, columns(units, width))], 1)
    left = list(range(units))
    for unit in found.order[: units - 1]:
        costs = {u: error_of(features, moments, weights, [v for v in left if v != u], width) for u in left}
        assert costs[unit] <= min(costs.values()) * 1.02 + 1e-9
        left.remove(unit)


def test_many_units_are_removed_as_well_as_few():
    """More features than those whose removal waits to be made together."""
    features = randoms(4000, 2 * WAITING, 3)
    features[:, WAITING:] *= 0.01
    moments, weights = problem(features)
    found = eliminate([(moments, columns(WAITING, 2))], 40)
    assert set(found.order[: WAITING // 2]) == set(range(WAITING // 2, WAITING))
    assert added(found, 40) == pytest.approx(error_of(features, moments, weights, found.kept(40), 2), rel=0.02)


def test_units_that_say_nothing_of_their_own_go_first_and_cost_nothing():
    """Dead, constant, repeated and dependent on several others."""
    base = randoms(500, 4)
    sum_of_two = (base[:, 0] - 2 * base[:, 1])[:, None]
    features = torch.cat([base, torch.zeros(500, 1), torch.full((500, 1), 3.0), 2 * base[:, 2:3], sum_of_two], 1)
    moments, weights = problem(features.double())
    found = eliminate([(moments, columns(8))], 4)
    kept = torch.tensor([*found.kept(4), 8])
    fitted, error = refit(moments, kept)
    assert error < EXACT
    assert refit(moments, torch.tensor([*eliminate([(moments, columns(8))], 3).kept(3), 8]))[1] > 1000 * EXACT
    ones = torch.ones(500, 1)
    wanted = torch.cat([features, ones], 1).double() @ weights
    given_back = torch.cat([features[:, kept[:-1]], ones], 1).double() @ fitted
    assert (given_back - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_with_few_rows_the_weights_stay_near_what_they_were():
    features = randoms(8, 40)
    moments, weights = problem(features)
    fitted, _ = refit(moments, torch.arange(41))
    few = (fitted - weights).norm()
    assert few < 0.2 * weights.norm()


def test_a_fit_that_must_be_exact_shows_nothing():
    """With fewer rows than features, every choice of units fits them, and says nothing of other rows."""
    moments, _ = problem(randoms(20, 40))
    found = eliminate([(moments, columns(40))], 25)
    assert added(found, 25) > EXACT
    assert refit(moments, torch.tensor([*found.kept(25), 40]))[1] > 0
    assert not moments.shows_exactness
    enough, _ = problem(randoms(50, 40))
    assert enough.shows_exactness


def test_moments_of_batches_are_those_of_all_rows():
    features, targets, weights = randoms(90, 3), randoms(90, 2, 5), randoms(4, 2, 6)
    at_once, bit_by_bit = MomentSums(weights), MomentSums(weights)
    at_once.add(features, targets, 2 * targets)
    for some in (slice(20), slice(20, 90)):
        bit_by_bit.add(features[some], targets[some], 2 * targets[some])
    whole, parts = at_once.moments(), bit_by_bit.moments()
    torch.testing.assert_close(whole.gram, parts.gram)
    torch.testing.assert_close(whole.cross, parts.cross)
    assert whole.power == pytest.approx(parts.power)
    assert whole.power == pytest.approx(float((2 * targets).var(0, unbiased=False).sum()))


def test_wilson_s_interval():
    low, high = wilson(81, 263)  # the example in Newcombe (1998), Statistics in Medicine 17
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(10, 10)[1] == 1
