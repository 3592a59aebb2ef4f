"""Hooks that turn the repository's own pages into the documentation's site, with the README as its first page.

The pages link to each other as files of the repository. In the site `docs/` is the top, and README.md is index.md.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent
SHOWN = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CITATION.cff",
    "LICENSE",
    "results/**/*",
    "examples/*",
    "benchmarks/*.py",
)
"""Files outside `docs/` that the pages are made of, or link to."""
LINK = re.compile(r"(\]\()([^)#\s]+)")
ELSEWHERE = re.compile(r"[a-z]+:")


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside `docs/`."""
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and "store" not in path.relative_to(ROOT).parts:
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, _in_site(name), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Make links between files of the repository ones between pages of the site."""
    own = page.file.src_uri
    folder = posixpath.dirname(_in_repository(own))

    def moved(found: re.Match[str]) -> str:
        opening, target = found.groups()
        if ELSEWHERE.match(target):
            return found.group()
        meant = _in_site(posixpath.normpath(posixpath.join(folder, target)))
        return opening + posixpath.relpath(meant, posixpath.dirname(own) or ".")

    return LINK.sub(moved, markdown)


def _in_site(name: str) -> str:
    return "index.md" if name == "README.md" else name.removeprefix("docs/")


def _in_repository(name: str) -> str:
    if name == "index.md":
        return "README.md"
    return name if (ROOT / name).is_file() else f"docs/{name}"
