"""Counts relative to the widest network, and growth per doubling of width, by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from widthwise.analysis.growth import COLUMNS, factor_of, growth, with_counts

WIDTHS = [0.25, 0.5, 1.0, 2.0, 4.0]


def networks(prunability: list[list[float]], widths: list[float] = WIDTHS, **others) -> pd.DataFrame:
    """One series; a list for each replicate, with a number for each width."""
    rows = [
        {"replicate": replicate, "width_factor": width, "prunability": value}
        for replicate, values in enumerate(prunability)
        for width, value in zip(widths, values, strict=True)
    ]
    fixed = {"protocol": "figures", "series": "one", "redundancy_pca": 0.5, "degenerate": False}
    return pd.DataFrame(rows).assign(**{**fixed, **others})


def row(table: pd.DataFrame, measure: str, relative: bool, series: str = "one") -> pd.Series:
    found = table[(table["measure"] == measure) & (table["relative"] == relative) & (table["series"] == series)]
    assert len(found) == 1
    return found.iloc[0]


def test_counts_are_in_units_of_the_widest_network():
    narrow = networks([[0.5, 0.75]], widths=[1.0, 2.0], series="other")
    found = with_counts(pd.concat([networks([[0.1, 0.2, 0.4, 0.6, 0.8]]), narrow]))
    one, other = (found[found["series"] == name] for name in ("one", "other"))
    assert one["non_prunability"].tolist() == pytest.approx([0.9, 0.8, 0.6, 0.4, 0.2])
    assert one["prunability_relative"].tolist() == pytest.approx([0.1 / 16, 0.2 / 8, 0.1, 0.3, 0.8])
    assert one["non_prunability_relative"].tolist() == pytest.approx([0.9 / 16, 0.1, 0.15, 0.2, 0.2])
    assert one["redundancy_pca_relative"].tolist() == pytest.approx([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2])
    assert other["prunability_relative"].tolist() == pytest.approx([0.25, 0.75])


def test_the_factor_is_the_geometric_mean_of_the_steps():
    values = [0.1, 0.3, 0.2, 0.7, 0.8]
    found = growth(networks([values]))
    assert list(found.columns) == COLUMNS
    assert len(found) == 6
    steps = [after / before for before, after in itertools.pairwise(values)]
    assert row(found, "prunability", False)["factor_per_doubling"] == pytest.approx(np.prod(steps) ** (1 / 4))
    assert row(found, "prunability", True)["factor_per_doubling"] == pytest.approx(2 * np.prod(steps) ** (1 / 4))
    assert row(found, "non_prunability", False)["factor_per_doubling"] == pytest.approx((0.2 / 0.9) ** (1 / 4))
    assert row(found, "redundancy_pca", False)["factor_per_doubling"] == pytest.approx(1)
    assert row(found, "redundancy_pca", True)["factor_per_doubling"] == pytest.approx(2)
    assert found[["low", "high"]].isna().all(axis=None), "one replicate has no interval"


def test_a_step_of_several_doublings_counts_as_that_many():
    found = growth(networks([[0.1, 0.8]], widths=[0.5, 4.0]))
    assert row(found, "prunability", False)["factor_per_doubling"] == pytest.approx(2)


def test_the_interval_is_students_over_the_logarithms_of_replicates():
    factors = np.array([1.1, 1.3, 1.6])
    replicates = [[0.1, 0.1, 0.1, 0.1, 0.1 * factor**4] for factor in factors]
    found = row(growth(networks(replicates)), "prunability", False)
    assert found["factor_per_doubling"] == pytest.approx((1.1 * 1.3 * 1.6) ** (1 / 3))
    assert found["replicates"] == 3
    reach = 2.919986 * np.log(factors).std(ddof=1) / np.sqrt(3)  # t with 2 degrees of freedom, 90%, both sides
    ends = np.exp(np.log(factors).mean() + reach * np.array([-1, 1]))
    assert [found["low"], found["high"]] == pytest.approx(ends, rel=1e-5)
    same = row(growth(networks([[0.1, 0.1, 0.1, 0.1, 0.8]] * 3)), "prunability", False)
    assert [same["low"], same["high"]] == pytest.approx([same["factor_per_doubling"]] * 2)


def test_the_factor_of_a_claim_counts_units():
    found = factor_of(
        networks([[0.1, 0.1, 0.1, 0.1, 0.1 * each**4] for each in (1.1, 1.3, 1.6)]), "one", "prunability", WIDTHS
    )
    assert found is not None
    assert 2**found.value == pytest.approx(2 * (1.1 * 1.3 * 1.6) ** (1 / 3)), "twice the units and a greater share"
    assert found.freedom == 2
    assert factor_of(networks([[0.1] * 5]), "one", "prunability", WIDTHS) is None, "of one replicate"
    assert factor_of(networks([[0.1] * 5, [0.0, 0.1, 0.1, 0.1, 0.1]]), "one", "prunability", WIDTHS) is None


def test_each_protocol_and_series_has_its_own_factors():
    rows = [
        networks([[0.2, 0.4]], widths=[1.0, 2.0], protocol=protocol, series=series)
        for protocol in ("text", "figures")
        for series in ("one", "two")
    ]
    rows[3]["prunability"] = [0.2, 0.6]
    found = growth(pd.concat(rows))
    assert found.groupby(["protocol", "series"], sort=False).size().to_dict() == {
        ("text", "one"): 6,
        ("text", "two"): 6,
        ("figures", "one"): 6,
        ("figures", "two"): 6,
    }
    shares = found[(found["measure"] == "prunability") & ~found["relative"]]["factor_per_doubling"]
    assert shares.tolist() == pytest.approx([2, 2, 2, 3])


def test_replicates_that_are_incomplete_or_collapsed_do_not_count():
    table = networks([[0.1, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.9], [0.1, 0.1, 0.1, 0.1, 0.8]])
    table.loc[(table["replicate"] == 0) & (table["width_factor"] == 1), "degenerate"] = True
    table = table[~((table["replicate"] == 1) & (table["width_factor"] == 4))]
    found = row(growth(table), "prunability", False)
    assert found["replicates"] == 1
    assert found["factor_per_doubling"] == pytest.approx(8 ** (1 / 4))


def test_what_has_no_factor_is_missing():
    everything = growth(networks([[0.5, 0.6, 0.7, 0.8, 1.0], [0.5, 0.6, 0.7, 0.8, 0.9]]))
    assert np.isnan(row(everything, "non_prunability", False)["factor_per_doubling"])
    assert row(everything, "prunability", False)["factor_per_doubling"] > 1
    one_width = growth(networks([[0.5]], widths=[1.0]))
    assert one_width["factor_per_doubling"].isna().all()
    collapsed = growth(networks([[0.5] * 5], degenerate=True))
    assert collapsed["factor_per_doubling"].isna().all()
    assert (collapsed["replicates"] == 0).all()
