"""What several tests share: one small sweep, run once, and its store."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # results are the same to the bit only at the same number of threads

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from widthwise import workflow
from widthwise.commands.main import main
from widthwise.experiments.store import Store

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def smoke_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all experiments at smoke scale and their report. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("smoke") / "store"
    for name in ("mlp10-initialization", "constructions"):
        workflow.run(name, "smoke", folder, workers=0)
    return folder


@pytest.fixture(scope="session")
def whole_store(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A store that `widthwise run --all --scale smoke` filled, once for all test processes. Not to be changed."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder, ended = shared / "whole", shared / "whole.ended"
    with FileLock(shared / "whole.lock"):
        if not ended.exists():
            words = ["run", "--all", "--scale", "smoke", "--store", str(folder)]
            done = subprocess.run([sys.executable, "-m", "widthwise", *words], capture_output=True, text=True)
            ended.write_text(done.stderr if done.returncode else "")
    assert ended.read_text() == ""
    return folder


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
