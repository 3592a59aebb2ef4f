"""The sweeps that were run into a store. Two versions of one, with different trials, are kept apart."""

import itertools
from typing import NamedTuple

from widthwise.errors import RequestError
from widthwise.experiments.store_files import StoreFiles, versioned
from widthwise.experiments.sweep import SCALES, Scale, Sweep
from widthwise.experiments.user_code import without_folders
from widthwise.files import as_json

VERSION = "@"
"""Precedes, in a file's name, the digest of an earlier version's trials."""


class StoredSweep(NamedTuple):
    """A sweep that was run into a store. `version` is a digest if another version of it was run later."""

    sweep: Sweep
    scale: Scale
    version: str = ""


def add_sweep(files: StoreFiles, sweep: Sweep, scale: Scale) -> None:
    """Record that a sweep was run. Another version, with other trials, stays under a name with its digest."""
    name = f"sweeps/{sweep.name}.{scale}.json"
    plain = versioned({"sweep": without_folders(sweep.model_dump(mode="json", exclude_unset=True))})
    content = as_json(plain, sort_keys=False)  # named series keep their order
    before = files.read(name) if files.has(name) else content
    if before != content:
        earlier = _sweep(files, name).digest(scale)
        if earlier != sweep.digest(scale):
            files.write(f"sweeps/{sweep.name}{VERSION}{earlier}.{scale}.json", before)
        files.remove(f"sweeps/{sweep.name}{VERSION}{sweep.digest(scale)}.{scale}.json")
    files.write(name, content)


def stored_sweeps(files: StoreFiles) -> list[StoredSweep]:
    """The sweeps that were run, with their scales.

    Raises:
        RequestError: a sweep's file is damaged, or has another format.
    """
    found = []
    for file, scale in itertools.product(files.names("sweeps"), SCALES):
        if file.endswith(f".{scale}.json"):
            name = file.rpartition("/")[2].removesuffix(f".{scale}.json")
            found.append(StoredSweep(_sweep(files, file), scale, name.partition(VERSION)[2]))
    return found


def _sweep(files: StoreFiles, name: str) -> Sweep:
    try:
        return Sweep.model_validate(files.read_json(name)["sweep"])
    except RequestError:  # another format is no damage
        raise
    except (ValueError, KeyError):
        raise RequestError(f"{files.path(name)} is damaged; delete it and run the experiment again") from None
