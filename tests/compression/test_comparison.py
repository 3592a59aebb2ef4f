"""Both networks beside each other: label by label, by true labels, and when one label is all that is left."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import widthwise as ww
from tests.compression.test_compress import VECTORS, compress, dense, drawn, outputs
from tests.typed import widthwise
from widthwise.compression.comparison import by_label, collapsed, wilson
from widthwise.errors import RequestError
from widthwise.tracing.predicted_labels import NO_LABEL

CHECK = [drawn(7, 120, 6), drawn(8, 80, 6)]
TRUTH = torch.arange(200) % 4


def test_each_label_is_counted():
    found = compress(dense(), VECTORS, keep=0.3, check=CHECK)
    before, after = (outputs(network, CHECK).argmax(1) for network in (dense(), found.model))
    table = found.classes.set_index("label")
    assert set(table.index) == {*before.tolist(), *after.tolist()}
    for label, row in table.iterrows():
        of_it = [int(theirs) for mine, theirs in zip(before, after, strict=True) if mine == label]
        assert (row["before"], row["after"]) == (len(of_it), after.tolist().count(label))
        assert row["labels_kept"] == sum(each == label for each in of_it) / len(of_it)
        interval = wilson(sum(each == label for each in of_it), len(of_it))
        assert (row["labels_kept_low"], row["labels_kept_high"]) == interval
    worst = table.loc[table["labels_kept_high"].idxmin()]
    assert f"Label {worst.name} is kept least: {worst['labels_kept']:.1%} of {worst['before']:.0f}." in str(found)


def test_labels_that_one_network_alone_gives():
    before, after = torch.tensor([0, 0, 5, 5, NO_LABEL]), torch.tensor([0, 2, 2, 5, 0])
    table = by_label(before, after).set_index("label")
    assert table[["before", "after"]].to_dict("index") == {
        0: {"before": 2, "after": 2},
        2: {"before": 0, "after": 2},
        5: {"before": 2, "after": 1},
    }
    assert table["labels_kept"].dropna().to_dict() == {0: 0.5, 5: 0.5}


def test_a_network_that_keeps_all_labels_has_none_that_is_kept_least():
    found = compress(dense(), VECTORS, keep=1.0)
    assert (found.classes["labels_kept"] == 1).all()
    assert "kept least" not in str(found)


@pytest.mark.parametrize("labels", [TRUTH, TRUTH.tolist(), TRUTH.numpy(), iter(TRUTH), TRUTH.view(20, 10)])
def test_the_accuracy_of_both(labels: Any):
    found = compress(dense(), VECTORS, keep=0.5, check=CHECK, check_labels=labels)
    for when, network in (("before", dense()), ("after", found.model)):
        right = sum(int(scores.argmax()) == number % 4 for number, scores in enumerate(outputs(network, CHECK)))
        assert found.comparison[f"accuracy_{when}"] == right / 200
    assert re.search(r"^Accuracy: \d+\.\d% before, \d+\.\d% after\.$", str(found), re.MULTILINE)


def test_without_labels_there_is_no_accuracy(tmp_path: Path):
    found = compress(dense(), VECTORS, keep=0.5)
    assert found.comparison[["accuracy_before", "accuracy_after"]].isna().all()
    assert "Accuracy" not in str(found)
    found.save(tmp_path / "small")
    saved = json.loads((tmp_path / "small" / "compressed.json").read_text())
    assert saved["comparison"]["accuracy_after"] is None
    assert [row["label"] for row in saved["classes"]] == found.classes["label"].tolist()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"check_labels": [0]}, "check_labels: are the labels of the examples in check; give these, too"),
        (
            {"check": CHECK, "check_labels": [0, 1]},
            "check_labels: must hold one label for each that is compared, 200, not 2 labels",
        ),
        ({"check": CHECK, "check_labels": TRUTH.double()}, "check_labels: must be whole numbers, one for each label"),
        (
            {"check": CHECK, "check_labels": iter(["cat"] * 200)},
            "check_labels: must be whole numbers, one for each label",
        ),
        ({"check": CHECK, "check_labels": [TRUTH]}, "check_labels: must be whole numbers, one for each label"),
        ({"check": CHECK, "check_labels": [2**70]}, "check_labels: must be whole numbers, one for each label"),
    ],
)
def test_labels_that_cannot_be_used(options: dict[str, Any], sentence: str):
    with pytest.raises(RequestError, match=re.escape(sentence)):
        compress(dense(), VECTORS, **options)


def voting(offset: float = 1.0) -> nn.Sequential:
    """Twelve units that vote: one of two labels wins by their sum, which any one of them says little of."""
    network: Any = nn.Sequential(nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(12))
        network[2].weight.copy_(torch.stack([torch.full((12,), 12**-0.5), torch.zeros(12)]))
        network[0].bias.zero_()
        network[2].bias.copy_(torch.tensor([0.63 * offset, 0.0]))  # in standard deviations of the sum
    return network


VOTES = [drawn(1, 2000, 12)]


def test_a_network_that_loses_all_labels_but_one_is_refused():
    sentence = (
        r"^keep: with 8\.3% of the units that could go the network gives one label to \d+\.\d% of the examples, where "
        r"the whole one gives none to more than 8\d\.\d%; keep more, or fit it on other examples$"
    )
    with pytest.raises(RequestError, match=sentence):
        compress(voting(), VOTES, keep=1 / 12)
    with pytest.raises(RequestError, match=r"^parameters: with \d+\.\d% of the units that could go"):
        compress(voting(), VOTES, parameters=0.1)
    assert not compress(voting(), VOTES, keep=0.5).notes()


def test_a_frontier_says_where_a_network_loses_all_labels_but_one():
    curve = ww.frontier(voting(), VOTES, keeps=[1 / 12, 0.5])
    assert curve["collapsed"].tolist() == [True, False, False]
    shares = curve["most_frequent_label_share"]
    assert shares[0] > 0.99
    assert 0.8 < shares[2] < shares[1] < 0.95


def test_a_network_that_gave_nearly_one_label_alone_is_told_so():
    found = compress(voting(2.0), VOTES, keep=1 / 12)
    assert found.comparison["most_frequent_label_share_before"] > 0.95
    (note,) = found.notes()
    assert note.startswith("The smaller network gives one label to 100.0% of the examples")


@pytest.mark.parametrize(
    ("count", "before", "after", "expected"),
    [
        (4, 3, 4, False),  # which may be chance
        (4, 2, 4, False),
        (40, 20, 40, True),
        (400, 360, 400, True),
        (400, 370, 400, False),  # the intact network gives hardly any other
        (400, 100, 395, False),
    ],
)
def test_collapsed_is_what_chance_does_not_explain(count: int, before: int, after: int, expected: bool):
    shares = {"most_frequent_label_share_before": before / count, "most_frequent_label_share_after": after / count}
    assert collapsed(pd.Series({"labels": count, **shares}, dtype=object)) is expected


def test_what_is_shown_of_a_network_that_loses_its_labels(tmp_path: Path):
    (tmp_path / "votes.py").write_text(
        "from tests.compression.test_comparison import VOTES, voting\n\ndef batches():\n    return VOTES\n"
    )
    words = ["compress", f"{tmp_path}/votes.py:voting", "--data", f"{tmp_path}/votes.py:batches"]
    refused = widthwise(*words, "--keep", "0.08")
    assert refused.returncode == 2
    assert refused.stderr.startswith("widthwise: --keep: with 8.3% of the units that could go the network gives one")
    curve = widthwise(*words, "--frontier")
    assert "With 12.5% of the units the network gives one label to nearly all" in curve.stdout
    assert max(map(len, curve.stdout.splitlines())) <= 80
