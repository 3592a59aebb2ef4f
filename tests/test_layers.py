"""Imports go downward only: the contract of import-linter in pyproject.toml holds, and catches what goes up."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the package `widthwise` in a folder."""
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command(sys.argv[1:])"
    words = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=folder)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package's source, to be changed."""
    return Path(shutil.copytree(ROOT / "src" / "widthwise", tmp_path / "widthwise", ignore=lambda *_: ["__pycache__"]))


def test_imports_go_downward():
    found = checked(ROOT / "src")
    assert found.returncode == 0, found.stdout
    assert "1 kept, 0 broken" in found.stdout


@pytest.mark.parametrize(
    ("room", "upper", "line"),
    [
        ("measurement/masks.py", "training.recipe", "from widthwise.training.recipe import Recipe"),
        ("tracing/tape.py", "commands", "def late():\n    from widthwise import commands"),
    ],
)
def test_an_import_that_goes_up_is_found(copy: Path, room: str, upper: str, line: str):
    file = copy / room
    file.write_text(f"{file.read_text(encoding='utf-8')}\n\n{line}\n", encoding="utf-8")
    found = checked(copy.parent)
    assert found.returncode == 1, found.stdout
    importer = room.removesuffix(".py").replace("/", ".")
    assert f"widthwise.{importer} -> widthwise.{upper}" in " ".join(found.stdout.split())


def test_a_room_that_the_contract_does_not_name_is_found(copy: Path):
    (copy / "cellar").mkdir()
    (copy / "cellar" / "__init__.py").write_text("")
    found = checked(copy.parent)
    assert found.returncode == 1
    assert "cellar" in found.stdout
