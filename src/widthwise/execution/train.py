"""Train and measure one network: a trial by itself, kept in a store."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from widthwise.errors import RequestError
from widthwise.execution.counting import is_counted
from widthwise.execution.machine import Machine
from widthwise.execution.runner import run_trials
from widthwise.experiments.settings import assigned, nested, overlaid, resolved
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial
from widthwise.progress import OnProgress, unseen


@dataclass(frozen=True)
class Trained:
    """A trial that was trained and measured.

    trial, id: which trial, and its name in the store.
    folder: where the store keeps it.
    status: `trained` or `diverged`.
    results: single numbers, such as `test_accuracy`.
    history: a row an epoch: `epoch`, `learning_rate`, `train_loss`, `train_accuracy`, `validation_loss`,
        `validation_accuracy` and `seconds` since the training began.
    layers: the two measures of each layer, as `Profile.layers`; empty if the training diverged.
    found: whether the store had it already.
    """

    trial: Trial
    id: str
    folder: str
    status: str
    results: dict[str, float | int | bool]
    history: pd.DataFrame
    layers: pd.DataFrame
    found: bool


GIVEN_OTHERWISE = {"network.name": "network", "network.width_factor": "width_factor", "seed": "seed"}
"""Fields that are arguments, by the argument."""


def single_trial(network: str, width_factor: float = 1.0, assignments: Sequence[str] = (), seed: int = 0) -> Trial:
    """The trial that trains one network as the paper does, but for what is set as `PATH=VALUE`.

    Raises:
        RequestError: there is no such network, or an assignment is malformed, names no field or does not fit.
    """
    content: dict[str, Any] = {"network": {"name": network, "width_factor": width_factor}, "seed": seed}
    for path, value in assigned(assignments).items():
        if path in GIVEN_OTHERWISE:
            raise RequestError(f"it is given as {GIVEN_OTHERWISE[path]}", field=path)
        content = overlaid(content, nested(path, value))
    content = overlaid({"data": {"seed": content["seed"]}}, content)
    return resolved(content, "--set" if assignments else f"the network {network!r}")


def train(
    network: str | Trial,
    width_factor: float = 1.0,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    store: str | os.PathLike[str] = "runs",
    *,
    assignments: Sequence[str] = (),
    seed: int = 0,
    machine: Machine = Machine(),
    on_progress: OnProgress = unseen,
) -> Trained:
    """Train and measure one network as the paper does, or continue it where it was interrupted.

    Args:
        network: `mlp`, `alexnet`, `resnet56`, `resnet18` or `inception-v3`; or a trial of one's own, which says all
            that `width_factor`, `assignments` and `seed` do.
        width_factor: multiplies the units of every layer.
        data: where the images are, a path or `hub:OWNER/NAME`; or several such words (`Machine.data`). An MLP needs
            none.
        store: a folder or an fsspec URL. A trial that it holds finished is not run again.
        assignments: fields of the trial, set as `PATH=VALUE`, such as `training.epochs=20`.
        seed: of the initial weights, the order of examples and the measurement's draws, and of the data.
        machine: the device, and how many processes share it.
        on_progress: receives the training's progress: `training` events, whose `done` and `total` are epochs, and one
            `trials` event before and after it.

    Returns:
        The trial with its results.

    Raises:
        RequestError: the request cannot be met as it is.
        TrialError: the work failed; the same call continues from the last checkpoint.
    """
    trial = network if isinstance(network, Trial) else single_trial(network, width_factor, assignments, seed)
    if is_counted(trial):
        problem = "with 0 there is nothing to train; a dry run counts parameters and arithmetic"
        raise RequestError(problem, field="training.epochs")
    target = Store(store)
    target.prepare()
    if data is not None:
        words = [data] if isinstance(data, (str, os.PathLike)) else data
        machine = replace(machine, data=tuple(os.fspath(word) for word in words))
    done = run_trials([trial], target, workers=0, machine=machine, on_progress=on_progress)
    outcome = target.inspect([trial]).finished[trial.id]
    trained = outcome["status"] == "trained"
    return Trained(
        trial=trial,
        id=trial.id,
        folder=target.path(f"trials/{trial.id}"),
        status=outcome["status"],
        results=outcome["results"],
        history=target.table(trial.id, "history"),
        layers=target.table(trial.id, "layers") if trained else pd.DataFrame(),
        found=done.found == 1,
    )
