"""Errors of measures below the replicate, against what drawing samplings and units again shows."""

import math

import numpy as np
import pandas as pd
import pytest
from benchmarks.coverage import KINDS, similar_units

from widthwise.analysis.measurement_error import measurement_errors, units_error


@pytest.mark.parametrize("units", [32, 200])
def test_the_error_of_units_is_the_deviation_of_networks_with_other_units(units: int):
    """Units are similar if they are of one kind; networks draw theirs anew."""
    kinds = np.random.default_rng(0).multinomial(units, KINDS, 20_000).astype(float)
    similarity, deviation = similar_units(kinds)
    errors = units_error(np.full(len(kinds), float(units)), similarity, deviation)
    assert math.sqrt((errors**2).mean()) == pytest.approx(similarity.std(), rel=0.03)
    of_independent_numbers = np.sqrt((deviation**2).mean() / units)
    assert similarity.std() == pytest.approx(2 * of_independent_numbers, rel=0.05)


def test_units_that_are_all_alike_or_resemble_each_other_by_chance_differ_little():
    units, share = 100, 0.2
    stream = np.random.default_rng(1)
    upper = np.triu(stream.random((300, units, units)) < share, 1)
    counts = (upper | upper.swapaxes(1, 2)).sum(axis=-1)
    means, deviations = counts.mean(axis=1), counts.std(axis=1)
    errors = units_error(np.full(300, float(units)), means, deviations)
    assert means.std() == pytest.approx(math.sqrt(2 * share * (1 - share)), rel=0.1), "each pair by itself"
    assert math.sqrt((errors**2).mean()) == pytest.approx(means.std(), rel=0.3)
    alike = units_error(np.array([8.0]), np.array([7.0]), np.array([0.0]))
    assert alike.tolist() == [0.0]
    assert np.isnan(units_error(np.array([4.0]), np.array([1.0]), np.array([0.0]))).all()


def test_the_error_of_a_network_is_that_of_the_mean_of_its_layers():
    layers = pd.DataFrame(
        {
            "trial": ["a", "a", "b"],
            "protocol": "text",
            "units": [10, 4, 10],
            "auc_std": [0.3, 0.4, math.nan],
            "similarity_std": [0.6, 0.8, math.nan],
            "similarity": [9.0, 1.0, 9.0],
            "similarity_std_units": [0.0, 0.0, 0.0],
        }
    )
    errors = measurement_errors(layers, ["protocol", "trial"], {"a": 4, "b": 1})
    of_a, of_b = errors.to_dict("records")
    # each layer's mean of 4 samplings has half the deviation; the mean of two layers has half the root of the squares
    assert of_a["auc_error_samplings"] == pytest.approx(math.hypot(0.15, 0.2) / 2)
    assert of_a["similarity_error_samplings"] == pytest.approx(math.hypot(0.3, 0.4) / 2)
    assert of_a["similarity_error_units"] == 0
    assert np.isnan(of_b["auc_error_samplings"])


def test_the_error_of_samplings_is_what_drawing_them_again_shows():
    stream = np.random.default_rng(2)
    samplings, layers = 5, 3
    values = stream.normal(0.7, 0.05, (layers, samplings))
    table = pd.DataFrame({"trial": "a", "auc_std": values.std(axis=1, ddof=1), "units": 10})
    table = table.assign(similarity=1.0, similarity_std=0.0, similarity_std_units=0.0)
    (found,) = measurement_errors(table, ["trial"], {"a": samplings})["auc_error_samplings"]
    drawn = stream.integers(0, samplings, (20_000, layers, samplings))
    means = np.take_along_axis(values[None], drawn, axis=2).mean(axis=(1, 2))
    assert found == pytest.approx(means.std() * math.sqrt(samplings / (samplings - 1)), rel=0.02)
