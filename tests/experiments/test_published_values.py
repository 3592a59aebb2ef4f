"""The authors' published values: complete, with their source, and about what the catalogue has."""

import csv
import math

import pandas as pd
import pytest

from widthwise.analysis.experiment import planned_series
from widthwise.experiments.figure import NUMBER, is_named
from widthwise.experiments.published_values import FOLDER, POINT, published
from widthwise.experiments.sweep import Sweep, catalogue

NOT_PUBLISHED = {
    "resnet18-batch-size": {"k = 1/4", "k = 1", "k = 4"},
    "resnet18-convergence": {f"{epochs} epochs before the end" for epochs in (5, 10, 20)},
}
"""Series of the catalogue's experiments that no plot of the authors shows."""
EXPERIMENTS = sorted(set(published()["experiment"]))


@pytest.fixture(scope="module")
def values() -> pd.DataFrame:
    return published()


def test_every_value_of_the_file_is_there_as_a_number(values: pd.DataFrame):
    with (FOLDER / "values.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(values) == 1265
    assert [float(row["value"]) for row in rows] == list(values["value"])
    assert [float(row["uncertainty"]) for row in rows] == list(values["uncertainty"])
    bars = [float(row["error_bar"] or math.nan) for row in rows]
    assert pd.Series(bars).equals(values["error_bar"])
    assert (values["uncertainty"] >= 0).all()
    shares = values.loc[values["measure"].isin(["test_accuracy", "train_accuracy", "auc", "unchanged"]), "value"]
    assert shares.between(0, 1.02).all()


def test_every_value_has_its_source(values: pd.DataFrame):
    assert values["notebook"].str.fullmatch(r"plot_[a-z_]+ cell \d+").all()
    assert set(values["commit"]) == {"c8a8da1", "35a316c"}
    assert (values["note"] != "").all()
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "1,265 values" in readme
    assert "https://arxiv.org/abs/1912.04783" in readme
    assert all(commit in readme for commit in set(values["commit"]))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_published_series_and_layers_are_those_of_the_catalogue(experiment: str):
    sweep, theirs = Sweep.load(experiment), published(experiment)
    recipes = [sweep, *map(sweep.with_recipe, sweep.recipes)]
    ours = {name for each in recipes for name in planned_series(each, "paper")}
    assert set(theirs["series"]) - ours == set()
    assert ours - set(theirs["series"]) == NOT_PUBLISHED.get(experiment, set())
    networks = {run.series: run.trial.network for each in recipes for run in each.runs("paper")}
    of_layers = theirs[theirs["layer"] != ""]
    for series, layer in set(zip(of_layers["series"], of_layers["layer"], strict=True)):
        assert layer in (networks[series].measured_layers or ())
    assert set(theirs["width_factor"]) <= set(sweep.at("paper").widths)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_published_figures_are_those_that_the_experiment_draws(experiment: str):
    drawn = Sweep.load(experiment).figures
    for figure in set(published(experiment)["figure"]) - {""}:
        assert NUMBER.fullmatch(figure)
        assert any(is_named(name, figure) for name in drawn), figure


def test_every_figure_of_trained_networks_in_the_paper_has_published_values():
    without = {
        name
        for experiment in catalogue()
        for name in Sweep.load(experiment).figures
        if NUMBER.fullmatch(name) and published(experiment, name).empty
    }
    assert {name.rstrip("abc") for name in without} == {"B1"}  # parameters are counted


def test_one_value_of_each_point_stands_beside_ours(values: pd.DataFrame):
    assert (values.groupby(POINT, dropna=False)["beside_ours"].sum() == 1).all()
    twice = values[values.duplicated(POINT, keep=False)]
    assert twice.groupby(["figure", "measure"]).size().to_dict() == {
        ("2a", "unchanged"): 60,
        ("B3a", "test_accuracy"): 30,
        ("B4a", "test_accuracy"): 50,
        ("B13a", "test_accuracy"): 58,
    }
    assert set(twice.loc[twice["beside_ours"] & (twice["figure"] == "B4a"), "commit"]) == {"35a316c"}
    assert set(twice.loc[twice["beside_ours"] & (twice["figure"] != "B4a"), "commit"]) == {"c8a8da1"}


def test_the_published_accuracies_of_perceptrons_are_those_of_the_published_networks():
    beside = published("mlp10k-initialization", "B4a").query("beside_ours and measure == 'test_accuracy'")
    assert beside["value"].between(0.54, 0.58).all()
    others = published("mlp10k-initialization").query("not published_networks")
    assert set(others["measure"]) == {"test_accuracy", "auc", "similarity"}
    assert others.query("measure == 'test_accuracy'")["value"].between(0.77, 0.81).all()
    assert others["doubt"].str.contains("not the published networks").all()


def test_the_mean_of_a_published_ablation_curve_is_the_published_auc():
    theirs = published("imagenet-width")
    curves = theirs.query("measure == 'unchanged' and series == 'ResNet-18'")
    aucs = published("imagenet-width", "4a").query("series == 'ResNet-18'").set_index("width_factor")["value"]
    for width, curve in curves.groupby("width_factor"):
        assert (1 + curve["value"].sum()) / 7 == pytest.approx(aucs[width], abs=3e-4)


def test_prunability_is_a_share_whatever_the_width():
    theirs = published("cifar10-labels", "B6a")
    keys = ["layer", "width_factor"]
    share, scaled = (
        theirs[theirs["measure"] == name].set_index(keys) for name in ("prunability", "prunability_of_widest")
    )
    width = share.index.get_level_values("width_factor").to_numpy()
    difference = share["value"] * width / 4 - scaled["value"]
    assert len(difference) == 20
    assert (difference.abs() <= 1e-3).all()
    assert set(share["networks"]) == {2}


def test_a_doubt_is_about_the_values_that_it_names():
    he = published("alexnet-initialization", "3b").query("doubt != ''")
    assert set(he["width_factor"]) == {0.25}
    assert "abs_r_mean" not in set(he["measure"])
    batches = published("cifar10-batch-size").query("doubt != ''")
    assert set(batches["width_factor"]) == {0.25, 0.5, 1}
    assert not batches["series"].str.endswith("k = 1").any()


def test_values_are_found_by_experiment_and_by_figure():
    assert set(published(figure="Fig. 6")["figure"]) == {"6a", "6b"}
    assert set(published(figure="6a")["experiment"]) == {"alexnet-initialization"}
    assert published("parameters").empty
    assert set(published("imagenet-width")["figure"]) >= {"", "1a", "B7a"}
