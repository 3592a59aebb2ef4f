"""Figures as files, and the tables beside them."""

from pathlib import Path

import pandas as pd
import pytest

from widthwise.analysis.experiment import analyze
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.reporting.charts import figures
from widthwise.reporting.theme import SERIES_COLOURS, width_colours

MAGIC = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}
FIGURES = {
    "mlp10-initialization": ["panels", "ablation-curves", "correlation-violins"],
    "constructions": ["constructions", "ablation-curves", "correlation-violins"],
}


@pytest.mark.parametrize("experiment", FIGURES)
def test_every_figure_is_there_in_every_format(smoke_store: Path, experiment: str):
    folder = smoke_store / "report" / f"{experiment}.smoke" / "figures"
    for name in FIGURES[experiment]:
        for file_format, magic in MAGIC.items():
            content = (folder / f"{name}.{file_format}").read_bytes()
            assert content.startswith(magic)
            assert len(content) > 3000
    assert len(list(folder.iterdir())) == 3 * len(FIGURES[experiment])


def test_an_svg_shows_its_series_and_axes(smoke_store: Path):
    text = (smoke_store / "report/mlp10-initialization.smoke/figures/panels.svg").read_text(encoding="utf-8")
    for word in ("σ = 0.01", "σ = 1", "Test accuracy", "Removability (AUC)", "Similarity", "Width factor", "1/4x"):
        assert word in text


def test_tables_are_written_beside_them(smoke_store: Path):
    folder = smoke_store / "report/mlp10-initialization.smoke/tables"
    assert {file.stem for file in folder.iterdir()} == {
        *("summary", "verdicts", "networks", "runs", "ablation", "correlation")
    }
    assert len(pd.read_csv(folder / "summary.csv")) == 6


def test_a_chart_holds_the_numbers_of_its_table(smoke_store: Path):
    analysis = analyze(Store(smoke_store), Sweep.load("mlp10-initialization"), "smoke")
    specification = figures(analysis)["panels"](analysis).to_dict()
    drawn = pd.concat(pd.DataFrame(rows) for rows in specification["datasets"].values())
    for measure in ("test_accuracy", "auc", "similarity"):
        means = drawn.dropna(subset=[measure, "n"])
        pd.testing.assert_series_equal(
            means[measure].reset_index(drop=True), analysis.summary[measure], check_names=False
        )


def test_widths_keep_their_order_of_colours():
    assert width_colours(1) == width_colours(3)[:1]
    assert all(len(set(width_colours(count))) == count for count in range(1, 8))
    assert len(width_colours(30)) == 30
    assert len(set(SERIES_COLOURS)) == 8
