"""Published values behind ours in charts: which stand there, where, and what the caption says of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import ALL_TOGETHER, MEAN_OF_LAYERS
from widthwise.experiments.published_values import published
from widthwise.experiments.sweep import Sweep
from widthwise.reporting import charts, over_widths, published_layer
from widthwise.reporting.composing import Specification, complete
from widthwise.reporting.figures import chosen_figures
from widthwise.reporting.quantities import quantity

GLOROT, HE = "Glorot normal", "He normal"
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


def made(
    experiment: str = "alexnet-initialization",
    protocol: str = "figures",
    widths: tuple[float, ...] = WIDTHS,
    settings: Mapping[str, object] = {},
    layers: tuple[str, ...] = ("conv1", "conv2"),
) -> Analysis:
    """An analysis in which every network has the same numbers."""
    sweep = Sweep.load(experiment).with_values(settings)
    series = sweep.series_names("paper")
    index = pd.MultiIndex.from_product([series, widths], names=["series", "width_factor"])
    means = {"test_accuracy": 0.5, "auc": 0.5, "similarity": 3.0, "similarity_reference": 2.0, "prunability": 0.5}
    spread = {"similarity_std_units": 1.0, **{f"{name}_std": 0.01 for name in means}}
    summary = pd.DataFrame(index=index).reset_index().assign(protocol=protocol, n=3, **means, **spread)
    of_layers = [summary.assign(layer=name, depth=depth) for depth, name in enumerate(layers, start=1)]
    network = ALL_TOGETHER if protocol == "figures" else MEAN_OF_LAYERS
    curves = [summary.assign(layer=network, share_dropped=share, unchanged=0.5) for share in (0.0, 0.5, 1.0)]
    bins = pd.DataFrame({"low": np.arange(50) / 50, "high": np.arange(1, 51) / 50, "share": 0.02, "pairs": 10.0})
    pairs = summary[["series", "width_factor"]].assign(layer="conv2").merge(bins, how="cross")
    runs = pd.DataFrame({"series": series})
    return Analysis(
        **{"sweep": sweep, "scale": "paper", "runs": runs, "series": series, "settings": runs},
        **{"networks": summary.assign(replicate=0), "summary": summary, "layers": pd.concat(of_layers)},
        **{"ablation": pd.concat(curves).assign(unchanged_std=0.01), "correlation": pairs},
    )


def drawn(draw: Any, *arguments: Any, **named: Any) -> Specification:
    return complete(lambda: draw(*arguments, **named))


def grey(panel: Specification) -> list[Specification]:
    return [layer for layer in panel["layer"] if published_layer.GREY in str(layer["mark"])]


def rows(content: Specification, layer: Specification) -> pd.DataFrame:
    return pd.DataFrame(content["datasets"][layer["data"]["name"]])


def test_published_points_stand_at_their_values_below_ours():
    content = drawn(over_widths.panels, made(), [GLOROT, HE], quantities=("auc",))
    (panel,) = content["hconcat"]
    marks = [layer["mark"]["type"] for layer in panel["layer"]]
    assert marks == ["rule", "line", "point", "rule", "line", "circle", "point"]
    below = grey(panel)
    assert panel["layer"][:3] == below
    table = rows(content, below[2])
    expected = published("alexnet-initialization", "6a").query("series in [@GLOROT, @HE]")
    assert sorted(table["value"]) == pytest.approx(sorted(expected["value"]))
    # each at the place of ours, in the shape of ours
    ours = rows(content, panel["layer"][-1])
    places = dict(zip(zip(ours["series"], ours["width"], strict=True), ours["position"], strict=True))
    assert [places[each] for each in zip(table["series"], table["width"], strict=True)] == list(table["position"])
    assert below[2]["encoding"]["shape"] == panel["layer"][-1]["encoding"]["shape"]
    low, high = below[2]["encoding"]["y"]["scale"]["domain"]
    assert low < table["value"].min()
    assert high > table["value"].max()


def test_bars_are_drawn_where_the_plot_has_them():
    content = drawn(over_widths.panels, made(), [HE], quantities=("similarity",))
    table = rows(content, grey(content["hconcat"][0])[0])
    values = published("alexnet-initialization", "6b").query("series == @HE").set_index("width_factor")
    assert (table["high"] - table["value"]).to_numpy() == pytest.approx(values["error_bar"].fillna(0).to_numpy())
    assert table["deviation"].isna().to_list() == values["error_bar"].isna().to_list()


def test_only_widths_that_ours_span_are_drawn():
    content = drawn(over_widths.panels, made(widths=(0.125, 0.25, 0.5)), [GLOROT], quantities=("auc",))
    assert set(rows(content, grey(content["hconcat"][0])[2])["width"]) == {"1/4×", "1/2×"}
    beyond = drawn(over_widths.panels, made(widths=(0.0625, 0.125)), [GLOROT], quantities=("auc",))
    assert grey(beyond["hconcat"][0]) == []


@pytest.mark.parametrize("analysis", [made(protocol="text"), made(settings={"training.epochs": 3})])
def test_other_protocols_and_other_experiments_stand_alone(analysis: Analysis):
    content = drawn(over_widths.panels, analysis, [GLOROT, HE])
    assert not [layer for panel in content["hconcat"] for layer in grey(panel)]
    assert not [layer for panel in drawn(charts.ablation_curves, analysis, [GLOROT])["concat"] for layer in grey(panel)]
    violins = drawn(charts.correlation_violins, analysis, [GLOROT], layer="conv2")
    assert not [layer for panel in violins["concat"] for layer in grey(panel)]
    assert published_layer.caption(analysis, ["auc"], [GLOROT], False) == []


def test_a_click_on_the_legend_isolates_published_values_too():
    content = drawn(over_widths.panels, made(), [GLOROT, HE], quantities=("auc",))
    (panel,) = content["hconcat"]
    (holder,) = [layer for layer in panel["layer"] if "params" in layer]
    legends = [layer for layer in panel["layer"] if {"color", "shape"} & layer["encoding"].keys()]
    assert holder is legends[0], "of several legends the first one is drawn, and only its clicks arrive"
    assert holder["encoding"]["shape"]["field"] == "series"
    for layer in grey(panel):
        assert layer["encoding"]["opacity"]["condition"]["param"] == "isolated_series"


def test_shares_that_are_drawn_otherwise_are_published_otherwise():
    analysis = made("mlp10-initialization")
    series = analysis.series[0]
    values = published("mlp10-initialization", "B5b").query("measure == 'prunability' and series == @series")
    table = published_layer.over_widths(
        analysis, "non_prunability", quantity("non_prunability", "figures"), [series], widest=4.0
    )
    assert table["value"].to_numpy() == pytest.approx((1 - values["value"]).to_numpy())
    relative = quantity("prunability", "figures", relative=True)
    table = published_layer.over_widths(analysis, "prunability", relative, [series], widest=4.0)
    scaled = published("mlp10-initialization", "B5b").query("measure == 'prunability_of_widest' and series == @series")
    assert table["value"].to_numpy() == pytest.approx(scaled["value"].to_numpy(), abs=2e-3)


def test_layers_have_their_published_prunability():
    layers = ("stem", "layer1", "layer2", "layer3")
    content = drawn(over_widths.layer_panels, made("cifar10-labels", layers=layers), ["ResNet-56, true labels"])
    removability, similarity, prunability = content["hconcat"]
    assert not grey(removability)
    assert not grey(similarity)
    table = rows(content, grey(prunability)[2])
    assert list(table["layer"].unique()) == list(layers)
    assert len(table) == 20


def test_published_curves_begin_where_nothing_is_dropped():
    content = drawn(charts.ablation_curves, made(widths=(0.25, 1.0)), [GLOROT])
    (panel,) = content["concat"]
    (line,) = grey(panel)
    table = rows(content, line)
    assert set(table["width_factor"]) == {0.25, 1.0}
    assert (table.loc[table["share_dropped"] == 0, "unchanged"] == 1).all()
    assert len(table) == 2 * 7
    values = published("alexnet-initialization", "2a").query("beside_ours and width_factor in [0.25, 1]")
    assert sorted(table.loc[table["share_dropped"] > 0, "unchanged"]) == pytest.approx(sorted(values["value"]))
    points = panel["layer"][1]
    assert points["encoding"]["color"]["field"] == "width_factor"


def test_violins_carry_the_published_quartiles_and_mean():
    analysis = made()
    content = drawn(charts.correlation_violins, analysis, [HE], layer="conv2")
    table = rows(content, grey(content["concat"][0])[0])
    values = published("alexnet-initialization", "3b").pivot(index="width_factor", columns="measure", values="value")
    assert list(table["x"]) == [-2, 0, 2]
    for column, measure in {"low": "q25", "middle": "median", "high": "q75", "mean": "mean"}.items():
        assert list(table[column]) == pytest.approx(list(values[f"abs_r_{measure}"]))
    elsewhere = drawn(charts.correlation_violins, analysis, [HE])  # each network's last layer is the same one here
    assert len(grey(elsewhere["concat"][0])) == len(grey(content["concat"][0]))
    assert published_layer.violins(analysis, HE, "conv1").empty


def test_captions_say_what_is_grey_and_what_is_doubtful():
    analysis = made("mlp10k-initialization", layers=("hidden",))
    (figure,) = (each for each in chosen_figures(analysis.sweep) if each.name == "B4")
    text = published_layer.caption(analysis, [*figure.kind.bars], figure.shown(analysis), False)
    assert text[0].startswith("Grey: the paper's own values, read off its plots, with the error bars")
    assert "not the published networks" in text[1]
    plain = published_layer.caption(made(), ["auc"], [GLOROT], False)
    assert len(plain) == 1
    (violin, *_) = published_layer.caption(made(), published_layer.OF_VIOLINS, [GLOROT], False)
    assert "quartile" in violin
    assert "colour of their width" in published_layer.caption(made(), ["unchanged"], [GLOROT], False)[0]


def test_each_published_point_is_drawn_once():
    values = published()
    beside = values[values["beside_ours"]]
    keys = ["experiment", "measure", "series", "layer", "width_factor", "share_dropped"]
    assert not beside.duplicated(keys).any()
