"""The runner: the same results however it runs, nothing run twice, nothing finished lost."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError, TrialError
from widthwise.execution.allocator import keep_freed_memory
from widthwise.execution.executors.local import in_processes
from widthwise.execution.runner import run_trials
from widthwise.execution.trainer import Cohort, cohorts
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.progress import OnProgress, Progress, unseen

SWEEP = Sweep.load("mlp10-initialization")


def tables(store: Store, trials) -> dict[str, list[pd.DataFrame]]:
    """All tables of all trials but for the time that they took."""
    ids = [trial.id for trial in trials]
    names = ("history", "layers", "ablation", "correlation")
    found = {name: [store.table(identity, name) for identity in ids] for name in names}
    return {name: [table.drop(columns="seconds", errors="ignore") for table in each] for name, each in found.items()}


def test_cohorts_differ_in_random_draws_alone():
    trials = SWEEP.trials("paper")
    stacks = cohorts(trials)
    assert sorted(trial.id for stack in stacks for trial in stack) == sorted(trial.id for trial in trials)
    for stack in stacks:
        assert len({trial.cohort for trial in stack}) == 1
    large = cohorts(Sweep.load("mlp10k-initialization").trials("paper"))
    assert max(len(stack) for stack in stacks) == 15
    assert min(len(stack) for stack in large) == 1, "a stack that outgrows the cache is split"


def test_a_plain_script_gets_identical_tables_from_two_processes(smoke_store: Path, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import widthwise as ww\nprint('once')\n"
        "result = ww.run('mlp10-initialization', 'smoke', 'store', workers=2)\nprint(result.trained)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["once", "12"]
    trials = SWEEP.trials("smoke")
    one, two = tables(Store(smoke_store), trials), tables(Store(tmp_path / "store"), trials)
    for name in one:
        for first, second in zip(one[name], two[name], strict=True):
            pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_what_is_finished_is_not_run_again(own_smoke_store: Path):
    store = Store(own_smoke_store)
    before = {path: path.stat().st_mtime_ns for path in own_smoke_store.rglob("trials/*/*")}
    result = run_trials(SWEEP.trials("smoke"), store, workers=0)
    assert (result.trained, result.found) == (0, 12)
    assert {path: path.stat().st_mtime_ns for path in own_smoke_store.rglob("trials/*/*")} == before


def test_a_damaged_trial_is_named_and_done_again_and_the_others_are_kept(own_smoke_store: Path):
    store, trials = Store(own_smoke_store), SWEEP.trials("smoke")
    before = tables(store, trials)
    broken = trials[3].id
    os.truncate(own_smoke_store / "trials" / broken / "ablation.parquet", 10)
    events: list[Progress] = []
    result = run_trials(trials, store, workers=0, on_progress=events.append)
    assert (result.trained, result.found) == (1, 11)
    assert list(result.damaged) == [broken]
    assert events[0].activity == "damage"
    assert f"trial {broken} is damaged (ablation.parquet has 10 bytes" in events[0].subject
    assert [(each.activity, each.done, each.total) for each in events[1:]] == [
        ("trials", 11, 12),
        ("trials", 11, 12),
        ("trials", 12, 12),
    ]
    after = tables(store, trials)
    for name in before:
        for first, second in zip(before[name], after[name], strict=True):
            pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_full_disk_ends_the_run_in_a_sentence_and_keeps_what_is_finished(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
):
    trials = SWEEP.trials("smoke")
    save, room = Store.save, [5]

    def limited(self: Store, *arguments: object) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        save(self, *arguments)  # pyright: ignore

    monkeypatch.setattr(Store, "save", limited)
    with pytest.raises(TrialError, match=r"No space left on device.*the same command continues"):
        run_trials(trials, empty_store, workers=0)
    monkeypatch.undo()
    assert len(empty_store.inspect(trials).finished) == 5
    assert run_trials(trials, empty_store, workers=0).trained == 7


MANY = ["replicates=12", "training.epochs=10"]


def test_the_callers_threads_are_its_own(empty_store: Store):
    torch.set_num_threads(2)
    try:
        run_trials(SWEEP.trials("smoke")[:1], empty_store, workers=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_the_callers_allocator_is_left_alone(empty_store: Store, monkeypatch: pytest.MonkeyPatch):
    """It could not be put back."""

    def refused(name: None) -> None:
        raise AssertionError("the C library of a process that is not the program's own")

    monkeypatch.setattr("widthwise.execution.allocator.ctypes.CDLL", refused)
    with pytest.raises(AssertionError, match="C library"):
        keep_freed_memory()
    assert run_trials(SWEEP.trials("smoke")[:1], empty_store, workers=0).trained == 1


def test_what_cannot_be_trained_is_said_in_a_sentence(empty_store: Store):
    trials = Sweep.load("constructions").with_values(parsed_settings(["data.dimensions=1"])).trials("smoke")
    with pytest.raises(TrialError, match="could not be trained and measured: found only"):
        run_trials(trials, empty_store, workers=0)


COMMAND = [sys.executable, "-m", "widthwise", "run", "mlp10-initialization", "--scale", "smoke", "--workers", "2"]
COMMAND += [word for assignment in MANY for word in ("--set", assignment)]


def started(store: Path, finished: int) -> subprocess.Popen:
    """The command in a process group of its own, when so many trials are finished."""
    process = subprocess.Popen(
        [*COMMAND, "--store", str(store)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore Ctrl-C
    )
    give_up = time.monotonic() + 90
    while len(list(store.glob("trials/*/outcome.json"))) < finished:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return process


def workers_of(process: subprocess.Popen) -> list[str]:
    listed = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True)
    return listed.stdout.split()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_an_interrupted_run_is_continued_by_the_same_command(tmp_path: Path, ending: signal.Signals):
    store = tmp_path / "store"
    process = started(store, finished=10)
    if ending == signal.SIGINT:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
    else:
        process.kill()
    _, said = process.communicate(timeout=60)
    if ending == signal.SIGINT:
        assert process.returncode == 1
        assert b"the same command continues" in said
        assert b"Traceback" not in said
    give_up = time.monotonic() + 30
    while workers_of(process):
        assert time.monotonic() < give_up, "a worker outlives its parent"
        time.sleep(0.1)

    kept = {path: path.stat().st_mtime_ns for path in store.glob("trials/*/outcome.json")}
    assert 10 <= len(kept) < 72
    result = run_trials(SWEEP.with_values(parsed_settings(MANY)).trials("smoke"), Store(store), workers=0)
    assert (result.found, result.trained) == (len(kept), 72 - len(kept))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def refuse(cohort: Cohort, on_progress: OnProgress) -> None:
    raise RequestError("it is wrong", field="data", settings={"data.damaged": "skip"})


def test_what_a_worker_refuses_arrives_whole():
    with pytest.raises(RequestError) as refused:
        list(in_processes([SWEEP.trials("smoke")[:1]], refuse, unseen, workers=1))
    assert (refused.value.field, refused.value.settings) == ("data", {"data.damaged": "skip"})


def test_a_killed_worker_ends_the_run_in_a_sentence(empty_store: Store):
    def kill_workers(progress: Progress) -> None:
        if progress.subject:
            for process in multiprocessing.active_children():
                process.kill()

    with pytest.raises(TrialError, match=r"a training process was killed, .*; the same command continues"):
        run_trials(SWEEP.trials("smoke"), empty_store, workers=1, on_progress=kill_workers)
