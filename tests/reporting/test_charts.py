"""Charts as they are specified: what each mark stands for, and where. No network is trained for them."""

import json
import math
import re
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from widthwise.analysis.experiment import Analysis
from widthwise.errors import RequestError
from widthwise.experiments.sweep import Sweep
from widthwise.reporting import charts, kinds, over_widths
from widthwise.reporting.composing import Specification, complete, letter
from widthwise.reporting.figure import Figure, caption, details, specification
from widthwise.reporting.files import SIZE, render
from widthwise.reporting.look import Look, look_of
from widthwise.reporting.quantities import QuantityName
from widthwise.training.recipe import OPTIMIZERS, Recipe
from widthwise.wording import duration

WIDTHS = [0.25, 0.5, 1.0, 2.0, 4.0]
SWEEP = Sweep.load("mlp10-initialization")
SERIES = SWEEP.series_names("paper")


def made(protocol: str = "text", series: tuple[str, ...] = tuple(SERIES), **columns: object) -> Analysis:
    """An analysis of networks that are alike in all series, but for the `columns` of its tables `summary` and
    `layers`."""
    index = pd.MultiIndex.from_product([series, WIDTHS], names=["series", "width_factor"])
    summary = pd.DataFrame(index=index).reset_index().assign(protocol=protocol, n=3)
    means = {"test_accuracy": 0.9, "auc": 0.8, "similarity": 3.0, "similarity_reference": 2.0, "prunability": 0.4}
    spread = {"similarity_std_units": 8.0, "redundancy_pca": 0.5, **{f"{name}_std": 0.01 for name in means}}
    summary = summary.assign(**{**means, **spread, **columns})
    layers = [summary.assign(layer=name, depth=depth) for depth, name in enumerate(("first", "second"), start=1)]
    networks = summary.assign(replicate=0)
    ids = [str(number) for number, _ in enumerate(SERIES)]
    seconds = {"training_seconds": 60.0, "measuring_seconds": 30.0}
    runs = pd.DataFrame({"series": SERIES, "trial": ids, "status": "trained", **seconds})
    return Analysis(SWEEP, "paper", runs, networks, SERIES, runs, summary=summary, layers=pd.concat(layers))


def drawn(analysis: Analysis, draw: Any, *arguments: Any, **named: Any) -> Specification:
    return complete(lambda: draw(analysis, *arguments, **named))


def layer_of(panel: Specification, mark: str) -> Specification:
    """The uppermost layer of a kind; published values lie below."""
    return next(layer for layer in reversed(panel["layer"]) if layer["mark"]["type"] == mark)


def table_of(content: Specification, view: Specification) -> pd.DataFrame:
    return pd.DataFrame(content["datasets"][view["data"]["name"]])


def test_series_of_equal_values_stand_beside_each_other_in_the_order_of_the_file():
    content = drawn(made(), over_widths.panels, SERIES)
    panel = content["hconcat"][0]
    line = layer_of(panel, "line")
    assert line["encoding"]["color"]["scale"]["domain"] == SERIES
    table = table_of(content, line)
    assert table["value"].nunique() == 1
    for width, group in table.groupby(table["width"], sort=False):
        positions = np.log2(group["position"].to_numpy())
        assert (np.diff(positions) > 0.03).all(), "in the order of the series"
        true = np.log2(WIDTHS[list(table["width"].unique()).index(width)])
        assert abs(positions.mean() - true) < 1e-9
        assert np.ptp(positions) < 0.5, "nearer to their own width than to the next"
    axis = line["encoding"]["x"]
    assert axis["axis"]["values"] == WIDTHS
    low, high = axis["scale"]["domain"]
    assert low < table["position"].min()
    assert high > table["position"].max()


def test_a_series_keeps_its_colour_and_shape_when_others_are_not_shown():
    def looks(names: list[str]) -> dict[str, tuple[str, str]]:
        encoding = layer_of(drawn(made(), over_widths.panels, names)["hconcat"][0], "point")["encoding"]
        scales = encoding["color"]["scale"], encoding["shape"]["scale"]
        return dict(zip(scales[0]["domain"], zip(scales[0]["range"], scales[1]["range"], strict=True), strict=True))

    everything = looks(SERIES)
    assert looks(SERIES[2:]) == {name: everything[name] for name in SERIES[2:]}
    assert len(set(everything.values())) == len(SERIES)


@pytest.mark.parametrize(("value", "deviation"), [(1.0, 0.0), (1.0, 0.03), (0.99, 0.0), (0.0, 0.01)])
def test_a_share_of_one_is_not_cut_and_no_label_lies_beyond(value: float, deviation: float):
    content = drawn(made(auc=value, auc_std=deviation), over_widths.panels, SERIES, ("auc",))
    encoding = layer_of(content["hconcat"][0], "line")["encoding"]["y"]
    low, high = encoding["scale"]["domain"]
    reach = high - low
    assert low <= value - deviation - 0.03 * reach
    assert high >= value + deviation + 0.03 * reach
    assert min(encoding["axis"]["values"]) >= 0
    assert max(encoding["axis"]["values"]) <= 1
    assert len(encoding["axis"]["values"]) >= 3


def test_noise_of_a_share_does_not_fill_the_axis():
    content = drawn(made(test_accuracy=np.linspace(0.93, 0.932, 25)), over_widths.panels, SERIES, ("test_accuracy",))
    low, high = layer_of(content["hconcat"][0], "line")["encoding"]["y"]["scale"]["domain"]
    assert high - low >= 0.1


def test_panels_have_letters():
    assert [panel["title"] for panel in drawn(made(), over_widths.panels, SERIES)["hconcat"]] == ["a", "b", "c"]
    (single,) = drawn(made(), over_widths.panels, SERIES, ("auc",))["hconcat"]
    assert "title" not in single
    assert [letter(index) for index in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]


def test_the_similarity_of_the_figures_has_its_deviation_between_units():
    for protocol, value, deviation in (("text", 3.0, 0.01), ("figures", 2.0, 8.0)):
        content = drawn(made(protocol), over_widths.panels, SERIES, ("similarity",))
        panel = content["hconcat"][0]
        table = table_of(content, layer_of(panel, "rule"))
        assert table["value"].unique() == [value]
        assert table["high"].iloc[0] - value == pytest.approx(deviation)
        low, high = layer_of(panel, "line")["encoding"]["y"]["scale"]["domain"]
        assert low <= table["low"].min()
        assert high > table["high"].max()


@pytest.mark.parametrize(("protocol", "ending"), [("text", ", mean of layers"), ("figures", ", all layers together")])
def test_axes_say_how_units_were_dropped(protocol: str, ending: str):
    content = drawn(made(protocol), over_widths.panels, SERIES, ("auc",))
    assert layer_of(content["hconcat"][0], "line")["encoding"]["y"]["title"] == f"Removability (AUC){ending}"
    by_layer = drawn(made(protocol), over_widths.layer_panels, SERIES[:1])["hconcat"]
    assert layer_of(by_layer[0], "line")["encoding"]["y"]["title"] == "Removability (AUC)"


def test_captions_say_which_protocol_and_which_deviation():
    figure = Figure("B5", "By σ", kinds.measures(), of_paper=True)
    text, figures = (" ".join(details(figure, made(protocol))) for protocol in ("text", "figures"))
    assert "units of one layer at a time" in text
    assert "of similarity the mean SD between samplings" in text
    assert "whole channels of all layers are dropped together" in figures
    assert "of similarity the mean SD between the units of a layer" in figures
    assert "a unit of constant activity counts as −1" in figures
    accuracy = Figure("1c", "Accuracy", kinds.measure("test_accuracy"))
    assert "emovability" not in " ".join(details(accuracy, made("figures")))


def test_on_the_page_a_caption_refers_to_what_the_scale_reduces():
    figure, analysis = Figure("1c", "Accuracy", kinds.measure("test_accuracy")), replace(made(), scale="smoke")
    note = SWEEP.note("smoke")
    assert note in caption(figure, analysis)
    on_page = caption(figure, analysis, on_page=True)
    assert note not in on_page
    assert "Scale smoke, reduced as said above." in on_page


def test_captions_say_how_long_it_took():
    figure, analysis = Figure("1c", "Accuracy", kinds.measure("test_accuracy")), made("figures")
    said = f"Training and measuring {len(SERIES)} networks took {duration(90.0 * len(SERIES))}, all added up."
    assert said in details(figure, analysis)
    for change in ({"training_seconds": 0.1, "measuring_seconds": 0.1}, {"measuring_seconds": math.nan}):
        assert "took" not in " ".join(details(figure, replace(analysis, runs=analysis.runs.assign(**change))))


def test_counts_relative_to_the_widest_are_shares_times_the_width():
    content = drawn(made("figures"), over_widths.panels, SERIES[:1], ("non_prunability",), relative=True)
    table = table_of(content, layer_of(content["hconcat"][0], "line"))
    assert table["value"].tolist() == pytest.approx([0.6 * width / 4 for width in WIDTHS])
    assert (table["high"] - table["value"]).tolist() == pytest.approx([0.01 * width / 4 for width in WIDTHS])


@pytest.mark.parametrize("name", get_args(QuantityName))
def test_every_quantity_is_drawn_and_explained(name: QuantityName):
    figure = Figure("one", "One", kinds.measure(name))
    content = specification(figure, made("figures"))
    table = table_of(content, layer_of(content["hconcat"][0], "line"))
    expected = {"test_accuracy": 0.9, "auc": 0.8, "similarity": 2.0, "prunability": 0.4, "redundancy_pca": 0.5}
    assert set(table["value"]) == {expected.get(name, 1 - 0.4)}
    assert "against the width factor" in caption(figure, made("figures"))


def test_only_shares_of_units_can_be_relative():
    with pytest.raises(ValueError, match="auc is no share of units; relative is for prunability, non_prunability and"):
        kinds.measure("auc", relative=True)


def test_parameters_have_an_axis_of_powers_of_ten():
    content = drawn(made(parameters=[300 * 4**index for index in range(25)]), over_widths.parameter_panel, SERIES)
    axis = layer_of(content, "line")["encoding"]["y"]["axis"]["values"]
    assert axis[0] == 100
    assert set(np.diff(np.log10(axis)).round(9)) == {1}


BINS = 50


def correlations(pairs: dict[float, int]) -> pd.DataFrame:
    """A table `correlation` of one layer with given numbers of pairs at each width, most with a small |r|."""
    low = np.arange(BINS) / BINS
    shape = np.exp(-6 * low)
    return pd.concat(
        pd.DataFrame(
            {
                "series": SERIES[0],
                "width_factor": width,
                "layer": "hidden",
                "low": low,
                "high": low + 1 / BINS,
                "pairs": count * shape / shape.sum(),
                "share": shape / shape.sum() * (count > 0),
            }
        )
        for width, count in pairs.items()
    )


def violins(pairs: dict[float, int]) -> Specification:
    return drawn(replace(made(), correlation=correlations(pairs)), charts.correlation_violins, SERIES[:1])


def test_a_violin_is_one_closed_path_over_the_number_of_its_pairs():
    counts = {0.25: 496, 0.5: 2016, 1.0: 8128, 2.0: 32640, 4.0: 130816}
    content = violins(counts)
    svg = render(content, "svg").decode()
    marks = re.findall(r'aria-roledescription="line mark" d="([^"]+)"', svg)
    assert len(marks) == len(counts)
    assert all(path.endswith("Z") and path.count("M") == 1 for path in marks)
    words = re.findall(r">([^<>]+)</t(?:ext|span)>", svg)
    assert [word for word in words if word.startswith("n = ")] == [f"n = {count:,}" for count in counts.values()]
    assert words.count("pairs") == 5
    assert svg.count("<line") + svg.count("<path") < 60
    assert len(svg) < 40_000


def test_a_violin_is_as_wide_as_the_share_of_pairs():
    content = violins({1.0: 100})
    (view,) = content["concat"]
    outline = table_of(content, view)
    assert len(outline) == 2 * BINS
    share = correlations({1.0: 100})["share"].to_numpy()
    left, right = outline["x"].to_numpy()[:BINS], outline["x"].to_numpy()[BINS:][::-1]
    np.testing.assert_allclose((right - left) / np.ptp(outline["x"]), share / share.max(), atol=1e-3)
    np.testing.assert_allclose(left, -right, atol=1e-9)
    assert outline["similar"].iloc[0] == pytest.approx(share[BINS // 2 :].sum())


def test_a_layer_without_pairs_says_so():
    (view,) = violins({0.25: 0, 1.0: 6})["concat"]
    expression = layer_of(view, "line")["encoding"]["x"]["axis"]["labelExpr"]
    assert json.loads(expression.partition("[indexof(")[0])[0] == ["1/4×", "n = 0", "pairs"]


FIGURE = Figure("B5", "Perceptrons by σ", kinds.measures(), of_paper=True)


def test_a_caption_is_below_the_picture_or_nowhere():
    content = specification(FIGURE, made())
    below, none = (render(content, "svg", Look(caption=each)).decode() for each in ("below", "none"))
    assert "Figure B5. Perceptrons by σ" in below
    assert "Large marks are means" in below
    assert below.index("<text x=") > below.index("Width factor"), "behind the picture"
    assert "Large marks" not in none
    heights = [float(SIZE.match(svg)[2]) for svg in (below, none)]  # pyright: ignore[reportOptionalSubscript]
    assert heights[0] > heights[1] + 60
    panels = [svg[svg.index("mark-group") : svg.index("mark-group") + 3000] for svg in (below, none)]
    assert panels[0] == panels[1]


@pytest.mark.parametrize("width", [300, 1234])
def test_a_figure_is_as_wide_as_wanted(width: int):
    content = specification(FIGURE, made())
    svg, png = (render(content, each, Look(width=width)) for each in ("svg", "png"))
    assert float(SIZE.match(svg.decode())[1]) == width  # pyright: ignore[reportOptionalSubscript]
    assert int.from_bytes(png[16:20], "big") == width


def test_a_dark_figure_has_bright_text_on_dark_ground():
    svg = render(specification(FIGURE, made()), "svg", Look(theme="dark")).decode()
    assert 'fill="#0f1216"' in svg
    assert set(re.findall(r'<text [^>]*fill="(#\w+)"', svg)) == {"#e6e9ed"}


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ({"caption": "above"}, "caption: there is no caption 'above'; there are none and below"),
        ({"theme": "blue"}, "theme: there is no theme 'blue'; there are light and dark"),
        ({"width": 20}, "width: a figure is 100 to 10,000 pixels wide, and not 20"),
    ],
)
def test_a_look_that_there_is_not_is_refused(look: dict[str, Any], message: str):
    with pytest.raises(RequestError) as raised:
        look_of(**{"caption": "below", "width": None, "theme": "light", **look})
    assert str(raised.value) == message


def test_every_optimizer_has_words():
    assert set(OPTIMIZERS) == set(get_args(Recipe.model_fields["optimizer"].annotation))
    assert Recipe(optimizer="sgd").optimizer_in_words == "plain gradient descent (SGD)"


def test_a_label_can_name_the_optimizer_in_words(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text('label: "{training.optimizer_in_words}"\nseries: {training.optimizer: [momentum, sgd, adam]}\n')
    assert Sweep.load(str(file)).series_names("paper") == ["momentum", "plain gradient descent (SGD)", "Adam"]
