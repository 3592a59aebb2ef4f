"""What the docs say can be typed does what they say: every command and every Python block in them runs."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

NAMED = re.compile(r"# \w+\.(py|yaml)$")


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> list[list[str]]:
    lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("widthwise ")]


def at_smoke_scale(words: list[str]) -> list[str]:
    """The same command with the smallest scale of what it runs; a sweep of one's own with an epoch and a replicate."""
    if words[0] != "run":
        return words
    if words[1].endswith(".yaml"):
        return [*words, "--set", "training.epochs=1", "--set", "replicates=1", "--workers", "0"]
    scale = ["--scale", "smoke"]
    if "--scale" in words:
        place = words.index("--scale")
        words = words[:place] + words[place + 2 :]
    return [*words, *scale, "--workers", "0"]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_every_command_runs(page: Path, tmp_path: Path, typed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for text in [*blocks(page, "yaml"), *blocks(page, "python")]:
        first, _, rest = text.partition("\n")
        if NAMED.match(first):  # a file of that name
            (tmp_path / first.removeprefix("# ")).write_text(rest, encoding="utf-8")
    for words in commands(page):
        code, shown, said = typed(*at_smoke_scale(words))
        assert code == 0, (words, said)
        assert shown


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_every_python_block_runs(page: Path, tmp_path: Path):
    for number, text in enumerate(blocks(page, "python")):
        script = tmp_path / f"block{number}.py"
        script.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
