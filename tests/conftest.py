"""What several tests share: one small sweep, run once, and its store."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # results are the same to the bit only at the same number of threads

import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from widthwise import workflow
from widthwise.commands.main import main
from widthwise.experiments.store import Store
from widthwise.spawning import main_hidden

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests need the store of everything: it takes longest, in processes of its own."""
    first = {item.path for item in items if "whole_store" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in first)


def made_once(name: str, make: Callable[[Path], object], worker: str, factory: pytest.TempPathFactory) -> Path:
    """A folder that the first test process to ask for it makes, for all of them. Not to be changed."""
    shared = factory.getbasetemp()
    if worker != "master":
        shared = shared.parent
    folder, ended = shared / name, shared / f"{name}.ended"
    with FileLock(shared / f"{name}.lock"):
        if not ended.exists():
            try:
                make(folder)
                ended.write_text("")
            except Exception as error:
                ended.write_text(f"{name} could not be made: {error!r}")
                raise
    assert ended.read_text() == ""
    return folder


@pytest.fixture(scope="session")
def smoke_store(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A store with two experiments on perceptrons at smoke scale and their report. Not to be changed: copy it."""

    def run(folder: Path) -> None:
        for name in ("mlp10-initialization", "constructions"):
            workflow.run(name, "smoke", folder, workers=0)

    return made_once("smoke", run, worker_id, tmp_path_factory)


@pytest.fixture(scope="session")
def whole_store(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A store that `widthwise run --all --scale smoke` filled. Not to be changed."""

    def run(folder: Path) -> None:
        words = ["run", "--all", "--scale", "smoke", "--store", str(folder)]
        done = subprocess.run([sys.executable, "-m", "widthwise", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return made_once("whole", run, worker_id, tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def one_drawing_process() -> Iterator[None]:
    """One process draws for all reports of a test process: making the code that draws charts takes it two seconds."""
    pool: ProcessPoolExecutor | None = None

    @contextmanager
    def drawing_process() -> Iterator[ProcessPoolExecutor]:
        nonlocal pool
        if pool is None or not _alive(pool):
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        with main_hidden():
            yield pool

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("widthwise.reporting.write.drawing_process", drawing_process)
        yield
    if pool is not None:
        pool.shutdown(cancel_futures=True)


def _alive(pool: ProcessPoolExecutor) -> bool:
    try:
        return pool.submit(abs, 0).result() == 0
    except BrokenProcessPool:  # a test killed this process's children
        return False


@pytest.fixture
def own_smoke_store(smoke_store: Path, tmp_path: Path) -> Path:
    """A copy of the smoke store for a test to change."""
    return Path(shutil.copytree(smoke_store, tmp_path / "store"))


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    """A new store, ready to be written to."""
    store = Store(tmp_path / "store")
    store.prepare()
    return store


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The exit code, the output and the messages of a command, run in this process."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["widthwise", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run
