"""The store: a folder, or any fsspec URL, of finished trials.

    DIR/store.json                marks the folder as a store
    DIR/sweeps/NAME.SCALE.json    the sweeps that were run into it
               NAME@DIGEST.SCALE.json    another version of one, with other trials, that was run before
    DIR/trials/ID/trial.json      the resolved trial, and the environment that it ran in
                  network.safetensors, history.parquet, layers.parquet, ablation.parquet, correlation.parquet
                  network-epoch-N.safetensors, epochs.parquet: of epochs that the trial keeps besides
                  damaged.parquet: images that could not be decoded, and why
                  checkpoint.safetensors: where an unfinished trial goes on
                  outcome.json    written last: a trial without it is not finished, and is never read
    DIR/data/NAME.json            which files of images the trials were trained on

`outcome.json` holds the size and the digest of every other file, and its own digest, so that damage is noticed. The
network, which can be large, is checked by its size when trials are looked over, and by its digest when it is loaded.
"""

import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from fsspec.implementations.local import LocalFileSystem

from widthwise.errors import RequestError
from widthwise.experiments.sweep import SCALES, Scale, Sweep
from widthwise.experiments.trial import Trial
from widthwise.experiments.user_code import without_folders
from widthwise.files import PARTIAL, as_json, digest, write_whole

PROGRAM, FORMAT = "widthwise", 2
NETWORK = "network.safetensors"
CHECKPOINT = "checkpoint.safetensors"
READERS = 8
VERSION = "@"


@dataclass(frozen=True)
class Outcome:
    """What a trial gave.

    status: `trained`; `diverged` where the loss stopped being finite, and the network is not kept or measured; or
        `counted`, where it was not to be trained.
    results: single numbers by name, such as `test_accuracy`.
    tables: `history` and, of a trained network, `layers`, `ablation` and `correlation`.
    network: the parameters by name.
    kept: those of other epochs that the trial keeps.
    data: which images, in a phrase; empty for data that was drawn.
    """

    status: Literal["trained", "diverged", "counted"]
    results: dict[str, float | int | bool]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    network: dict[str, np.ndarray] = field(default_factory=dict)
    kept: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    data: str = ""


@dataclass(frozen=True)
class Inspection:
    """Trials by id: those finished, with their outcome's content, and those damaged, with what is wrong."""

    finished: dict[str, dict[str, Any]]
    damaged: dict[str, str]


class StoredSweep(NamedTuple):
    """A sweep that was run into a store. `version` is a digest where another version of it was run later."""

    sweep: Sweep
    scale: Scale
    version: str = ""


class Store:
    """Finished trials at `location`, a folder or an fsspec URL.

    Raises:
        RequestError: the place holds other files than a store's, or a store of another format.
    """

    def __init__(self, location: str | os.PathLike[str]):
        self.location = str(location)
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.location)
        except (ValueError, ImportError) as error:
            raise RequestError(f"the store {self.location} cannot be reached: {error}") from None
        self._local = isinstance(self._files, LocalFileSystem)
        marker = f"{self._root}/store.json"
        if self._files.isfile(self._root):
            raise RequestError(f"the store {self.location} is a file; name a folder")
        if self._files.exists(marker):
            try:
                found = json.loads(self._files.cat_file(marker))
            except ValueError:
                found = {}
            if not isinstance(found, dict) or (found.get("program"), found.get("format")) != (PROGRAM, FORMAT):
                raise RequestError(f"{marker} is not that of a store that this version reads; name another folder")
        elif self._files.exists(self._root) and not all(map(_is_partial, self._files.ls(self._root, detail=False))):
            raise RequestError(
                f"the folder {self.location} holds files that are no store's; name a new or an empty folder"
            )

    @property
    def exists(self) -> bool:
        """Whether anything has been written to it."""
        return self._files.exists(f"{self._root}/store.json")

    def path(self, name: str) -> str:
        """The full path of something in the store."""
        return f"{self._root}/{name}"

    def prepare(self) -> None:
        """Make it ready to be written to.

        Raises:
            RequestError: it is not writable.
        """
        try:
            self.write("store.json", json.dumps({"program": PROGRAM, "format": FORMAT}).encode())
        except OSError as error:
            reason = error.strerror or str(error)
            raise RequestError(
                f"the store {self.location} cannot be written to ({reason}); name another folder"
            ) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        path = self.path(name)
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._local:
            write_whole(path, content)
        else:
            self._files.pipe_file(path, content)  # object stores put a file in place when all of it has arrived

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return self._files.exists(self.path(name))

    def read(self, name: str) -> bytes:
        """A file's content."""
        return self._files.cat_file(self.path(name))

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        if self.has(name):
            self._files.rm_file(self.path(name))

    def save(self, trial: Trial, outcome: Outcome, environment: Mapping[str, str]) -> None:
        """Keep a finished trial."""
        data = {"data": outcome.data} if outcome.data else {}
        trial_file = {**trial.record(), "environment": {**environment, **data}}
        files = {"trial.json": as_json(trial_file)}
        files |= {f"{name}.parquet": _parquet(table) for name, table in outcome.tables.items()}
        if outcome.network:
            files[NETWORK] = safetensors.numpy.save(outcome.network)
        for epoch, network in outcome.kept.items():
            files[f"network-epoch-{epoch}.safetensors"] = safetensors.numpy.save(network)
        for name, content in files.items():
            self.write(f"trials/{trial.id}/{name}", content)
        digests = {name: {"bytes": len(content), "sha256": digest(content)} for name, content in files.items()}
        content = {"trial": trial.id, "status": outcome.status, "results": outcome.results, "files": digests}
        self.write(f"trials/{trial.id}/outcome.json", as_json({**content, "sha256": digest(as_json(content))}))
        for path in self._files.ls(self.path(f"trials/{trial.id}"), detail=False):
            if path.endswith(CHECKPOINT) or _is_partial(path):
                self._files.rm_file(path)

    def checkpoint_of(self, identity: str) -> str:
        """The name of the file with which an unfinished trial goes on."""
        return f"trials/{identity}/{CHECKPOINT}"

    def data_files(self, name: str) -> str | None:
        """The fingerprint of the files of the data set `name` that trials were trained on, if there are any."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            return str(json.loads(self.read(f"data/{name}.json"))["fingerprint"])
        return None

    def add_data_files(self, name: str, fingerprint: str) -> None:
        """Note which files of the data set `name` trials are trained on."""
        self.write(f"data/{name}.json", as_json({"fingerprint": fingerprint}))

    def inspect(self, trials: Iterable[Trial]) -> Inspection:
        """Which of `trials` are finished and whole, and which are damaged."""
        unique = {trial.id: trial for trial in trials}
        present = set()
        if self._files.exists(self.path("trials")):
            present = {entry.rpartition("/")[2] for entry in self._files.ls(self.path("trials"), detail=False)}
        candidates = [trial for identity, trial in unique.items() if identity in present]
        finished, damaged = {}, {}
        for trial, result in zip(candidates, self._each(self._inspect, candidates), strict=True):
            if isinstance(result, str):
                damaged[trial.id] = result
            elif result is not None:
                finished[trial.id] = result
        return Inspection(finished, damaged)

    def outcome_digests(self, trials: Iterable[Trial]) -> dict[str, str]:
        """The digests of the outcomes of those `trials` that have one, by id. Nothing else of them is read."""
        paths = {trial.id: self.path(f"trials/{trial.id}/outcome.json") for trial in trials}
        found = {}
        for identity, path in paths.items():
            with suppress(FileNotFoundError):
                found[identity] = digest(self._files.cat_file(path))
        return found

    def _inspect(self, trial: Trial) -> dict[str, Any] | str | None:
        """A finished trial's outcome, what is wrong with a damaged one, or None where it is not finished."""
        folder = f"trials/{trial.id}"
        try:
            outcome = json.loads(self.read(f"{folder}/outcome.json"))
            expected = outcome.pop("sha256")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return "outcome.json is not readable"
        if expected != digest(as_json(outcome)):
            return "outcome.json was changed after the trial ended"
        if outcome["trial"] != trial.id:
            return f"it is a copy of trial {outcome['trial']}"
        try:
            for name, about in outcome["files"].items():
                size = self._files.size(self.path(f"{folder}/{name}"))
                if size != about["bytes"]:
                    return f"{name} has {size} bytes in place of {about['bytes']}"
                if not name.endswith(".safetensors") and digest(self.read(f"{folder}/{name}")) != about["sha256"]:
                    return f"{name} was changed after the trial ended"
        except FileNotFoundError as error:
            return f"{(error.filename or str(error)).rpartition('/')[2]} is missing"
        return outcome

    def discard(self, identity: str) -> None:
        """Make a trial unfinished: it loses its outcome first, then the rest."""
        folder = self.path(f"trials/{identity}")
        if self._files.exists(f"{folder}/outcome.json"):
            self._files.rm_file(f"{folder}/outcome.json")
        self._files.rm(folder, recursive=True)

    def table(self, identity: str, name: str) -> pd.DataFrame:
        """One of a trial's tables: `history`, `layers`, `ablation` or `correlation`."""
        return pq.read_table(io.BytesIO(self.read(f"trials/{identity}/{name}.parquet"))).to_pandas()

    def stacked(self, identities: Iterable[str], name: str) -> pd.DataFrame:
        """The same table of many trials, one below the other, with the trial's id in the column `trial`."""

        def read(identity: str) -> pa.Table:
            table = pq.read_table(io.BytesIO(self.read(f"trials/{identity}/{name}.parquet")), use_threads=False)
            return table.append_column("trial", pa.array([identity] * len(table), pa.string()))

        tables = self._each(read, list(identities))
        return pa.concat_tables(tables, promote_options="default").to_pandas()  # once, which takes longer than reading

    def _each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """`function` of each: in threads where files come over a network, which on a disk wait for each other."""
        if self._local:
            return [function(item) for item in items]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(function, items))

    def environment(self, identity: str) -> dict[str, str]:
        """Where a trial ran: versions, device, commit."""
        return json.loads(self.read(f"trials/{identity}/trial.json"))["environment"]

    def trial(self, identity: str) -> Trial:
        """A trial by its id."""
        name = f"trials/{identity}/trial.json"
        return Trial.from_record(json.loads(self.read(name)), self.path(name))

    def network(self, identity: str) -> dict[str, np.ndarray]:
        """A trained network's parameters by name.

        Raises:
            ValueError: the file is not the one that the trial wrote.
        """
        content = self.read(f"trials/{identity}/{NETWORK}")
        outcome = json.loads(self.read(f"trials/{identity}/outcome.json"))
        if digest(content) != outcome["files"][NETWORK]["sha256"]:
            raise ValueError(f"{NETWORK} of trial {identity} was changed after the trial ended")
        return safetensors.numpy.load(content)

    def add_sweep(self, sweep: Sweep, scale: Scale) -> None:
        """Note that `sweep` was run into this store.

        Another version of it, one with other trials, is kept under a name with its digest.
        """
        name = f"sweeps/{sweep.name}.{scale}.json"
        plain = without_folders(sweep.model_dump(mode="json", exclude_unset=True))
        content = (json.dumps(plain, indent=1) + "\n").encode()  # named series keep their order
        before = self.read(name) if self.has(name) else content
        if before != content:
            earlier = self._sweep(self.path(name)).digest(scale)
            if earlier != sweep.digest(scale):
                self.write(f"sweeps/{sweep.name}{VERSION}{earlier}.{scale}.json", before)
            again = f"sweeps/{sweep.name}{VERSION}{sweep.digest(scale)}.{scale}.json"
            if self.has(again):
                self._files.rm_file(self.path(again))
        self.write(name, content)

    def sweeps(self) -> list[StoredSweep]:
        """The sweeps that were run into this store, with their scales.

        Raises:
            RequestError: a sweep's file is damaged.
        """
        folder = self.path("sweeps")
        names = sorted(self._files.ls(folder, detail=False)) if self._files.exists(folder) else []
        found = []
        for path, scale in itertools.product(names, SCALES):
            if path.endswith(f".{scale}.json"):
                name = path.rpartition("/")[2].removesuffix(f".{scale}.json")
                found.append(StoredSweep(self._sweep(path), scale, name.partition(VERSION)[2]))
        return found

    def _sweep(self, path: str) -> Sweep:
        try:
            return Sweep.model_validate_json(self._files.cat_file(path))
        except ValueError:
            raise RequestError(f"{path} is damaged; delete it and run the experiment again") from None


def _is_partial(path: str) -> bool:
    """Whether it is what a killed process left of a file that it was writing."""
    return path.endswith(PARTIAL)


def _parquet(table: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), sink)
    return sink.getvalue()
