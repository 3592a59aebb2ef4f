"""The files of a store: in a folder or at any fsspec URL, written whole, all of one format.

`store.json` marks the folder as a store and records the format of its files and the version of the program that wrote
it last. Every other file carries the format, too: JSON under `format`, Parquet and safetensors in their metadata.
"""

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, TypeVar

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from fsspec.implementations.local import LocalFileSystem

from widthwise.errors import RequestError
from widthwise.files import PARTIAL, as_json, write_whole

PROGRAM, FORMAT = "widthwise", 2
"""The format grows with every change to what the files hold; a store of another format is not read."""
MARKER = "store.json"
IN_METADATA = f"{PROGRAM}.format"
"""The key of the format in the metadata of Parquet and safetensors files."""
READERS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


class StoreFiles:
    """The files of a store at `location`, a folder or an fsspec URL. A name is a path within it.

    Raises:
        RequestError: the location cannot be reached, or holds other files than a store's, or a store of another format.
    """

    def __init__(self, location: str | os.PathLike[str]):
        self.location = str(location)
        try:
            self._system, self._root = fsspec.core.url_to_fs(self.location)
        except (ValueError, ImportError) as error:
            raise self._refused(f"cannot be reached: {error}") from None
        self._local = isinstance(self._system, LocalFileSystem)
        if self._system.isfile(self._root):
            raise self._refused("is a file; name a folder")
        if self.exists:
            self._check_marker()
        elif self._system.exists(self._root) and not all(map(_is_partial, self._system.ls(self._root, detail=False))):
            raise self._refused("holds files that are no store's; name a new or an empty folder")

    def _refused(self, problem: str) -> RequestError:
        return RequestError(f"{self.location} {problem}", field="store")

    def _check_marker(self) -> None:
        try:
            marker = json.loads(self.read(MARKER))
        except ValueError:
            marker = {}
        found = marker.get("format") if isinstance(marker, dict) and marker.get("program") == PROGRAM else None
        if not isinstance(found, int):
            raise self._refused(
                f"has a {MARKER} that is not that of a store that this version reads; name another folder"
            )
        if found != FORMAT:
            writer = f"{PROGRAM} {marker['version']}" if "version" in marker else f"an earlier version of {PROGRAM}"
            raise self._refused(
                f"has format {found}, written by {writer}; this version, {version(PROGRAM)}, reads format {FORMAT}: "
                "name another folder, or use that version for this store"
            )

    @property
    def exists(self) -> bool:
        """Whether anything has been written to it."""
        return self.has(MARKER)

    def path(self, name: str) -> str:
        """The full path of something in the store."""
        return f"{self._root}/{name}"

    def prepare(self) -> None:
        """Prepare the store for writing.

        Raises:
            RequestError: the store is not writable.
        """
        marker = {"program": PROGRAM, "format": FORMAT, "version": version(PROGRAM)}
        try:
            self.write(MARKER, as_json(marker))
        except OSError as error:
            reason = error.strerror or str(error)
            raise self._refused(f"cannot be written to ({reason}); name another folder") from None

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        return self._system.exists(self.path(name))

    def names(self, folder: str) -> list[str]:
        """The names of a folder's files and folders, in order; none if it does not exist."""
        if not self.has(folder):
            return []
        return sorted(
            f"{folder}/{each.rpartition('/')[2]}" for each in self._system.ls(self.path(folder), detail=False)
        )

    def size(self, name: str) -> int:
        """A file's size in bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._system.size(self.path(name))

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._system.cat_file(self.path(name))

    def read_json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file that carries its format.

        Raises:
            FileNotFoundError: there is none.
            RequestError: it has another format.
            ValueError: it is damaged.
        """
        content = json.loads(self.read(name))
        found = content.get("format") if isinstance(content, dict) else None
        if not isinstance(found, int):
            raise ValueError(f"{name} is damaged")
        if found != FORMAT:
            raise self._refused(f"holds {name} in format {found}, and this version reads format {FORMAT}")
        return content

    def write_json(self, name: str, content: Mapping[str, object]) -> None:
        """Write plain data with its format, as `read_json` reads it."""
        self.write(name, as_json(versioned(content)))

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        path = self.path(name)
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._local:
            write_whole(path, content)
        else:
            self._system.pipe_file(path, content)  # object stores put a file in place when all of it has arrived

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        if self.has(name):
            self._system.rm_file(self.path(name))

    def remove_folder(self, name: str) -> None:
        """Remove a folder and all that is in it."""
        self._system.rm(self.path(name), recursive=True)

    def remove_partial(self, folder: str) -> None:
        """Remove the incomplete files that killed processes left behind."""
        for name in filter(_is_partial, self.names(folder)):
            self.remove(name)

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`function` of each item, in threads if files come over a network; on a disk threads wait for each other."""
        if self._local:
            return [function(item) for item in items]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(function, items))


def versioned(content: Mapping[str, object]) -> dict[str, object]:
    """Plain data with the version of its format."""
    return {"format": FORMAT, **content}


def parquet(table: pd.DataFrame) -> bytes:
    """A table as a Parquet file."""
    content = pa.Table.from_pandas(table, preserve_index=False)
    sink = io.BytesIO()
    pq.write_table(content.replace_schema_metadata({**(content.schema.metadata or {}), IN_METADATA: str(FORMAT)}), sink)
    return sink.getvalue()


def safetensors_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as a safetensors file."""
    return safetensors.numpy.save(dict(arrays), metadata={IN_METADATA: str(FORMAT)})


def _is_partial(path: str) -> bool:
    return path.endswith(PARTIAL)
