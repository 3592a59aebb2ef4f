"""Copying a store: what is finished arrives, what is there stays, and networks can be left behind."""

from pathlib import Path

import pandas as pd
import pytest
from tests.experiments.test_store import OUTCOME, TRIAL, contents, saved
from tests.typed import widthwise

from widthwise.errors import RequestError
from widthwise.experiments.store import Store
from widthwise.experiments.store_copy import copy_store
from widthwise.experiments.stored_trials import Outcome
from widthwise.experiments.sweep import Sweep
from widthwise.experiments.trial import Trial

OTHER = Trial(seed=1)
COMMITTED = Path(__file__).parents[2] / "results/paper/store"


@pytest.fixture
def origin(empty_store: Store) -> Store:
    saved(empty_store)
    empty_store.add_sweep(Sweep.load("constructions"), "smoke")
    empty_store.add_data_files("cifar10", "abc")
    return empty_store


def test_a_copy_is_equal_file_by_file(origin: Store, tmp_path: Path):
    done = copy_store(origin.location, tmp_path / "copy")
    assert (done.copied, done.found, done.damaged) == ([TRIAL.id], [], {})
    assert contents(tmp_path / "copy") == contents(Path(origin.location))


def test_without_networks_a_trial_is_finished_and_has_its_tables(origin: Store, tmp_path: Path):
    copy_store(origin.location, tmp_path / "copy", networks=False)
    copy = Store(tmp_path / "copy")
    assert not list((tmp_path / "copy").rglob("*.safetensors"))
    inspection = copy.inspect([TRIAL])
    assert inspection.finished[TRIAL.id]["results"] == OUTCOME.results
    assert not inspection.damaged
    pd.testing.assert_frame_equal(copy.table(TRIAL.id, "layers"), OUTCOME.tables["layers"])
    with pytest.raises(ValueError, match="copied without its network"):
        copy.network(TRIAL.id)
    (Path(copy.path(f"trials/{TRIAL.id}")) / "layers.parquet").unlink()
    assert "layers.parquet is missing" in copy.inspect([TRIAL]).damaged[TRIAL.id]


def test_a_store_is_added_to_and_keeps_what_it_holds(origin: Store, tmp_path: Path):
    """The first outcome of a trial wins; a damaged one is replaced."""
    copy = Store(tmp_path / "copy")
    copy.prepare()
    copy.save(OTHER, OUTCOME, {})
    copy.save(TRIAL, Outcome("trained", {"test_accuracy": 0.5}), {})
    assert copy_store(origin.location, copy.location).found == [TRIAL.id]
    finished = copy.inspect([TRIAL, OTHER]).finished
    assert finished[TRIAL.id]["results"] == {"test_accuracy": 0.5}
    assert OTHER.id in finished
    copy.write(f"trials/{TRIAL.id}/trial.json", b"{}")
    assert copy_store(origin.location, copy.location).copied == [TRIAL.id]
    assert copy.inspect([TRIAL]).finished[TRIAL.id]["results"] == OUTCOME.results


def test_what_is_unfinished_or_damaged_is_left_out(origin: Store, tmp_path: Path):
    origin.save(OTHER, OUTCOME, {})
    origin.remove(f"trials/{OTHER.id}/outcome.json")
    origin.write(f"trials/{TRIAL.id}/history.parquet", b"PAR1")
    done = copy_store(origin.location, tmp_path / "copy")
    assert not done.copied
    assert list(done.damaged) == [TRIAL.id]
    assert not (tmp_path / "copy/trials").exists()


def test_the_current_version_of_a_sweep_stays_the_current_one(origin: Store, tmp_path: Path):
    origin.add_sweep(Sweep.load("constructions").model_copy(update={"widths": [0.5]}), "smoke")
    copy_store(origin.location, tmp_path / "copy")
    assert Store(tmp_path / "copy").sweeps() == origin.sweeps()


def test_a_copy_that_cannot_be_made_changes_nothing(origin: Store, tmp_path: Path):
    with pytest.raises(RequestError, match="there is no store at"):
        copy_store(tmp_path / "nowhere", tmp_path / "copy")
    with pytest.raises(RequestError, match="is the store itself"):
        copy_store(origin.location, origin.location)
    other = Store(tmp_path / "other")
    other.prepare()
    other.add_data_files("cifar10", "xyz")
    before = contents(tmp_path / "other")
    with pytest.raises(RequestError, match="has trials on other files of cifar10"):
        copy_store(origin.location, other.location)
    assert contents(tmp_path / "other") == before
    assert not (tmp_path / "copy").exists()


def test_the_committed_store_can_be_added_to():
    """Its trials are undamaged, and are those of the catalogue's sweeps as they are now: a later run finds them."""
    store = Store(COMMITTED)
    stored = [(Sweep.load(each.sweep.name), each.scale) for each in store.sweeps()]
    inspection = store.inspect([trial for sweep, scale in stored for trial in sweep.trials(scale)])
    assert not inspection.damaged
    assert set(inspection.finished) == {name.rpartition("/")[2] for name in store.names("trials")}
    assert len(inspection.finished) >= 63


def test_what_is_typed(origin: Store, tmp_path: Path):
    first = widthwise("copy", origin.location, str(tmp_path / "copy"), "--no-networks")
    assert (first.returncode, first.stdout) == (0, f"Copied 1 run to {tmp_path / 'copy'}.\n")
    again = widthwise("copy", origin.location, str(tmp_path / "copy"), "--json")
    assert (again.returncode, TRIAL.id in again.stdout) == (0, True)
    refused = widthwise("copy", str(tmp_path / "nowhere"), str(tmp_path / "copy"))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
