"""Claims that the author of a sweep states: they are tested as the paper's are, and what is wrong with one is named."""

import re
from pathlib import Path

import pytest

from widthwise import workflow
from widthwise.analysis.claims import CHECKS, checked
from widthwise.errors import RequestError
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.reporting.figures import chosen_figures
from widthwise.reporting.kinds import KINDS
from widthwise.reporting.report import report

TINY = """
title: Depth
widths: [0.25, 0.5, 1]
replicates: 2
trial:
  initialization: {scheme: he_normal}
  data: {train_examples: 100, validation_examples: 50, test_examples: 50}
  training: {epochs: 3}
label: "{network.hidden_layers} hidden"
series: {network.hidden_layers: [1, 2]}
"""
CLAIMS = """
claims:
  - statement: Deep networks <i>repeat</i> more.
    check: {kind: greater, measure: similarity, pairs: [[2 hidden, 1 hidden]]}
  - name: alike
    statement: Both are as accurate.
    source: Section 2
    check: {kind: alike, measure: test_accuracy, control: 1 hidden}
  - statement: More units, fewer labels.
    check: {kind: curves_fall}
  - statement: A layer leads.
    check: {kind: lead, measure: auc, series: 2 hidden, layers: [hidden9]}
"""


def load(folder: Path, text: str) -> Sweep:
    file = folder / "own.yaml"
    file.write_text(TINY + text, encoding="utf-8")
    return Sweep.load(str(file))


def test_they_are_tested_and_shown_with_a_heading_of_their_own(tmp_path: Path, typed):
    sweep, store = load(tmp_path, CLAIMS), tmp_path / "store"
    result = workflow.run(sweep, "paper", store, workers=0)
    table = result.report.tables["own.paper"]["claims"]
    assert table["name"].tolist() == [
        "deep-networks-i-repeat-i-more",
        "alike",
        "more-units-fewer-labels",
        "a-layer-leads",
    ]
    assert set(table["answer"]) <= {"agrees", "disagrees", "cannot be told"}
    effect = r"2 hidden against 1 hidden: [+−][\d.]+ \[[+−][\d.]+, [+−][\d.]+\] \(means [\d.]+ and [\d.]+\), p [=<] "
    assert re.match(effect, table["evidence"].iloc[0])
    assert table["p"].notna().tolist() == [True, True, False, False]
    assert table["evidence"].iloc[3] == "There is no layer hidden9 in 2 hidden."
    assert (table["experiment"] == "own").all()
    page = Path(result.report.page).read_text(encoding="utf-8")
    own = page[page.index("Claims of your own sweeps") : page.index("Claims of the paper</h3>")]
    assert own.count("<tr id=") == 4
    assert "Deep networks &lt;i&gt;repeat&lt;/i&gt; more." in own
    assert 'id="claim-own.paper-alike"' in own
    assert "Of 4 claims of your own sweeps" in page
    assert "2 claims were tested, each at a level of 5%" in page
    code, shown, _ = typed("report", store)
    assert code == 0
    assert "Your claim" in shown
    again = report(store)
    assert again.tables["own.paper"]["claims"]["answer"].tolist() == table["answer"].tolist()


def test_a_changed_claim_is_tested_without_training_anew(tmp_path: Path):
    store = tmp_path / "store"
    claim = "claims: [{statement: One., check: {kind: accuracy_kept}}]"
    workflow.run(load(tmp_path, ""), "paper", store, workers=0)
    result = workflow.run(load(tmp_path, claim), "paper", store, workers=0)
    assert (result.trained, result.found) == (0, 12)
    assert result.report.tables["own.paper"]["claims"]["name"].tolist() == ["one"]
    assert [stored.version for stored in Store(store).sweeps()] == [""], "its trials are the same"


def one(check: str) -> str:
    return f"claims: [{{statement: It is so., check: {check}}}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (one("{kind: grow, measure: auc}"), "claims.0.check.kind: there is no kind 'grow'; did you mean grows?"),
        (one("{measure: auc}"), "claims.0.check.kind: name one of grows, falls, flat"),
        (one("{kind: grows, measur: auc}"), "there is no field claims.0.check.measur; did you mean measure?"),
        (one("{kind: grows}"), "claims.0.check.measure: field required"),
        (
            one("{kind: grows, measure: similarty}"),
            "claims.0.check.measure: input should be 'auc', 'similarity' or 'test_accuracy', got 'similarty'; "
            "did you mean similarity?",
        ),
        (one("{kind: grows, measure: auc, series: [1 hiden]}"), "there is no series '1 hiden'; did you mean 1 hidden?"),
        (one("{kind: alike, measure: auc, control: 9}"), "claims.0.check.control: input should be a valid string"),
        (one("{kind: alike, measure: auc, control: none}"), "claims.0.check: there is no series 'none'"),
        (one("{kind: alike, measure: auc}"), "claims.0.check: name pairs of series, or a control"),
        (one("{kind: greater, measure: auc, pairs: [[1 hidden]]}"), "claims.0.check.pairs.0.1: field required"),
        (one("{kind: as_theory, construction: both}"), "as_theory is not for the analysis of trend; there are grows"),
        (one("grows"), "claims.0.check: input should be a valid dictionary"),
        ("claims: [{check: {kind: accuracy_kept}}]", "claims.0.statement: field required"),
        ("claims: [{statment: It is so.}]", "there is no field claims.0.statment; did you mean statement?"),
        (
            "claims: [{statement: So., check: {kind: accuracy_kept}}, {statement: So!, check: {kind: supported}}]",
            "claims: two have the name 'so'; give one another name",
        ),
    ],
)
def test_what_is_wrong_with_one_is_a_sentence_before_anything_is_trained(tmp_path: Path, text: str, message: str):
    with pytest.raises(RequestError) as raised:
        workflow.run(load(tmp_path, text), "paper", tmp_path / "store", workers=0)
    assert message in str(raised.value)
    assert "own.yaml: " in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "store").exists()


def test_an_analysis_without_trends_has_checks_of_its_own(tmp_path: Path):
    file = tmp_path / "count.yaml"
    claims = "claims: [{statement: Parameters double., check: {kind: %s}}]"
    base = "analysis: parameters\ntrial: {training: {epochs: 0}}\nreplicates: 1\n"
    file.write_text(base + claims % "multiplies, at_least: 1.5")
    result = workflow.run(str(file), "paper", tmp_path / "store", workers=0)
    assert result.report.tables["count.paper"]["claims"]["answer"].tolist() == ["agrees"]
    file.write_text(base + claims % "grows, measure: auc")
    with pytest.raises(RequestError, match="grows is not for the analysis of parameters; there is multiplies"):
        checked(Sweep.load(str(file)))


def test_a_claim_of_an_extended_experiment_stays_with_it(tmp_path: Path):
    file = tmp_path / "own.yaml"
    file.write_text("extends: mlp10-initialization\nreplicates: 1")
    assert checked(Sweep.load(str(file))) == ()


def test_every_kind_of_check_and_of_chart_is_in_the_documentation():
    text = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    of_claims, of_figures = text.split("## Claims of your own")[1].split("## Figures of your own")
    assert [kind for kind in CHECKS if f"`{kind}`" not in of_claims] == []
    assert [kind for kind in KINDS if f"`{kind}`" not in of_figures.split("## Which runs count")[0]] == []


@pytest.mark.parametrize("field", ["claims", "figures"])
def test_the_examples_of_the_documentation_are_right(tmp_path: Path, field: str):
    text = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    (example,) = re.findall(rf"^```yaml\n({field}:\n.*?)^```", text, re.MULTILINE | re.DOTALL)
    sweep = load(tmp_path, example)
    assert len(checked(sweep)) + len(chosen_figures(sweep)) == 2
