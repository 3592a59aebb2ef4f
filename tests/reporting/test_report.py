"""`report(store, path)`: the page where it is wanted, from a store on a disk or behind a URL; and figures by kind."""

import json
from pathlib import Path

import fsspec
import pytest

from widthwise import workflow
from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError
from widthwise.experiments.store_files import FORMAT
from widthwise.experiments.sweep import Sweep
from widthwise.reporting.figures import chosen_figures
from widthwise.reporting.report import report


def test_the_page_is_written_to_the_path(smoke_store: Path, tmp_path: Path):
    written = report(smoke_store, tmp_path / "found.html")
    assert written.page == str(tmp_path / "found.html")
    assert (tmp_path / "found.html").read_bytes() == (smoke_store / "report" / "index.html").read_bytes()
    assert "mlp10-initialization.smoke" in written.tables


def test_the_page_of_a_store_behind_a_url_is_written_to_the_path_too(smoke_store: Path, tmp_path: Path):
    files = fsspec.filesystem("memory")
    files.put(f"{smoke_store}/", "/reported/", recursive=True)
    written = report("memory://reported", tmp_path / "found.html")
    assert written.page == str(tmp_path / "found.html")
    assert (tmp_path / "found.html").read_bytes() == files.cat_file("/reported/report/index.html")


def test_what_a_report_notes_for_itself_carries_the_version_of_its_format(smoke_store: Path):
    report(smoke_store)
    for name in ("stamp.json", "figures.json"):
        assert json.loads((smoke_store / "report" / name).read_text())["format"] == FORMAT


@pytest.mark.parametrize(
    ("path", "message"), [("page.png", "must end in .html"), ("nowhere/page.html", "there is no folder")]
)
def test_a_path_that_cannot_be_written_is_refused(smoke_store: Path, tmp_path: Path, path: str, message: str):
    with pytest.raises((RequestError, OSError), match=message):
        report(smoke_store, tmp_path / path)
    assert list(tmp_path.iterdir()) == []


OWN = """
widths: [0.25, 0.5, 1]
replicates: 1
trial: {data: {train_examples: 40, validation_examples: 20, test_examples: 20}, training: {epochs: 1}}
series: {training.momentum: [0.5, 0.9]}
"""
FIGURES = """
figures:
  repetition:
    title: Repetition by momentum
    chart: {kind: measure, measure: similarity}
  B5:
    title: The layer
    series: [momentum = 0.5]
    chart: {kind: layers}
"""


def load(folder: Path, text: str) -> Sweep:
    file = folder / "own.yaml"
    file.write_text(OWN + text, encoding="utf-8")
    return Sweep.load(str(file))


def test_a_sweep_chooses_its_figures_by_kind(tmp_path: Path):
    sweep = load(tmp_path, FIGURES).with_values(parsed_settings(["training.epochs=1", "replicates=1"]))
    workflow.run(sweep, "paper", tmp_path / "store", workers=0)
    folder = tmp_path / "store" / "report" / f"{sweep.name}.paper" / "figures"
    assert {file.name for file in folder.iterdir()} == {"repetition.svg", "B5.svg"}
    content = (folder / "repetition.svg").read_text(encoding="utf-8")
    assert "Repetition by momentum" in content
    assert "momentum = 0.9" in content
    assert "Figure B5" not in (folder / "B5.svg").read_text(encoding="utf-8"), "it is none of the paper's"
    assert sweep.shows == []


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("one: {title: A, chart: {kind: mesure}}", "figures.one.chart.kind: there is no kind 'mesure'; did you mean"),
        ("one: {title: A, chart: {kind: measure}}", "figures.one.chart.measure: field required"),
        ("one: {title: A, chart: {kind: layers}}", "figures.one.series: a chart of layers shows one series; name it"),
        ("one: {title: A, chart: {kind: measures}, series: [x]}", "figures.one.series: there is no series 'x'"),
        ("one: {chart: {kind: measures}}", "figures.one.title: field required"),
        ("one: {title: A, chart: {kind: constructions}}", "constructions is not for the analysis of trend"),
        ("a b: {title: A, chart: {kind: measures}}", "figures.a b.[key]: string should match pattern"),
    ],
)
def test_a_wrong_figure_is_refused_in_a_sentence(tmp_path: Path, figure: str, message: str):
    with pytest.raises(RequestError) as raised:
        chosen_figures(load(tmp_path, f"figures:\n  {figure}\n"))
    assert message in str(raised.value)
    assert "own.yaml: " in str(raised.value)
