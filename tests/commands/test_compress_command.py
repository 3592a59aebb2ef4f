"""`widthwise compress` and `widthwise profile --what-can-go`: the pages that they write, and how they refuse."""

import json
from pathlib import Path

import pytest
from tests.typed import widthwise

from widthwise.commands import loading

MODELS = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))

def normalized():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4))

def batches():
    torch.manual_seed(1)
    return [torch.randn(60, 6), torch.randn(60, 6)]
"""
BOTH = ("models:network", "--data", "models:batches")


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(loading.sys.modules, "models", raising=False)
    loading._imported_file.cache_clear()
    return tmp_path


def test_a_page_with_the_frontier_and_curves(models: Path):
    done = widthwise("compress", *BOTH, "--out", "small", "--page", "small.html", "--frontier", "--curves")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["The smaller network: small", "", "The page: small.html"]
    text = (models / "small.html").read_text()
    assert "<title>Sequential, made smaller</title>" in text
    assert "What other sizes keep" in text
    assert "<dt>Curves</dt><dd>24 examples" in text, "those that were held back"
    assert (models / "small" / "network.safetensors").is_file()


def test_a_page_of_the_smaller_network_alone(models: Path):
    done = widthwise("compress", *BOTH, "--keep", "0.25", "--page", "small.html", "--json")
    assert json.loads(done.stdout)["page"] == "small.html"
    text = (models / "small.html").read_text()
    assert "What other sizes keep" not in text
    assert 'id="curves"' not in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--curves"], "--curves: they are shown on the page of --page, which is missing"),
        (["--curves", "--page", "small.svg"], "--curves: they are shown on a page, and not in a figure such as small"),
        (["--page", "no/small.html"], "--page: no/small.html cannot be written: there is no folder"),
        (["--page", "."], "--page: . cannot be written: it is a folder"),
        (["--frontier", "--keep", "0.5"], "--keep: a frontier is of several sizes; leave it out"),
    ],
)
def test_what_cannot_be_written_is_refused_first(words: list[str], sentence: str, models: Path):
    done = widthwise("compress", *BOTH, *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert [each.name for each in models.iterdir() if each.name != "__pycache__"] == ["models.py"]


def test_a_profile_says_what_can_go(models: Path):
    done = widthwise("profile", *BOTH, "--page", "profile.html", "--what-can-go")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    first = lines.index("What can go, of 24 labels that were compared:")
    assert [line.split()[0] for line in lines[first + 1 : first + 4]] == ["99%", "95%", "90%"]
    assert lines[-1] == "The page: profile.html"
    assert '<section id="what-can-go">' in (models / "profile.html").read_text()
    done = widthwise("profile", *BOTH, "--page", "figure.svg", "--what-can-go", "--json")
    assert {row["labels"] for row in json.loads(done.stdout)["what_can_go"]} == {0.99, 0.95, 0.9}
    assert (models / "figure.svg").read_text().startswith("<svg")


def test_a_network_that_cannot_be_made_smaller_gets_the_reason(models: Path):
    words = ["profile", "models:normalized", "--data", "models:batches", "--what-can-go"]
    done = widthwise(*words, "--page", "profile.html")
    assert done.returncode == 0, done.stderr
    reason = "there is nothing to make smaller: all units stay of 0, since layer_norm is taken over its units"
    assert reason in " ".join(done.stdout.split())
    assert reason in (models / "profile.html").read_text()
    assert json.loads(widthwise(*words, "--json").stdout)["nothing_can_go"].startswith("there is nothing to make")


def test_an_interruption_leaves_the_page_of_the_profile(models: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("widthwise.commands.removable.what_can_go", interrupted)
    done = widthwise("profile", *BOTH, "--page", "profile.html", "--what-can-go")
    assert done.returncode == 1
    assert "interrupted; profile.html has the profile alone" in done.stderr
    assert "<title>Profile of Sequential" in (models / "profile.html").read_text()
