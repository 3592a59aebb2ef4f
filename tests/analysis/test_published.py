"""An experiment beside the published values: what is compared, how far apart it is, and what a claim says of it."""

import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pandas as pd
import pytest

from widthwise.analysis.claims import compare_with_paper, paper_claims
from widthwise.analysis.claims.beside_published import figures_of, in_words, plus_minus
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.published import distances, distribution, with_published
from widthwise.analysis.summary import ALL_TOGETHER, summarize
from widthwise.analysis.verdict import verdicts
from widthwise.experiments.figure import is_named
from widthwise.experiments.published_values import published
from widthwise.experiments.sweep import Sweep

GLOROT, HE = "Glorot normal", "He normal"
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
Of = Callable[[float], float]
COLUMN_OF = {"similarity": "similarity_reference"}


@cache
def theirs(measure: str, series: str = GLOROT) -> pd.Series:
    """Published values by width factor."""
    values = published("alexnet-initialization").query("beside_ours and measure == @measure and series == @series")
    return values.set_index("width_factor")["value"]


def networks(widths=WIDTHS, deviation: float = 0.01, series: str = GLOROT, **measures: Of) -> pd.DataFrame:
    """Three networks of each width: at the published values, but for `measures`, give or take `deviation`."""
    rows = []
    for width in widths:
        for replicate, away in enumerate((-deviation, 0, deviation)):
            row: dict[str, object] = {"protocol": "figures", "series": series, "width_factor": width}
            row |= {"replicate": replicate, "degenerate": False, "parameters": 1000, "validation_accuracy": 0.8}
            for measure in ("test_accuracy", "train_accuracy", "auc", "similarity"):
                value = measures[measure](width) if measure in measures else theirs(measure, series).get(width, 0.5)
                row[COLUMN_OF.get(measure, measure)] = value + away
            row |= {"similarity": 3.0, "prunability": 0.5, "redundancy_pca": 0.1, "dead_fraction": 0.0}
            row |= {"auc_std": 0.0, "prunability_std": 0.0, "similarity_std": 0.0, "similarity_std_units": 0.0}
            rows.append(row)
    return pd.DataFrame(rows)


NO_LAYERS = pd.DataFrame(columns=["protocol", "series", "width_factor", "layer", "n", "prunability", "prunability_std"])
NO_CURVES = pd.DataFrame(
    columns=["protocol", "series", "width_factor", "layer", "share_dropped", "unchanged", "unchanged_std", "n"]
)
NO_PAIRS = pd.DataFrame(columns=["series", "width_factor", "layer", "low", "high", "share"])


def analysis_of(
    table: pd.DataFrame,
    experiment: str = "alexnet-initialization",
    settings: Mapping[str, object] = {},
    **tables: pd.DataFrame,
) -> Analysis:
    sweep = Sweep.load(experiment).with_values(settings)
    series = list(table["series"].unique())
    found = verdicts(table.assign(auc=table["auc"]), series, list(WIDTHS), 3).assign(protocol="figures")
    analysis = Analysis(
        **{"sweep": sweep, "scale": "paper", "networks": table, "series": series, "settings": pd.DataFrame()},
        **{"runs": pd.DataFrame({"series": series, "status": "trained"}), "summary": summarize(table)},
        **{"verdicts": found, "layers": NO_LAYERS, "ablation": NO_CURVES, "correlation": NO_PAIRS, **tables},
    )
    return with_published(analysis)


def series_of(analysis: Analysis, measure: str, series: str = GLOROT) -> pd.Series:
    table = analysis.published_series
    (index,) = table.index[(table["measure"] == measure) & (table["series"] == series) & (table["layer"] == "")]
    return table.loc[index]


def test_networks_as_published_agree_within_uncertainties():
    found = analysis_of(networks())
    assert set(found.published_series["figure"]) == {"1c", "6a", "6b"}
    assert set(found.published_series["agreement"]) == {"agrees within uncertainties"}
    assert (found.published_series["widths"] == 5).all()
    assert found.published_series["distance"].max() < 1e-9
    assert found.published["ours"].to_numpy() == pytest.approx(found.published["theirs"].to_numpy())


def test_the_uncertainty_of_a_difference():
    found = analysis_of(networks()).published
    plain = found[found["their_error_bar"].isna()]
    expected = np.sqrt(plain["their_uncertainty"] ** 2 + 4 * (0.01**2 / plain["their_networks"] + 0.01**2 / 3))
    assert len(plain) > 10
    assert plain["uncertainty"].to_numpy() == pytest.approx(expected.to_numpy())
    every = analysis_of(pd.concat([networks(series=name) for name in (GLOROT, HE, "LeCun normal")])).published
    (barred,) = every.query("error_bar_between == 'networks' and their_error_bar > 0").to_dict("records")
    both = barred["their_error_bar"] ** 2 / barred["their_networks"] + 0.01**2 / 3
    assert barred["uncertainty"] == pytest.approx(math.sqrt(barred["their_uncertainty"] ** 2 + 4 * both))


def test_the_bar_between_units_says_nothing_of_the_mean():
    values = published("alexnet-initialization").query("figure == '6b' and series == 'He normal' and error_bar > 20")
    assert len(values) == 1
    found = analysis_of(networks(series=HE, similarity=lambda width: theirs("similarity", HE)[width] + 5))
    row = found.published.query("measure == 'similarity' and their_error_bar > 20").iloc[0]
    assert row["uncertainty"] < 0.5
    assert not row["within"]


@pytest.mark.parametrize(
    ("ours", "agreement", "distance"),
    [
        (lambda width: theirs("auc")[width] + 0.1, "trend alike", 0.1),  # the same growth, elsewhere
        (lambda width: 0.3 + 0.6 * theirs("auc")[width], "trend alike", None),  # more than half of it
        (lambda width: 1.9 * theirs("auc")[width], "trend alike", None),  # less than twice
        (lambda width: 0.3 + 0.4 * theirs("auc")[width], "not alike", None),
        (lambda width: 1 - theirs("auc")[width], "not alike", None),
        (lambda width: 0.4, "not alike", None),
    ],
)
def test_a_trend_is_alike_where_the_changes_differ_by_half_of_the_larger(
    ours: Of, agreement: str, distance: float | None
):
    found = series_of(analysis_of(networks(auc=ours)), "auc")
    assert found["agreement"] == agreement
    mean = math.sqrt(np.mean([(ours(width) - theirs("auc")[width]) ** 2 for width in WIDTHS]))
    assert found["distance"] == pytest.approx(distance or mean)


def test_two_flat_measures_are_alike_whatever_their_signs():
    he = theirs("auc", HE)
    assert abs(he[4.0] - he[0.25]) < 0.05
    falling = analysis_of(networks(series=HE, auc=lambda width: 0.6 - 0.003 * math.log2(width)))
    assert series_of(falling, "auc", HE)["agreement"] == "trend alike"
    growing = analysis_of(networks(series=HE, auc=lambda width: 0.6 + 0.05 * math.log2(width)))
    assert series_of(growing, "auc", HE)["agreement"] == "not alike"


def test_only_common_widths_are_compared():
    found = analysis_of(networks(widths=(0.125, 0.25, 0.5)))
    assert set(found.published["width_factor"]) == {0.25, 0.5}
    assert (found.published_series["widths"] == 2).all()
    far = analysis_of(networks(widths=(0.125, 0.25), auc=lambda width: 0.9))
    row = series_of(far, "auc")
    assert (row["agreement"], row["widths"], row["points"]) == ("cannot be told", 1, 1)
    assert math.isnan(row["our_change"])
    assert analysis_of(networks(widths=(0.125, 8.0))).published.empty


def test_an_ablation_curve_is_compared_at_common_shares_and_by_its_mean():
    values = published("alexnet-initialization", "2a").query("beside_ours")
    curves = values[["series", "width_factor", "share_dropped", "value"]].rename(columns={"value": "unchanged"})
    curves["share_dropped"] = (curves["share_dropped"] * 6).round() / 6  # 0.1667 is 1/6
    curves = curves.assign(protocol="figures", layer=ALL_TOGETHER, unchanged_std=0.01, n=3)
    found = series_of(analysis_of(networks(), ablation=curves), "unchanged")
    assert (found["points"], found["widths"]) == (30, 5)
    assert found["agreement"] == "agrees within uncertainties"
    assert "another sampling" in found["doubt"]
    raised = curves.assign(unchanged=curves["unchanged"] + 0.2)
    found = series_of(analysis_of(networks(), ablation=raised), "unchanged")
    assert found["agreement"] == "trend alike"
    assert found["distance"] == pytest.approx(0.2)


def test_prunability_is_compared_layer_by_layer():
    values = published("cifar10-labels", "B6a").query("measure == 'prunability'")
    layers = values[["series", "width_factor", "layer"]].assign(
        prunability=values["value"], protocol="figures", n=1, prunability_std=0.1
    )
    table = networks().assign(series="ResNet-56, true labels")
    found = analysis_of(table, "cifar10-labels", layers=layers)
    rows = found.published_series.query("figure == 'B6a'")
    assert list(rows["layer"]) == ["stem", "layer1", "layer2", "layer3"]
    assert (rows["points"] == 5).all()
    assert set(rows["agreement"]) == {"agrees within uncertainties"}
    # with one network of ours no deviation is known: the uncertainty is that of the reading
    points = found.published.query("figure == 'B6a'")
    assert points["our_std"].isna().all()
    assert points["uncertainty"].to_numpy() == pytest.approx(points["their_uncertainty"].to_numpy())


def test_a_distribution_has_the_quantiles_of_its_values():
    values = np.random.default_rng(0).beta(2, 5, 100_000)
    share, edges = np.histogram(values, bins=50, range=(0, 1))
    found = distribution(pd.DataFrame({"low": edges[:-1], "high": edges[1:], "share": share / len(values)}))
    expected = {
        "abs_r_mean": values.mean(),
        **dict(zip(("abs_r_q25", "abs_r_median", "abs_r_q75"), np.quantile(values, (0.25, 0.5, 0.75)), strict=True)),
        "abs_r_share_at_least_0.5": (values >= 0.5).mean(),
    }
    assert found == pytest.approx(expected, abs=1e-3)


def test_violins_are_compared_by_the_numbers_of_their_distribution():
    uniform = pd.DataFrame({"low": np.arange(50) / 50, "high": np.arange(1, 51) / 50, "share": 0.02})
    tables = [
        uniform.assign(series=GLOROT, width_factor=width, layer=layer)
        for width in (0.25, 1.0)
        for layer in ("conv1", "conv2")
    ]
    silent = uniform.assign(series=GLOROT, width_factor=4.0, layer="conv2", share=0.0)  # every unit is constant
    found = analysis_of(networks(), correlation=pd.concat([*tables, silent])).published.query("figure == '3a'")
    assert set(found["layer"]) == {"conv2"}
    assert set(found["width_factor"]) == {0.25, 1.0}
    ours = found[found["width_factor"] == 1].set_index("measure")["ours"]
    assert ours.to_dict() == pytest.approx(
        {
            **{"abs_r_mean": 0.5, "abs_r_q25": 0.25, "abs_r_median": 0.5, "abs_r_q75": 0.75},
            "abs_r_share_at_least_0.5": 0.5,
        }
    )
    assert (found["n"] == 3).all()


def test_only_the_papers_experiments_under_the_protocol_of_its_figures_are_compared():
    assert analysis_of(networks().assign(protocol="text")).published.empty
    changed = analysis_of(networks(), settings={"training.epochs": 7})
    assert changed.published.empty
    assert changed.published_series.empty
    assert len(analysis_of(networks(), settings={"replicates": 5}).published)


def test_a_doubt_goes_with_its_series():
    values = published("mlp10k-initialization", "B4c")
    points = values.rename(columns={"value": "theirs"}).assign(ours=0.0, difference=1.0, within=False)
    found = distances(points)
    assert found["doubt"].str.contains("not the published networks").all()
    assert (found["distance"] == 1).all()


CLAIMS = {claim.name: claim for claim in paper_claims()}


def test_a_claim_says_both_numbers():
    analysis = analysis_of(networks(auc=lambda width: theirs("auc")[width] + 0.02))
    assert in_words(CLAIMS["glorot-removability-grows"], analysis) == (
        "Glorot normal, AUC: theirs 0.338 ± 0.003 at 0.25× and 0.548 ± 0.003 at 4×, ours 0.36 ± 0.01 and 0.57 ± 0.01 "
        "(trend alike)."
    )
    # of a series that was not run, theirs alone
    assert in_words(CLAIMS["he-removability-flat"], None) == (
        "He normal, AUC: theirs 0.309 ± 0.003 at 0.25× and 0.340 ± 0.003 at 4×."
    )
    assert in_words(CLAIMS["he-removability-flat"], analysis) == in_words(CLAIMS["he-removability-flat"], None)


def test_a_claim_about_many_series_counts_them():
    assert in_words(CLAIMS["uniform-accuracy-alike"], None) == "6 series are published."
    ours = [networks(series=f"{scheme} normal", auc=lambda _: 0.1) for scheme in ("Glorot", "LeCun")]
    claim = CLAIMS["alexnet-initialization-hypothesis"]
    found = in_words(claim, analysis_of(pd.concat([*ours, networks(series=HE)])))
    assert found == "6 series are published: 4 within uncertainties and 2 not alike."


def test_a_claim_about_two_series_has_the_other_one_from_its_own_figure():
    text = in_words(CLAIMS["he-more-similar-than-glorot"], None)
    assert text.index("Glorot normal, similarity: theirs 0.3 ± 0.2") < text.index("He normal, similarity: theirs 1.1")
    uniform = in_words(CLAIMS["uniform-similarity-alike"], None)
    assert uniform == "6 series are published."  # three of B3c, and of 6b the three that they are compared with


def test_a_claim_about_layers_has_their_prunability():
    text = in_words(CLAIMS["resnet56-layers-most-removable"], None)
    assert "ResNet-56, true labels, stem, prunability: theirs 0.333 ± 0.006 at 0.25×" in text
    assert "layer2" not in text
    assert text.count("theirs is doubtful") == 2  # the legend of that plot names other layers


def test_a_claim_without_published_points_says_nothing():
    assert in_words(CLAIMS["convolutional-parameters-grow"], None) == ""
    assert in_words(CLAIMS["optimizers-similarity-grows"], None) == ""  # B11c is missing


def test_every_claim_with_a_figure_has_its_published_points():
    without = {name for name, claim in CLAIMS.items() if "Fig" in claim.source and not in_words(claim, None)}
    missing = {
        name
        for name, claim in CLAIMS.items()
        for figure in figures_of(claim.source)
        # the plots that the notebooks do not have: parameters, and similarity by layer and by optimizer
        if is_named(figure, "B1") or figure in ("B6b", "B7b", "B8b", "B9b", "B11c")
    }
    assert without == missing | {"other-blocks-similarity-constant"}


def test_the_figures_in_a_source_are_figures_of_the_experiment():
    for claim in CLAIMS.values():
        drawn = Sweep.load(claim.experiment).figures
        for figure in figures_of(claim.source):
            assert any(is_named(name, figure) for name in drawn), (claim.name, figure)
    assert figures_of("Sections 2.1 and 4, Figs. 2a, 6 and B13") == ["2a", "6", "B13"]
    assert figures_of("Section 2.3") == []


def test_the_table_of_claims_has_the_published_numbers():
    found = compare_with_paper([analysis_of(networks())]).set_index("name")["published"]
    assert "(agrees within uncertainties)" in found["glorot-removability-grows"]
    assert found["perceptron-parameters-grow"] == ""


@pytest.mark.parametrize(
    ("value", "deviation", "text"),
    [
        (0.3397, 0.0031, "0.340 ± 0.003"),
        (26.54, 0.25, "26.5 ± 0.2"),
        (0.7512, 0.0962, "0.8 ± 0.1"),
        (61.2, 12.0, "61 ± 10"),
        (0.2101, 0.0, "0.21"),
        (0.2104, math.nan, "0.21"),
    ],
)
def test_the_first_digit_of_a_deviation_counts(value: float, deviation: float, text: str):
    assert plus_minus(value, deviation) == text
