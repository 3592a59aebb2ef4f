"""What the docs say can be typed does what they say: every command and every Python block in them runs."""

import re
import runpy
import shlex
import shutil
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


SMALL_SWEEP = (
    *("--set", "training.epochs=1", "--set", "replicates=1", "--set", "widths=[0.25, 0.5, 1]"),
    *("--set", "measurement.levels=3", "--workers", "0"),
)
"""A sweep of the docs as small as it can be: every series and learning rate of it, trained once at three widths."""


def at_smallest(words: list[str]) -> list[str]:
    """The same command with the smallest scale of what it runs."""
    if words[0] == "train":
        return [*words, "--set", "training.epochs=2"]
    if words[0] != "run":
        return words
    if words[1].endswith(".yaml"):
        return [*words, *SMALL_SWEEP]
    if "--scale" in words:
        index = words.index("--scale")
        words = words[:index] + words[index + 2 :]
    return [*words, "--scale", "smoke", "--workers", "0"]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_every_command_runs(page: Path, tmp_path: Path, typed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for text in [*blocks(page, "yaml"), *blocks(page, "python")]:
        first, _, rest = text.partition("\n")
        if NAMED.match(first):  # a file of that name
            (tmp_path / first.removeprefix("# ")).write_text(rest, encoding="utf-8")
    for words in commands(page):
        code, shown, said = typed(*at_smallest(words))
        assert code == 0, (words, said)
        assert shown


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_every_python_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """In this process, each with a namespace of its own, as a script in a folder in which it is called."""
    monkeypatch.chdir(tmp_path)
    for number, text in enumerate(blocks(page, "python")):
        script = tmp_path / f"block{number}.py"
        script.write_text(text, encoding="utf-8")
        runpy.run_path(str(script), run_name="__main__")
        assert capsys.readouterr().out


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
