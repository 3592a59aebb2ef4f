"""A sweep that asks how small its networks can be made has the answer on the terminal, in tables and on its page."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from widthwise.analysis.analyze import analyze
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.reporting.figures import figures

SWEEP = """
title: Perceptrons
trial:
  data: {train_examples: 300, validation_examples: 60, test_examples: 100}
  training: {learning_rate: 0.1, batch_size: 32, epochs: 5}
  measurement: {levels: 3, samplings: 1}
  compressibility: true
series:
  initialization.standard_deviation: [1]
label: "σ = {initialization.standard_deviation:g}"
widths: [0.125, 0.25]
replicates: 2
figures:
  sizes: {title: Sizes, chart: {kind: compressed_parameters}}
"""


def test_a_sweep_answers_whether_wider_networks_compress_to_the_same_size(tmp_path: Path, typed):
    (tmp_path / "sizes.yaml").write_text(SWEEP)
    words = ["run", tmp_path / "sizes.yaml", "--store", tmp_path / "store", "--workers", "0"]
    code, shown, _ = typed(*words)
    assert code == 0
    assert "Wider networks compress" in shown
    _, shown, _ = typed(*words, "--json")
    (tables,) = json.loads(shown)["experiments"].values()
    assert [each["series"] for each in tables["compressibility"]] == ["σ = 1"]

    report = tmp_path / "store" / "report"
    networks, summary = (pd.read_csv(report / f"sizes.paper/tables/{name}.csv") for name in ("networks", "summary"))
    one = networks[networks["protocol"] == "text"].set_index(["series", "width_factor"])
    for each in summary.to_dict("records"):
        alike = one.loc[[(each["series"], each["width_factor"])]]
        sizes = alike["compressed_parameters"]
        assert each["compressed_parameters"] == sizes.mean()
        assert (alike["compresses_most"] == (sizes == sizes[~alike["degenerate"]].min())).all()
    assert (report / "sizes.paper/figures/sizes.svg").exists()
    analysis = analyze(Store(tmp_path / "store"), Sweep.load(str(tmp_path / "sizes.yaml")), "paper")
    without = replace(analysis, sweep=analysis.sweep.model_copy(update={"figures": {}}))
    assert [each.name for each in figures(without)][-1] == "compressed-parameters", "beside those of any sweep"
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "<h3>Do wider networks compress to the same size?</h3>" in page
    assert "that was found to keep 95% of the labels" in page


def test_a_figure_of_sizes_is_refused_where_no_trial_has_one(tmp_path: Path, typed):
    (tmp_path / "sizes.yaml").write_text(SWEEP.replace("compressibility: true", "compressibility: false"))
    code, _, said = typed("run", tmp_path / "sizes.yaml", "--store", tmp_path / "store")
    assert code == 2
    assert "figures.sizes: no trial is compressed; set compressibility: true in the sweep's trial" in " ".join(
        said.split()
    )
