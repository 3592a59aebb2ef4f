"""The store: what is finished stays, what is damaged is noticed, what is not a store is left alone."""

import json
import os
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from widthwise.errors import RequestError
from widthwise.experiments.store import Store
from widthwise.experiments.stored_trials import Outcome
from widthwise.experiments.sweep import Sweep
from widthwise.experiments.trial import Trial

TRIAL = Trial()
OUTCOME = Outcome(
    "trained",
    {"test_accuracy": 0.9},
    {"history": pd.DataFrame({"epoch": [1, 2]}), "layers": pd.DataFrame({"layer": ["hidden"], "auc": [0.5]})},
    {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)},
)


def saved(store: Store) -> Path:
    store.save(TRIAL, OUTCOME, {"torch": "2"})
    return Path(store.path(f"trials/{TRIAL.id}"))


def test_what_is_saved_comes_back(empty_store: Store):
    saved(empty_store)
    inspection = empty_store.inspect([TRIAL, Trial(seed=1)])
    assert list(inspection.finished) == [TRIAL.id]
    assert inspection.finished[TRIAL.id]["results"] == {"test_accuracy": 0.9}
    assert not inspection.damaged
    pd.testing.assert_frame_equal(empty_store.table(TRIAL.id, "history"), OUTCOME.tables["history"])
    np.testing.assert_array_equal(empty_store.network(TRIAL.id)["weight"], OUTCOME.network["weight"])
    assert empty_store.environment(TRIAL.id) == {"torch": "2"}


def test_a_trial_without_its_outcome_is_not_finished(empty_store: Store):
    (saved(empty_store) / "outcome.json").unlink()
    inspection = empty_store.inspect([TRIAL])
    assert not inspection.finished
    assert not inspection.damaged


def truncate(folder: Path) -> None:
    os.truncate(folder / "layers.parquet", 20)


def edit(folder: Path) -> None:
    text = (folder / "trial.json").read_text()
    (folder / "trial.json").write_text(text.replace('"epochs": 50', '"epochs": 51'))


def remove(folder: Path) -> None:
    (folder / "network.safetensors").unlink()


def garble(folder: Path) -> None:
    (folder / "outcome.json").write_text("{")


def falsify(folder: Path) -> None:
    text = (folder / "outcome.json").read_text()
    (folder / "outcome.json").write_text(text.replace("0.9", "1.0"))


def swap(folder: Path) -> None:
    other = Store(folder.parents[1])
    other.save(Trial(seed=1), OUTCOME, {})
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / Trial(seed=1).id, folder)


def empty(folder: Path) -> None:
    (folder / "outcome.json").write_text("[]")


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (truncate, "layers.parquet has 20 bytes in place of"),
        (edit, "trial.json was changed after the trial ended"),
        (remove, "network.safetensors is missing"),
        (garble, "outcome.json is not readable"),
        (falsify, "outcome.json was changed after the trial ended"),
        (swap, f"it is a copy of trial {Trial(seed=1).id}"),
        (empty, "outcome.json is not readable"),
    ],
)
def test_damage_is_noticed_and_named(empty_store: Store, harm, problem: str):
    harm(saved(empty_store))
    inspection = empty_store.inspect([TRIAL])
    assert not inspection.finished
    assert problem in inspection.damaged[TRIAL.id]
    empty_store.discard(TRIAL.id)
    assert not empty_store.inspect([TRIAL]).damaged


def test_a_changed_network_is_not_loaded(empty_store: Store):
    file = saved(empty_store) / "network.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="was changed after the trial ended"):
        empty_store.network(TRIAL.id)


def test_a_file_is_written_whole_or_not_at_all(empty_store: Store, monkeypatch: pytest.MonkeyPatch):
    empty_store.write("sweeps/a.json", b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        empty_store.write("sweeps/a.json", b"after")
    monkeypatch.undo()
    assert empty_store.read("sweeps/a.json") == b"before"
    assert [file.name for file in Path(empty_store.path("sweeps")).iterdir()] == ["a.json"]


def test_sweeps_are_remembered(empty_store: Store):
    sweep = Sweep.load("constructions")
    empty_store.add_sweep(sweep, "smoke")
    ((again, scale, version),) = empty_store.sweeps()
    assert (scale, version) == ("smoke", "")
    assert again.trials("smoke") == sweep.trials("smoke")


def test_named_series_keep_their_order(empty_store: Store):
    sweep = Sweep.load("alexnet-regularization")
    empty_store.add_sweep(sweep, "paper")
    ((again, _, _),) = empty_store.sweeps()
    assert [run.series for run in again.runs("paper")] == [run.series for run in sweep.runs("paper")]


def test_another_version_of_a_sweep_is_kept_beside_it(empty_store: Store):
    """Another title is none; other trials are."""
    first = Sweep.load("constructions")
    retitled, second = first.model_copy(update={"title": "Other"}), first.model_copy(update={"widths": [0.5]})
    empty_store.add_sweep(first, "smoke")
    empty_store.add_sweep(retitled, "smoke")
    assert [stored.sweep.title for stored in empty_store.sweeps()] == ["Other"]
    empty_store.add_sweep(second, "smoke")
    kept = {stored.version: stored.sweep.trials("smoke") for stored in empty_store.sweeps()}
    assert kept == {"": second.trials("smoke"), first.digest("smoke"): first.trials("smoke")}
    empty_store.add_sweep(first, "smoke")
    assert {stored.version for stored in empty_store.sweeps()} == {"", second.digest("smoke")}


def test_a_folder_of_other_files_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match="holds files that are no store's"):
        Store(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_a_killed_process_left_of_a_new_store_is_no_obstacle(tmp_path: Path):
    (tmp_path / "store.json.1a2b3c4d.partial").write_text("{")
    Store(tmp_path).prepare()
    assert Store(tmp_path).exists


@pytest.mark.parametrize("content", ["null", "[1]", "{", "3"])
def test_a_marker_that_makes_no_sense_is_refused(tmp_path: Path, content: str):
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(RequestError, match="is not that of a store"):
        Store(tmp_path)


def test_a_damaged_sweep_is_named(empty_store: Store):
    empty_store.write("sweeps/own.paper.json", b"{")
    with pytest.raises(RequestError, match=r"own\.paper\.json is damaged"):
        empty_store.sweeps()


@pytest.mark.parametrize("location", ["foo://x/y", "s3://bucket/store"])
def test_a_place_that_no_file_system_serves_is_refused(location: str):
    with pytest.raises(RequestError, match="cannot be reached"):
        Store(location)


def test_another_programs_store_is_refused(tmp_path: Path):
    (tmp_path / "store.json").write_text(json.dumps({"program": "other", "format": 2}))
    with pytest.raises(RequestError, match="is not that of a store that this version reads"):
        Store(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(
    params=[
        ({"format": 1}, "has format 1, written by an earlier version of widthwise"),
        ({"format": 3, "version": "9.1"}, "has format 3, written by widthwise 9.1"),
    ],
    ids=["earlier", "later"],
)
def other_format(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A store of another format, and what is said of it."""
    marker, problem = request.param
    store = tmp_path / "other"
    (store / "trials" / TRIAL.id).mkdir(parents=True)
    (store / "store.json").write_text(json.dumps({"program": "widthwise", **marker}))
    (store / "trials" / TRIAL.id / "outcome.json").write_text('{"status": "trained"}')
    return store, problem


def test_a_store_of_another_format_is_refused_and_left_alone(other_format: tuple[Path, str], typed):
    folder, problem = other_format
    before = contents(folder)
    remedy = f"this version, {version('widthwise')}, reads format 2: name another folder, or use that version"
    with pytest.raises(RequestError, match=f"^store: .*{problem}; {remedy}"):
        Store(folder)
    for words in (["run", "constructions", "--scale", "smoke", "--store", folder], ["report", folder]):
        code, output, message = typed(*words)
        assert (code, output) == (2, "")
        assert f"{folder} {problem}; {remedy}" in message
        assert message.count("\n") == 1, "one sentence"
    assert contents(folder) == before


def test_every_file_carries_the_version_of_its_format(empty_store: Store):
    outcome = replace(OUTCOME, kept={3: OUTCOME.network})
    empty_store.save(TRIAL, outcome, {"torch": "2"})
    empty_store.add_sweep(Sweep.load("constructions"), "smoke")
    empty_store.add_data_files("cifar10", "1234")
    folder = Path(empty_store.location)
    kinds: dict[str, list[object]] = {}
    for name, content in contents(folder).items():
        kind = name.rpartition(".")[2]
        if kind == "json":
            found = json.loads(content)["format"]
        elif kind == "parquet":
            found = int(pq.read_schema(folder / name).metadata[b"widthwise.format"])
        else:
            with safe_open(folder / name, "numpy") as opened:
                found = int(opened.metadata()["widthwise.format"])
        kinds.setdefault(kind, []).append(found)
    assert kinds == {"json": [2] * 5, "parquet": [2] * 2, "safetensors": [2] * 2}


def in_another_format(store: Store, name: str) -> None:
    file = Path(store.path(name))
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 3}))


def test_a_file_of_another_format_is_refused_and_not_taken_for_damaged(empty_store: Store):
    """What is damaged is discarded and run again; what a later version wrote must not be."""
    saved(empty_store)
    empty_store.add_sweep(Sweep.load("constructions"), "smoke")
    empty_store.add_data_files("cifar10", "1234")
    for name, reading in (
        (f"trials/{TRIAL.id}/outcome.json", lambda: empty_store.inspect([TRIAL])),
        (f"trials/{TRIAL.id}/trial.json", lambda: empty_store.trial(TRIAL.id)),
        ("sweeps/constructions.smoke.json", empty_store.sweeps),
        ("data/cifar10.json", lambda: empty_store.data_files("cifar10")),
    ):
        reading()
        in_another_format(empty_store, name)
        with pytest.raises(RequestError, match=f"holds {name} in format 3, and this version reads format 2"):
            reading()


def test_the_files_that_trials_were_trained_on_are_remembered(empty_store: Store):
    assert empty_store.data_files("cifar10") is None
    empty_store.add_data_files("cifar10", "1234")
    assert empty_store.data_files("cifar10") == "1234"


def test_a_file_is_no_store(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RequestError, match="is a file; name a folder"):
        Store(file)


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be written to"):
        Store(tmp_path / "file" / "store").prepare()


def test_any_fsspec_url_is_a_store():
    store = Store("memory://widthwise-test/store")
    store.prepare()
    store.save(TRIAL, OUTCOME, {})
    assert list(Store("memory://widthwise-test/store").inspect([TRIAL]).finished) == [TRIAL.id]
