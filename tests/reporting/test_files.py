"""Figures as files, and the tables beside them."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import altair as alt
import pandas as pd
import pytest

from widthwise.analysis.analyze import analyze
from widthwise.errors import RequestError
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep, catalogue
from widthwise.measurement.settings import Protocol
from widthwise.reporting import draw, report
from widthwise.reporting.figure import details, specification
from widthwise.reporting.figures import figures
from widthwise.reporting.files import SIZE, render, wrapped
from widthwise.reporting.look import Look

MAGIC = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}
NO_MARKS = re.compile(r'class="mark-\w+ role-mark[^>]*/>')
FIGURES = {"mlp10-initialization": ["B5"], "constructions": ["constructions"]}


def texts(svg: bytes) -> list[str]:
    """The texts of an SVG, in their order."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("experiment", FIGURES)
def test_every_figure_is_there_in_every_format_that_is_wanted(own_smoke_store: Path, experiment: str):
    folder = own_smoke_store / "report" / f"{experiment}.smoke" / "figures"
    assert {file.name for file in folder.iterdir()} == {f"{name}.svg" for name in FIGURES[experiment]}
    report.report(own_smoke_store, formats=("png", "svg", "pdf"))
    for name in FIGURES[experiment]:
        for file_format, magic in MAGIC.items():
            content = (folder / f"{name}.{file_format}").read_bytes()
            assert content.startswith(magic)
            assert len(content) > 3000
    assert len(list(folder.iterdir())) == 3 * len(FIGURES[experiment])


def test_a_figure_says_what_it_shows_of_what_and_at_which_scale(smoke_store: Path):
    analysis = analyze(Store(smoke_store), Sweep.load("mlp10-initialization"), "smoke").under("text")
    text = " ".join(texts(render(specification(figures(analysis)[0], analysis), "svg"))).replace("\u00a0", " ")
    shown = ("σ = 0.01", "σ = 1", "Test accuracy", "Removability (AUC)", "Similarity", "Width factor", "1/4×")
    said = ("Figure B5.", "Scale smoke: 2 series, 3 widths", "n = 2 replicates at each width.", "teacher data of 10")
    bars = ("Error bars: of accuracy and AUC one SD between replicates",)
    for word in (*shown, *said, *bars):
        assert word in text, word


def test_tables_are_written_beside_them(smoke_store: Path):
    folder = smoke_store / "report/mlp10-initialization.smoke/tables"
    assert {file.stem for file in folder.iterdir()} == {
        *("summary", "verdicts", "layers", "networks", "runs", "settings", "ablation", "correlation"),
        *("growth", "published", "published_series"),
    }
    assert len(pd.read_csv(folder / "summary.csv")) == 12, "2 series, 3 widths and 2 protocols"


@pytest.mark.parametrize("protocol", ["text", "figures"])
def test_a_chart_holds_the_numbers_of_its_table(smoke_store: Path, protocol: Protocol):
    analysis = analyze(Store(smoke_store), Sweep.load("mlp10-initialization"), "smoke").under(protocol)
    content = specification(figures(analysis)[0], analysis)
    tables = {name: pd.DataFrame(rows) for name, rows in content["datasets"].items()}
    similarity = {"text": ("similarity", "similarity_std"), "figures": ("similarity_reference", "similarity_std_units")}
    columns = [("test_accuracy", "test_accuracy_std"), ("auc", "auc_std"), similarity[protocol]]
    summary = analysis.summary.reset_index(drop=True)
    for panel, (measure, spread) in zip(content["hconcat"], columns, strict=True):
        coloured = [layer for layer in panel["layer"] if "color" in layer["encoding"]]
        lines = next(layer for layer in coloured if layer["mark"]["type"] == "line")
        drawn = tables[lines["data"]["name"]]
        deviation = summary[spread].fillna(0)
        for column, expected in {
            "value": summary[measure],
            "low": summary[measure] - deviation,
            "high": summary[measure] + deviation,
        }.items():
            pd.testing.assert_series_equal(drawn[column], expected, check_names=False)


def test_every_figure_of_the_paper_is_drawn_from_a_store_that_has_everything(whole_store: Path):
    """At smoke scale every experiment runs in minutes, on data that the program makes."""
    for experiment in catalogue():
        folder = whole_store / "report" / f"{experiment}.smoke" / "figures"
        for name, figure in Sweep.load(experiment).figures.items():
            content = (folder / f"{name}.svg").read_text(encoding="utf-8")
            assert f"Figure {name}. {figure.title.split()[0]}" in content
            assert content.count("<path") > 10
            assert not NO_MARKS.search(content), f"figure {name} lacks a kind of its marks"


def test_every_figure_is_valid_vega_lite(whole_store: Path):
    """They are put together by hand, so that nothing else has checked them."""
    for stored in Store(whole_store).sweeps():
        analysis = analyze(Store(whole_store), *stored)
        for shown in map(analysis.under, analysis.protocols or (None,)):
            for figure in figures(shown):
                alt.Root.validate(specification(figure, shown))


def test_figures_are_drawn_by_their_number_alone(own_smoke_store: Path):
    shutil.rmtree(own_smoke_store / "report")
    (drawn,) = draw.draw(own_smoke_store, ["B5"], ["pdf"])
    assert (drawn.name, drawn.experiment, drawn.left_out) == ("B5", "mlp10-initialization.smoke", [])
    (path,) = drawn.paths
    assert Path(path).read_bytes().startswith(b"%PDF")
    assert [file.name for file in (own_smoke_store / "report").rglob("*") if file.is_file()] == ["B5.pdf"]
    with pytest.raises(RequestError, match="figure 6 is made by alexnet-initialization, and nothing of it was run"):
        draw.draw(own_smoke_store, ["6"])
    with pytest.raises(RequestError, match="the paper has no figure '7'"):
        draw.draw(own_smoke_store, ["7"])


def test_figures_look_as_wanted_by_their_number_and_in_a_report(own_smoke_store: Path):
    file = own_smoke_store / "report/mlp10-initialization.smoke/figures/B5.svg"
    light = file.read_bytes()
    draw.draw(own_smoke_store, ["B5"], ["svg"], look=Look(caption="none", width=700, theme="dark"))
    dark = file.read_bytes()
    report.report(own_smoke_store)
    assert file.read_bytes() == light, "the report has its own look again"
    report.report(own_smoke_store, caption="none", width=700, theme="dark")
    assert file.read_bytes() == dark
    found = SIZE.match(dark.decode())
    assert found is not None
    assert float(found[1]) == 700
    assert [" ".join(texts(each)).count("Figure B5. Perceptrons") for each in (light, dark)] == [1, 0]


def test_figures_of_a_section_are_drawn_by_its_number(own_smoke_store: Path):
    (drawn,) = draw.draw(own_smoke_store, ["§2.3"], ["svg"])
    assert (drawn.name, drawn.experiment) == ("constructions", "constructions.smoke")


def test_a_series_of_which_nothing_was_run_is_left_out_and_named(smoke_store: Path, tmp_path: Path):
    """As when a run was interrupted before the last series began."""
    sweep = Sweep.load("mlp10-initialization")
    store = Store(shutil.copytree(smoke_store, tmp_path / "store"))
    for run in sweep.runs("smoke"):
        if run.series == "σ = 1":
            store.discard(run.trial.id)
    analysis = analyze(store, sweep, "smoke").under("figures")
    figure = figures(analysis)[0]
    assert figure.shown(analysis) == ["σ = 0.01"]
    assert "Not run, so not shown: σ = 1." in details(figure, analysis)
    drawn = render(specification(figure, analysis), "svg").decode()
    assert drawn.count(">σ = 1<") == 0
    assert "σ = 0.01" in drawn


def test_layers_of_a_figure_are_those_whose_width_varies(whole_store: Path):
    """The paper's Inception-v3-layer has one block alone that varies; its numbers are that block's."""
    analysis = analyze(Store(whole_store), Sweep.load("imagenet-width"), "smoke").under("figures")
    of_block = analysis.layers.query("series == 'Inception-v3-layer' and layer == 'Mixed_5d'")
    of_network = analysis.networks.query("series == 'Inception-v3-layer'")
    assert of_block["auc"].tolist() == of_network["auc"].tolist()
    everywhere = analysis.layers.query("series == 'Inception-v3'").groupby("width_factor")["similarity"].mean()
    networks = analysis.networks.query("series == 'Inception-v3'").set_index("width_factor")["similarity"]
    pd.testing.assert_series_equal(everywhere, networks)
    assert analysis.layers.query("series == 'Inception-v3'").groupby("width_factor").size().tolist() == [16, 16]


def test_convergence_has_a_series_for_each_epoch_that_was_kept(whole_store: Path):
    store = Store(whole_store)
    analysis = analyze(store, Sweep.load("resnet18-convergence"), "smoke").under("text")
    assert analysis.series == ["at the end", "1 epoch before the end"]
    for row in analysis.networks.to_dict("records"):
        epochs = store.table(row["trial"], "epochs")
        epoch = {"at the end": 2, "1 epoch before the end": 1}[row["series"]]
        assert row["auc"] == pytest.approx(epochs[epochs["epoch"] == epoch]["auc"].mean())
    assert len(analysis.networks) == 4


def test_titles_are_broken_where_they_end():
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("incomprehensibilities yes", 5) == ["incomprehensibilities", "yes"]
