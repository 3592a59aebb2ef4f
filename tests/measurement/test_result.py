"""A profile as a thing: in a terminal, in a notebook, in a file."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from widthwise.measurement.profile import profile
from widthwise.measurement.result import TABLES, Profile
from widthwise.measurement.settings import Measurement


@pytest.fixture(scope="module")
def measured() -> Profile:
    torch.manual_seed(0)
    blocks = [layer for _ in range(26) for layer in (nn.Linear(4, 4), nn.Tanh())]
    model = nn.Sequential(*blocks, nn.Linear(4, 3))
    return profile(model, [torch.randn(50, 4)], settings=Measurement(levels=3, samplings=1))


def test_in_a_terminal_it_is_a_table_of_80_columns_that_leaves_out_the_middle(measured: Profile):
    lines = repr(measured).splitlines()
    assert lines[0] == "Profile of Sequential: 26 layers, 50 examples"
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == ["Layer", "Units", "AUC", "Corrected", "Similarity", "Dead"]
    assert len(lines) < 35
    assert lines[15] == "… 2 more", "between the first 12 and the last 12"
    assert "All layers: profile.layers, or the page of ww.report(profile, 'x.html')." in lines
    assert "nan" not in repr(measured)
    assert lines[-1] == "Only what follows a layer was run again."


def test_a_collapsed_network_is_said_to_be_one():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    nn.init.zeros_(model[2].weight)
    collapsed = profile(model, [torch.randn(20, 4)])
    assert collapsed.degenerate
    assert "100.0% of the labels are the same one: the network has collapsed" in repr(collapsed)


def test_what_is_not_measured_is_named_with_the_reason(measured: Profile):
    missing = [{"name": f"gate{number}", "kind": "SiLU", "reason": "no weight follows"} for number in range(7)]
    lacking = replace(measured, about={**measured.about, "left_out": missing})
    text = " ".join(repr(lacking).split())
    assert "7 nonlinearities are not measured: gate0 (no weight follows); gate1" in text
    assert "gate4 (no weight follows); 2 more, in profile.about['left_out']." in text
    assert "gate0 (no weight follows)" in lacking._repr_html_()


def test_in_a_notebook_it_is_a_table_with_names_as_text():
    class Named(nn.Sequential):
        pass

    torch.manual_seed(0)
    model = Named()
    for name, part in {"a": nn.Linear(3, 4), "<script>": nn.ReLU(), "z": nn.Linear(4, 2)}.items():
        model.add_module(name, part)
    shown = profile(model, [torch.randn(20, 3)])._repr_html_()
    assert "<td>&lt;script&gt;</td>" in shown
    assert "<script>" not in shown


def test_what_is_saved_is_loaded_again_and_is_no_pickle(measured: Profile, tmp_path: Path):
    file = tmp_path / "one.profile"
    file.write_bytes(b"what was there before")
    measured.save(file)
    assert Profile.load(file) == measured
    assert [path.name for path in tmp_path.iterdir()] == ["one.profile"]
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == sorted([*(f"{name}.parquet" for name in TABLES), "profile.json"])


def test_a_save_that_fails_leaves_what_was_there(measured: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "one.profile"
    file.write_bytes(b"before")
    monkeypatch.setattr(Profile, "summary", lambda self: {"not": object()})
    with pytest.raises(TypeError):
        measured.save(file)
    assert file.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["one.profile"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x80\x04K\x01."])
def test_other_files_are_refused(content: bytes, tmp_path: Path):
    file = tmp_path / "other"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"is no profile that Profile\.save wrote"):
        Profile.load(file)
    with pytest.raises(FileNotFoundError):
        Profile.load(tmp_path / "missing")
