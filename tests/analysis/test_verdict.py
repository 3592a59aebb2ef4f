"""The claim, series by series: supported, not supported, or no valid evidence, and why."""

import numpy as np
import pandas as pd
import pytest

from widthwise.analysis.verdict import verdicts

WIDTHS = [0.25, 0.5, 1.0, 2.0, 4.0]
DOUBLINGS = np.log2(WIDTHS)


def networks(series="s", auc=0.0, similarity=0.0, accuracy=0.0, replicates=3, seed=0) -> pd.DataFrame:
    """Chosen networks whose measures change by so much per doubling of width, with little noise around it."""
    stream = np.random.default_rng(seed)
    rows = []
    for replicate in range(replicates):
        for width, doubling in zip(WIDTHS, DOUBLINGS, strict=True):
            rows.append(
                {
                    "series": series,
                    "replicate": replicate,
                    "width_factor": width,
                    "auc": 0.8 + auc * doubling + stream.normal(0, 0.003),
                    "similarity": 10 + similarity * doubling + stream.normal(0, 0.1),
                    "test_accuracy": 0.9 + accuracy * doubling + stream.normal(0, 0.003),
                    "degenerate": False,
                }
            )
    return pd.DataFrame(rows)


def verdict(table: pd.DataFrame, replicates: int = 3, widths=WIDTHS) -> pd.Series:
    return verdicts(table, ["s"], widths, replicates).iloc[0]


@pytest.mark.parametrize(
    ("changes", "grows"), [({"auc": 0.02}, (True, False)), ({"similarity": 3.0}, (False, True)), ({}, (False, False))]
)
def test_either_measure_supports_the_claim_and_neither_does_not(changes: dict, grows: tuple):
    row = verdict(networks(**changes))
    assert (row["removability_grows"], row["similarity_grows"]) == grows
    assert row["verdict"] == ("supported" if any(grows) else "not supported")
    assert row["removability_slope"] == pytest.approx(changes.get("auc", 0), abs=0.003)
    assert row["similarity_slope"] == pytest.approx(changes.get("similarity", 0), abs=0.1)
    assert row["removability_slope_low"] <= row["removability_slope"] <= row["removability_slope_high"]


def test_falling_measures_do_not_support_it():
    row = verdict(networks(auc=-0.02, similarity=-1.0))
    assert row["verdict"] == "not supported"
    assert row["reason"].startswith("neither removability (−0.0")
    assert row["removability_slope_high"] < 0


def test_what_grows_is_told_by_its_effect_with_its_interval_first_then_by_p():
    row = verdict(networks(auc=0.02))
    ends = ", ".join(f"{row[f'removability_slope_{end}']:+.3g}" for end in ("low", "high"))
    said = (
        f"removability grows by {row['removability_slope']:+.3g} [{ends}] per doubling (p < 0.0001); accuracy is kept"
    )
    assert row["reason"].startswith(said)
    columns = list(row.index)
    for name in ("removability", "similarity"):
        parts = [f"{name}_{part}" for part in ("slope", "slope_low", "slope_high", "p", "p_holm")]
        assert [column for column in columns if column in parts] == parts


def test_replicates_that_differ_too_much_show_nothing_of_others_however_small_p_is():
    table = pd.concat(
        networks(auc=slope, replicates=1).assign(replicate=replicate)
        for replicate, slope in enumerate((0.005, 0.02, 0.09))
    )
    row = verdict(table)
    assert row["removability_p_holm"] < 0.001
    assert row["removability_slope_low"] < 0 < row["removability_slope"]
    assert (row["verdict"], row["removability_grows"]) == ("no valid evidence", False)
    assert "removability grows in these replicates (p = 0.00026), but they differ so much" in row["reason"]
    assert row["reason"].endswith("reaches 0; more replicates are needed.")


def test_samplings_and_units_widen_an_interval_that_is_narrower_by_chance():
    table = networks(similarity=3.0)
    plain = verdict(table)
    assert np.isnan(plain["similarity_slope_error_units"])
    errors = {"similarity_error_samplings": 0.0, "similarity_error_units": 4.0, "auc_error_samplings": 1e-6}
    row = verdict(table.assign(**errors))
    # each slope weighs the five widths by (-2, -1, 0, 1, 2) / 10
    assert row["similarity_slope_error_units"] == pytest.approx(4.0 * 10**0.5 / 10 / 3**0.5)
    assert row["similarity_slope_error"] == pytest.approx(row["similarity_slope_error_units"])
    assert row["similarity_slope_low"] < plain["similarity_slope_low"]
    assert row["removability_slope_error"] == plain["removability_slope_error"]


def test_where_accuracy_falls_there_is_no_valid_evidence():
    row = verdict(networks(auc=0.02, accuracy=-0.01))
    assert row["verdict"] == "no valid evidence"
    assert row["accuracy_change"] == pytest.approx(-0.04, abs=0.01)
    assert "stay as accurate" in row["reason"]
    assert verdict(networks(auc=0.02, accuracy=0.01))["verdict"] == "supported"


def test_a_collapsed_network_takes_its_replicate_out():
    table = networks(auc=0.02)
    table.loc[(table["replicate"] == 0) & (table["width_factor"] == 4), ["degenerate", "auc"]] = [True, 1.0]
    row = verdict(table)
    assert (row["verdict"], row["replicates"]) == ("supported", 2)
    table["degenerate"] |= table["width_factor"] == 1
    row = verdict(table)
    assert row["verdict"] == "no valid evidence"
    assert "there are 0 (3 left out: a network diverged, collapsed to one label, or is missing)" in row["reason"]
    assert np.isnan(row["removability_p"])


@pytest.mark.parametrize(
    ("table", "replicates", "widths", "said"),
    [
        (networks(replicates=1), 1, WIDTHS, "a test needs at least 2 complete replicates, and there are 1."),
        (networks(), 3, [0.25, 4.0], "a trend needs at least 3 widths, and there are 2."),
        (
            networks(replicates=2),
            2,
            [0.25, 0.5, 1.0],
            "2 replicates at 3 widths cannot show a trend: even a perfect one",
        ),
        (networks().iloc[:0], 3, WIDTHS, "there are 0 (3 left out"),
        (networks().query("width_factor != 2"), 3, WIDTHS, "or is missing); no network counts at 2x."),
        (networks().query("width_factor < 2"), 3, WIDTHS, "or is missing); no network counts at 2x, 4x."),
    ],
)
def test_too_little_is_said_to_be_too_little(table: pd.DataFrame, replicates: int, widths: list, said: str):
    row = verdict(table, replicates, widths)
    assert row["verdict"] == "no valid evidence"
    assert said in row["reason"]


def test_more_series_make_each_test_stricter():
    alone = verdict(networks(auc=0.02))
    several = pd.concat([networks(auc=0.02), *(networks(series=f"n{place}", seed=place) for place in range(9))])
    row = verdicts(several, list(several["series"].unique()), WIDTHS, 3).iloc[0]
    assert row["removability_p"] == alone["removability_p"]
    assert row["removability_p_holm"] == pytest.approx(20 * alone["removability_p"])
    assert alone["removability_p_holm"] == pytest.approx(2 * alone["removability_p"])
