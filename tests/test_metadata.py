"""What the package says of itself: versions, files for those who cite it or report a weakness."""

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

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
