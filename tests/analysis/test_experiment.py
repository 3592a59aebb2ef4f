"""Every number of the tables can be recomputed from what the store holds."""

from pathlib import Path

import numpy as np
import pytest

from widthwise.analysis.analyze import analyze
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import ALL_TOGETHER, MEAN_OF_LAYERS, curves_of_networks
from widthwise.errors import RequestError
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.measurement.settings import Protocol


@pytest.fixture(scope="module")
def analysis(smoke_store: Path) -> Analysis:
    return analyze(Store(smoke_store), Sweep.load("mlp10-initialization"), "smoke")


def rows_of(analysis: Analysis, protocol: Protocol) -> list[dict]:
    return analysis.under(protocol).summary.to_dict("records")


def test_there_is_a_row_for_each_run_network_and_mean(analysis: Analysis):
    assert (len(analysis.runs), len(analysis.networks), len(analysis.summary)) == (12, 2 * 12, 2 * 6)
    assert analysis.protocols == ("text", "figures")
    assert analysis.series == ["σ = 0.01", "σ = 1"]
    for protocol in analysis.protocols:
        summary = analysis.under(protocol).summary
        assert summary["series"].tolist() == ["σ = 0.01"] * 3 + ["σ = 1"] * 3
        assert summary["width_factor"].tolist() == [0.25, 0.5, 1.0] * 2
        assert (summary["n"] == 2).all()
        assert summary["parameters"].tolist() == [32 * 13 + 2, 64 * 13 + 2, 128 * 13 + 2] * 2


def test_an_experiment_of_the_paper_shows_what_its_figures_show_unless_asked(analysis: Analysis):
    assert analysis.protocol == "figures"
    shown = analysis.under("figures")
    assert set(shown.networks["protocol"]) == set(shown.ablation["protocol"]) == {"figures"}
    assert len(shown.runs) == len(analysis.runs), "runs are the same by any protocol"
    with pytest.raises(RequestError, match="measured by figures alone, not by text"):
        shown.under("text")


def test_protocols_differ_in_removability_and_in_nothing_else(analysis: Analysis):
    text, figures = (analysis.under(each).networks.set_index("trial") for each in ("text", "figures"))
    assert (text["auc"] != figures["auc"]).any()
    for name in ("similarity", "similarity_reference", "redundancy_pca", "test_accuracy", "units"):
        assert (text[name] == figures[name]).all(), name


def test_all_layers_together_are_the_number_of_a_network_in_the_figures(whole_store: Path):
    store = Store(whole_store)
    analysis = analyze(store, Sweep.load("alexnet-initialization"), "smoke")
    for row in analysis.under("figures").networks.to_dict("records"):
        table = store.table(row["trial"], "removability").set_index(["protocol", "layer"])
        assert row["auc"] == table.loc[("figures", ""), "auc"]
        assert row["prunability"] == table.loc[("figures", ""), "prunability"]
    for row in analysis.under("text").networks.to_dict("records"):
        table = store.table(row["trial"], "removability").set_index(["protocol", "layer"])
        assert row["auc"] == pytest.approx(table.loc["text", "auc"].mean())
    names = {each: set(analysis.under(each).ablation["layer"]) for each in analysis.protocols}
    assert names["figures"] - names["text"] == {ALL_TOGETHER}
    assert names["text"] - names["figures"] == {MEAN_OF_LAYERS}


def test_means_and_deviations_are_those_of_the_trials(analysis: Analysis, smoke_store: Path):
    store = Store(smoke_store)
    for row in analysis.under("text").summary.to_dict("records"):
        place = (analysis.runs["series"] == row["series"]) & (analysis.runs["width_factor"] == row["width_factor"])
        layers = [store.table(trial, "layers").iloc[0] for trial in analysis.runs[place]["trial"]]
        accuracies = analysis.runs[place]["test_accuracy"].to_numpy()
        assert row["test_accuracy"] == pytest.approx(accuracies.mean())
        assert row["test_accuracy_std"] == pytest.approx(accuracies.std(ddof=1))
        for measure in ("auc", "similarity"):
            assert row[measure] == pytest.approx(np.mean([layer[measure] for layer in layers]))
        assert row["auc_std"] == pytest.approx(np.std([layer["auc"] for layer in layers], ddof=1))
        assert row["similarity_std"] == pytest.approx(np.mean([layer["similarity_std"] for layer in layers]))


def test_the_area_under_the_mean_curve_is_the_mean_auc(analysis: Analysis):
    for protocol, row in ((each, row) for each in analysis.protocols for row in rows_of(analysis, each)):
        curves = curves_of_networks(analysis.under(protocol).ablation)
        curve = curves.query("series == @row['series'] and width_factor == @row['width_factor']")
        shares = curve["unchanged"]
        area = np.trapezoid(shares, curve["share_dropped"]) if protocol == "text" else shares.mean()
        assert area == pytest.approx(row["auc"])
        assert shares.iloc[0] == 1
    assert MEAN_OF_LAYERS not in set(analysis.ablation["layer"]), "one layer needs no mean"


def test_distributions_sum_to_one(analysis: Analysis):
    totals = analysis.correlation.groupby(["series", "width_factor"])["share"].sum()
    np.testing.assert_allclose(totals, 1)


def test_constructions_do_what_theory_says(smoke_store: Path):
    analysis = analyze(Store(smoke_store), Sweep.load("constructions"), "smoke")
    assert set(analysis.comparison["series"]) == {"both", "removable", "repeated", "dead"}
    assert len(analysis.comparison) == 4 * 6
    assert analysis.verdicts.empty
    assert analysis.comparison["holds"].all(), analysis.comparison[~analysis.comparison["holds"]]


def test_an_experiment_without_finished_trials_has_runs_alone(empty_store: Store):
    analysis = analyze(empty_store, Sweep.load("mlp10-initialization"), "smoke")
    assert (analysis.runs["status"] == "missing").all()
    assert list(analysis.tables()) == ["runs", "settings"]


def test_layers_are_in_order_of_depth_with_the_measures_of_their_trials(analysis: Analysis, smoke_store: Path):
    assert analysis.layers["depth"].tolist() == [1] * 12, "perceptrons have one hidden layer"
    summary = analysis.summary.set_index(["protocol", "series", "width_factor"])
    layers = analysis.layers.set_index(["protocol", "series", "width_factor"])
    for name in ("auc", "auc_std", "similarity", "similarity_std", "n"):
        np.testing.assert_allclose(layers[name], summary[name], err_msg=name)


def test_settings_tell_every_field_of_every_trial(analysis: Analysis):
    settings = analysis.settings.set_index("trial")
    assert set(settings.index) == set(analysis.runs["trial"])
    for run in Sweep.load("mlp10-initialization").runs("smoke"):
        row = settings.loc[run.trial.id]
        assert row["network.width_factor"] == run.width_factor
        assert row["initialization.standard_deviation"] == run.trial.initialization.standard_deviation
        assert row["seed"] == run.replicate


def test_what_it_was_trained_on_is_said(analysis: Analysis):
    assert analysis.data == "teacher data of 10 dimensions, 800 training and 100 test examples"
