"""`widthwise profile`: what it prints and writes, and how it refuses."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import safetensors.torch
import torch
from pydantic import TypeAdapter
from torch import nn

from widthwise.commands import loading
from widthwise.experiments.store import Store
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement

MODELS = """
import warnings

import torch
from torch import nn

def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))

def batches():
    torch.manual_seed(1)
    return [torch.randn(30, 5), torch.randn(30, 5)]

class Holder:
    made = network()

def nothing():
    return []

def late():
    yield torch.randn(3, 5)
    raise KeyError("lost")

def failing():
    raise KeyError("no such thing")

def at_once():
    raise KeyError("before the first")
    yield

def full():
    yield torch.randn(3, 5)
    raise MemoryError("of this machine")

def on_meta():
    return network().to("meta")

def lazy():
    return nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 3))

def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(network())

def sets():
    class OfTheSet(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, value):
            return self.inner(value).mean(0, keepdim=True)

    return OfTheSet()

def number():
    return 7
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with a user's module."""
    (tmp_path / "models.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "models", raising=False)
    loading._imported_file.cache_clear()
    return tmp_path


BOTH = ("models:network", "--data", "models:batches")


def test_it_prints_the_layers_and_writes_what_is_asked(models: Path):
    words = ["profile", *BOTH, "--page", "profile.html", "--save", "one.profile", "--single-units"]
    done = subprocess.run(
        [sys.executable, "-m", "widthwise", *words], capture_output=True, text=True, cwd=models, env={"COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Profile of Sequential: 2 layers, 60 examples"
    assert [line.split()[:2] for line in lines[3:5]] == [["1", "8"], ["3", "6"]]
    assert lines[-2:] == ["The page: profile.html", "The tables: one.profile"]
    assert "<title>Profile of Sequential: 2 layers, 60 examples</title>" in (models / "profile.html").read_text()

    import models as written  # type: ignore[import-not-found]

    assert Profile.load(models / "one.profile") == profile(
        written.network(), written.batches(), settings=Measurement(single_units=True, precision=0.01)
    )


def test_it_lists_layers_and_prints_json(models: Path, typed):
    code, out, _ = typed("profile", "models.py:network", "--data", "models.py:batches", "--list")
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["1", "8", "8", "ReLU", "0"],
        ["3", "6", "6", "Tanh", "2"],
    ]
    code, out, _ = typed("profile", "models:Holder.made", "--data", "models:batches", "--layers", "3", "--json")
    content = json.loads(out)
    assert code == 0
    assert [row["layer"] for row in content["layers"]] == ["3"]
    assert content["examples"] == 60


def test_weights_are_loaded_and_settings_used(models: Path, typed):
    import models as written  # type: ignore[import-not-found]

    network = written.network()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    safetensors.torch.save_file(network.state_dict(), "weights.safetensors")
    options = ["--weights", "weights.safetensors", "--levels", 4, "--samplings", 2, "--granularity", "channel"]
    options += ["--activations", "all", "--threshold", 0.3, "--replacement", "mean", "--thresholds", "0.9,0.6"]
    options += ["--single-units", "--tolerance", 0.1, "--seed", 5, "--save", "x.profile", "--precision", 0.2]
    options += ["--protocols", "figures,text", "--prunability-threshold", 0.7, "--sample", 3]
    code, _, message = typed("profile", *BOTH, *options)
    assert code == 0, message
    measured = Profile.load("x.profile")
    settings = Measurement(
        levels=4,
        samplings=2,
        granularity="channel",
        threshold=0.3,
        activations=None,
        replacement="mean",
        thresholds=(0.6, 0.9),
        single_units=True,
        tolerance=0.1,
        protocols=("figures", "text"),
        prunability_threshold=0.7,
        precision=0.2,
        sample=3,
    )
    assert all(getattr(settings, each.name) != each.default for each in fields(Measurement)), "every field is tried"
    assert measured == profile(network, written.batches(), settings=settings, seed=5)
    assert TypeAdapter(Measurement).validate_python(measured.about["settings"]) == settings


def test_a_users_files_find_what_lies_beside_them_and_the_path_is_put_back(
    models: Path, typed, monkeypatch: pytest.MonkeyPatch
):
    folder = models / "elsewhere"
    folder.mkdir()
    (folder / "late_sibling.py").write_text("from models import network\n")
    (folder / "lazy.py").write_text("def network():\n    import late_sibling\n    return late_sibling.network()\n")
    before = list(sys.path)
    for _ in range(2):
        monkeypatch.delitem(sys.modules, "late_sibling", raising=False)
        code, _, message = typed("profile", folder / "lazy.py:network", "--data", "models:batches", "--list")
        assert code == 0, message
        assert sys.path == before


def test_a_trial_with_code_of_its_own_is_measured_only_if_it_is_trusted(
    smoke_store: Path, typed, monkeypatch: pytest.MonkeyPatch
):
    folder = min((smoke_store / "trials").iterdir())
    monkeypatch.setattr(type(Store(smoke_store).trial(folder.name).network), "code", {"mynet.py": "…"}, raising=False)
    code, out, message = typed("profile", folder)
    assert (code, out) == (2, "")
    assert f"the trial {folder.name} holds code of its own (mynet.py), which is run only if you trust it" in message
    assert typed("profile", folder, "--trust-code", "--list")[0] == 0


def test_a_finished_run_of_a_store_is_measured_again(smoke_store: Path, typed):
    folders = sorted((smoke_store / "trials").iterdir())
    for folder in folders[:: len(folders) // 6]:
        code, out, message = typed("profile", folder, "--precision", "exact", "--json")
        assert code == 0, message
        measured = json.loads(out)["layers"][0]
        import pandas as pd

        kept = pd.read_parquet(folder / "layers.parquet").iloc[0]
        assert measured["auc"] == pytest.approx(kept["auc"], rel=1e-14)
        assert measured["similarity"] == pytest.approx(kept["similarity"], rel=1e-14)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["models:network"], "data: missing; give"),
        (["models", "--data", "models:batches"], "'models' must be MODULE:FACTORY or FILE.py:FACTORY"),
        (["nowhere:network", "--data", "models:batches"], "there is no module 'nowhere' here"),
        (["nowhere.py:network", "--data", "models:batches"], "there is no file nowhere.py"),
        (
            ["models:missing", "--data", "models:batches"],
            "models has no 'missing'; it has warnings, torch, nn, network",
        ),
        (["models:failing", "--data", "models:batches"], "failing() raised KeyError: 'no such thing'"),
        (["models:number", "--data", "models:batches"], "models:number returns int; it must return a torch.nn.Module"),
        (
            ["models:network", "--data", "models:number"],
            "models:number returns int; it must return an iterable of batches",
        ),
        (["models:network", "--data", "nowhere"], "there is no data at nowhere"),
        ([*BOTH, "--mean", "0.5"], "mean: only for images in Parquet files"),
        (["models:network", "--data", "models:nothing", "--list"], "models:nothing returns no batches"),
        (["models:network", "--data", "models:late"], "batch 2 cannot be read: KeyError: 'lost'"),
        (["models:network", "--data", "models:at_once"], "batch 1 cannot be read: KeyError: 'before the first'"),
        (
            ["models:network", "--data", "models:at_once", "--list"],
            "the first batch of models:at_once cannot be read: Key",
        ),
        (["models:on_meta", "--data", "models:batches"], "0.weight is on the meta device and has no values; load the"),
        (
            ["models:lazy", "--data", "models:batches"],
            "0.weight of a lazy module is not initialized; run the model once",
        ),
        (
            ["models:lazy", "--data", "models:batches", "--weights", "few.safetensors"],
            "0.weight of a lazy module is not",
        ),
        (["models:scripted", "--data", "models:batches"], "the model is scripted or traced (RecursiveScriptModule)"),
        (["models:sets", "--data", "models:batches"], "does not grow with any of the inputs, of shapes (30, 5), so"),
        ([*BOTH, "--weights", "pickled.bin"], "--weights: pickled.bin holds pickled weights, which could run any code"),
        ([*BOTH, "--weights", "old.pth"], "weights_only=True), 'old.safetensors')`"),
        ([*BOTH, "--layers", "30"], "layers: '30' is no layer of the network; did you mean 3?"),
        ([*BOTH, "--granularity", "unit"], "'unit' is not one of 'application', 'channel'"),
        ([*BOTH, "--activations", "some"], "activations: must be a whole number or all, not 'some'"),
        ([*BOTH, "--weights", "none.safetensors"], "there is no file of weights none.safetensors"),
        ([*BOTH, "--weights", "models.py"], "models.py is no whole safetensors file"),
        ([*BOTH, "--weights", "other.safetensors"], "holds 9.weight, which Sequential does not have"),
        ([*BOTH, "--weights", "shape.safetensors"], "0.weight has the shape (2, 2) in the file and (8, 5)"),
        ([*BOTH, "--weights", "few.safetensors"], "lacks 0.weight and 4 more of Sequential's values"),
        ([*BOTH, "--page", "no/such/page.html"], "no/such/page.html cannot be written: there is no folder"),
        ([*BOTH, "--levels", "1"], "--levels: must be a whole number from 2 to 256, got 1"),
        ([*BOTH, "--thresholds", "0.5;1"], "thresholds: must be numbers with commas between"),
        ([*BOTH, "--data", "models:batches"], "data: given 2 times"),
        ([*BOTH, "--device", "tpu"], "the device 'tpu' cannot be used"),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence(words: list[str], expected: str, models: Path, typed):
    safetensors.torch.save_file({"9.weight": torch.ones(1)}, "other.safetensors")
    safetensors.torch.save_file({"0.weight": torch.ones(2, 2)}, "shape.safetensors")
    safetensors.torch.save_file({"0.bias": torch.ones(8)}, "few.safetensors")
    torch.save({"0.bias": torch.ones(8)}, "pickled.bin")
    torch.save({"0.bias": torch.ones(8)}, "old.pth", _use_new_zipfile_serialization=False)
    before = sorted(models.iterdir())
    code, out, message = typed("profile", *words)
    assert (code, out) == (2, "")
    assert message.startswith("widthwise: ")
    assert expected in message
    assert message.count("\n") == 1
    assert "Traceback" not in message
    assert [path for path in sorted(models.iterdir()) if path.name != "__pycache__"] == [
        path for path in before if path.name != "__pycache__"
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_two_lines_turn_pickled_weights_into_some_that_are_loaded(models: Path, typed):
    torch.manual_seed(3)
    trained = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))
    torch.save(trained.state_dict(), "trained.pt")
    message = typed("profile", *BOTH, "--weights", "trained.pt")[2]
    for line in message.split("`")[1::2]:
        exec(line, globals())
    assert torch.equal(loading.load_model("models:network", "trained.safetensors")[0].weight, trained[0].weight)


def test_weights_fill_a_model_on_the_meta_device(models: Path):
    torch.manual_seed(3)
    trained = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))
    safetensors.torch.save_file(trained.state_dict(), "weights.safetensors")
    loaded = loading.load_model("models:on_meta", "weights.safetensors")
    assert all(torch.equal(*pair) for pair in zip(loaded.parameters(), trained.parameters(), strict=True))


def test_too_little_memory_for_the_batches_is_no_wrong_request(models: Path, typed):
    code, out, message = typed("profile", "models:network", "--data", "models:full")
    assert (code, out) == (1, "")
    assert "batch 2 cannot be read: MemoryError: of this machine; a smaller batch_size takes less memory" in message


def test_a_folder_that_is_no_run_is_refused(own_smoke_store: Path, typed):
    assert "is no trial of a store" in typed("profile", own_smoke_store)[2]
    folder = min((own_smoke_store / "trials").iterdir())
    assert "has its own data; leave it out" in typed("profile", folder, "--data", "x:y")[2]
    (folder / "network.safetensors").write_bytes(b"damaged")
    code, _, message = typed("profile", folder)
    assert code == 2
    assert "was changed after the trial ended" in message
    (folder / "network.safetensors").unlink()
    assert "is not finished or lost its network" in typed("profile", folder)[2]
