"""Files that are written whole or not at all, and the one form of JSON and of digests that the package writes."""

import hashlib
import json
import os
from pathlib import Path
from uuid import uuid4

PARTIAL = ".partial"
"""Ending of the names of files that are being written; a killed process leaves such a file behind."""


def check_writable(path: str | os.PathLike[str]) -> None:
    """See that there is a folder for a file, and none of its name.

    Raises:
        FileNotFoundError: its folder does not exist.
        IsADirectoryError: the path is that of a folder.
    """
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {folder}")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} cannot be written: it is a folder")


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        FileNotFoundError: its folder does not exist.
        IsADirectoryError: the path is that of a folder.
        OSError: it cannot be written.
    """
    check_writable(path)
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{uuid4().hex[:8]}{PARTIAL}")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def as_json(content: object, *, sort_keys: bool = True) -> bytes:
    """Plain data as a JSON file: equal data give equal bytes."""
    return (json.dumps(content, indent=1, sort_keys=sort_keys) + "\n").encode()


def digest(content: object) -> str:
    """The SHA-256 digest of bytes, or of plain data as JSON, in hexadecimal digits."""
    if not isinstance(content, bytes):
        content = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()
