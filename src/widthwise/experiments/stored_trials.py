"""A finished trial as files, and the check that they are unchanged.

`outcome.json` holds the size and the digest of every other file of the trial, and its own digest, so that damage is
noticed. The network, which can be large, is checked by its size here, and by its digest when it is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from widthwise.errors import RequestError
from widthwise.experiments.store_files import StoreFiles, parquet, safetensors_file, versioned
from widthwise.experiments.trial import Trial
from widthwise.files import as_json, digest

TRIAL, OUTCOME = "trial.json", "outcome.json"
NETWORK = "network.safetensors"


@dataclass(frozen=True)
class Outcome:
    """The result of a trial.

    status: `trained`; `diverged` if the loss stopped being finite, and the network is not kept or measured; or
        `counted` if it was not to be trained.
    results: single numbers by name, such as `test_accuracy`.
    tables: `history` and, of a trained network, those of its profile that are kept.
    network: the parameters by name.
    kept: the parameters of other epochs that the trial keeps.
    data: the images, in a phrase; empty for data that was drawn.
    """

    status: Literal["trained", "diverged", "counted"]
    results: dict[str, float | int | bool]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    network: dict[str, np.ndarray] = field(default_factory=dict)
    kept: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    data: str = ""


@dataclass(frozen=True)
class Inspection:
    """Trials by id: the finished ones with the content of their `outcome.json`, the damaged ones with the damage."""

    finished: dict[str, dict[str, Any]]
    damaged: dict[str, str]


def as_files(trial: Trial, outcome: Outcome, environment: Mapping[str, str]) -> dict[str, bytes]:
    """The files of a finished trial, by name, in the order in which they are written: its outcome last."""
    data = {"data": outcome.data} if outcome.data else {}
    about = {**trial.record(), "environment": {**environment, **data}}
    files = {TRIAL: as_json(versioned(about))}
    files |= {f"{name}.parquet": parquet(table) for name, table in outcome.tables.items()}
    if outcome.network:
        files[NETWORK] = safetensors_file(outcome.network)
    for epoch, network in outcome.kept.items():
        files[f"network-epoch-{epoch}.safetensors"] = safetensors_file(network)
    digests = {name: {"bytes": len(content), "sha256": digest(content)} for name, content in files.items()}
    summary = {"trial": trial.id, "status": outcome.status, "results": outcome.results, "files": digests}
    return {**files, OUTCOME: sealed(versioned(summary))}


def sealed(outcome: Mapping[str, object]) -> bytes:
    """The file of an outcome, with its own digest."""
    return as_json({**outcome, "sha256": digest(as_json(outcome))})


def inspected(files: StoreFiles, identity: str) -> dict[str, Any] | str | None:
    """The outcome of a finished trial, the damage of a damaged one, or None if it is not finished.

    Raises:
        RequestError: its files have another format.
    """
    folder = f"trials/{identity}"
    try:
        outcome = files.read_json(f"{folder}/{OUTCOME}")
        expected = outcome.pop("sha256")
    except FileNotFoundError:
        return None
    except RequestError:  # another format is no damage
        raise
    except (ValueError, KeyError):
        return f"{OUTCOME} is not readable"
    if expected != digest(as_json(outcome)):
        return f"{OUTCOME} was changed after the trial ended"
    if outcome["trial"] != identity:
        return f"it is a copy of trial {outcome['trial']}"
    try:
        for name, about in outcome["files"].items():
            size = files.size(f"{folder}/{name}")
            if size != about["bytes"]:
                return f"{name} has {size} bytes in place of {about['bytes']}"
            if not name.endswith(".safetensors") and digest(files.read(f"{folder}/{name}")) != about["sha256"]:
                return f"{name} was changed after the trial ended"
    except FileNotFoundError as error:
        return f"{(error.filename or str(error)).rpartition('/')[2]} is missing"
    return outcome
