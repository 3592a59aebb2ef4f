"""What the package says of itself: versions, files for those who cite it or report a weakness."""

import ast
import fnmatch
import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version(citation: dict[str, Any]):
    assert citation["version"] == importlib.metadata.version("widthwise")


def test_the_citation_has_what_its_format_requires(citation: dict[str, Any]):
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)


def test_the_paper_is_cited_with_its_authors(citation: dict[str, Any]):
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == [
        "Casper",
        "Boix",
        "D'Amario",
        "Guo",
        "Vinken",
        "Kreiman",
    ]
    assert paper["url"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_weaknesses_are_reported_privately():
    assert "private\nadvisory" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    wanted = [Requirement(text) for text in importlib.metadata.requires("widthwise") or ()]
    extras = ('extra == "hub"', 'extra == "onnx"')
    declared = {canonicalize_name(each.name) for each in wanted if each.marker is None or str(each.marker) in extras}
    imported = {"onnx", "onnxscript"}  # PyTorch imports them when it exports
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                imported.add(node.module.partition(".")[0])
    packages = {**importlib.metadata.packages_distributions(), "huggingface_hub": ["huggingface-hub"]}  # an extra
    foreign = imported - sys.stdlib_module_names - {"widthwise"}
    assert {canonicalize_name(packages[name][0]) for name in foreign} == declared


def test_the_wheel_has_the_data_of_the_package():
    # hatchling packs all that lies under this folder and that git does not ignore
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r"\[tool\.hatch.*\n(?:.+\n)*", settings) == [
        '[tool.hatch.build.targets.wheel]\npackages = ["src/widthwise"]\n'
    ]
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()]
    experiments = Path("src/widthwise/experiments")
    for data in ("catalogue/parameters.yaml", "published/values.csv", "published/doubts.yaml", "published/README.md"):
        assert (ROOT / experiments / data).is_file()
        parts = (experiments / data).parts
        assert not [pattern for pattern in ignored for part in parts if fnmatch.fnmatch(part, pattern)]
