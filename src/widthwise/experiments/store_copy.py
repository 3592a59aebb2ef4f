"""Copying what was run from one store to another, with the trained networks or without them."""

import os
from dataclasses import dataclass, field

from widthwise.errors import RequestError
from widthwise.experiments.store import Store
from widthwise.experiments.stored_trials import OUTCOME, inspected, sealed


@dataclass
class Copied:
    """What `copy_store` did, by the ids of trials.

    copied: those that the destination holds now and did not before.
    found: those that it held already, which stay as they are.
    damaged: those that were left out, with their damage.
    """

    copied: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)


def copy_store(source: str | os.PathLike[str], destination: str | os.PathLike[str], *, networks: bool = True) -> Copied:
    """Copy the finished trials and the sweeps of a store to another one, which may hold some of its own.

    Without networks a trial takes some tens of kilobytes: a store that can be committed, and that a later run adds to.
    Its trials count as finished, and reports are drawn from it; their networks can no longer be loaded.

    Args:
        source: the store to copy from, a folder or an fsspec URL.
        destination: the store to copy to; made where there is none. A trial that it holds already stays as it is.
        networks: copy the trained networks, too.

    Raises:
        RequestError: there is no store at `source`, or it is `destination`; `destination` holds other files than a
            store's, or trials on other data files.
    """
    origin, copy = Store(source), Store(destination)
    if not origin.exists:
        raise RequestError(f"there is no store at {origin.location}")
    if origin.path("") == copy.path(""):
        raise RequestError(f"{copy.location} is the store itself; name another folder")
    sweeps = origin.sweeps()
    data = _data_files(origin, copy)
    copy.prepare()
    for name, fingerprint in data.items():
        copy.add_data_files(name, fingerprint)
    result = Copied()
    for folder in origin.names("trials"):
        _copy_trial(origin, copy, folder.rpartition("/")[2], networks, result)
    for stored in sorted(sweeps, key=lambda each: not each.version):  # an earlier version first, the current one last
        copy.add_sweep(stored.sweep, stored.scale)
    return result


def _data_files(origin: Store, copy: Store) -> dict[str, str]:
    """The fingerprints of the origin's data files, by the name of the data set."""
    found = {}
    for file in origin.names("data"):
        name = file.rpartition("/")[2].removesuffix(".json")
        mine, theirs = origin.data_files(name), copy.data_files(name)
        if mine is not None and theirs not in (None, mine):
            raise RequestError(
                f"{copy.location} has trials on other files of {name} than {origin.location}; name another store"
            )
        if mine is not None:
            found[name] = mine
    return found


def _copy_trial(origin: Store, copy: Store, identity: str, networks: bool, result: Copied) -> None:
    outcome = inspected(origin, identity)
    if isinstance(outcome, str):
        result.damaged[identity] = outcome
    if not isinstance(outcome, dict):
        return
    held = inspected(copy, identity)
    if isinstance(held, dict):
        result.found.append(identity)
        return
    if held is not None:
        copy.discard(identity)
    folder = f"trials/{identity}"
    files = {name: about for name, about in outcome["files"].items() if networks or not name.endswith(".safetensors")}
    for name in files:
        copy.write(f"{folder}/{name}", origin.read(f"{folder}/{name}"))
    copy.write(f"{folder}/{OUTCOME}", sealed({**outcome, "files": files}))
    result.copied.append(identity)
