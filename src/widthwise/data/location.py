"""The location of a data set, and its fingerprint."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from widthwise.errors import RequestError

HUB = "hub:"
CONTENTS_UP_TO = 1_000_000_000
READ_AT_ONCE = 1 << 20


def located(reference: str) -> Path:
    """The path that `reference` names: itself, or for `hub:OWNER/NAME` the path of the downloaded data set.

    The Parquet files of a data set of the Hugging Face Hub are downloaded once, into the Hub's own cache.

    Raises:
        RequestError: the Hub cannot be reached, or has no such Parquet files, or its package is not installed.
    """
    if not reference.startswith(HUB):
        return Path(reference)
    name = reference.removeprefix(HUB)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise RequestError(f"{reference} names no data set: write {HUB}OWNER/NAME")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise RequestError(
            f"{reference} needs the package huggingface_hub: install widthwise[hub], or download the files yourself "
            "and name their folder"
        ) from None
    try:
        folder = Path(snapshot_download(name, repo_type="dataset", allow_patterns="*.parquet"))
    except Exception as error:  # of the Hub, of its HTTP client, or of the disk
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RequestError(f"{reference} cannot be downloaded ({reason})") from None
    if not any(folder.rglob("*.parquet")):
        raise RequestError(f"{reference} has no Parquet files")
    return folder


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error while something at `path` is read into a RequestError that names it."""
    try:
        yield
    except OSError as error:
        raise RequestError(f"{error.filename or path} cannot be read: {error.strerror or error}") from None


def fingerprint(path: Path) -> str:
    """A short digest of the files at `path`, whatever the path: of a file's content, or of a folder's files.

    For a folder the names and sizes of its files count, and, if they have at most 1 GB in total, their contents. Hidden
    files do not count.

    Raises:
        RequestError: there is nothing at `path`, or it cannot be read.
    """
    if not path.exists():
        raise RequestError(f"there is no data at {path}")
    digest = hashlib.sha256()
    with readable(path):
        files = [("", path, path.stat().st_size)] if path.is_file() else sorted(_files(path, ""))
        whole = sum(size for _, _, size in files) <= CONTENTS_UP_TO
        for name, file, size in files:
            digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
            if whole:
                with Path(file).open("rb") as opened:
                    while part := opened.read(READ_AT_ONCE):
                        digest.update(part)
    return digest.hexdigest()[:16]


def _files(folder: Path | str, within: str) -> Iterator[tuple[str, str, int]]:
    """The relative name, the path and the size of every file: a data set may have a million."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files(entry.path, f"{within}{entry.name}/")
            elif entry.is_file():
                yield f"{within}{entry.name}", entry.path, entry.stat().st_size
