"""Train and measure one network: a trial by itself, kept in a store."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from widthwise.errors import RequestError
from widthwise.execution.counting import is_counted
from widthwise.execution.machine import Machine
from widthwise.execution.runner import run_trials
from widthwise.experiments.single_trial import own_data, single_trial
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial
from widthwise.progress import OnProgress, unseen


@dataclass(frozen=True)
class Trained:
    """A trial that was trained and measured.

    trial, id: the trial, and its name in the store.
    folder: the path of the trial in the store.
    status: `trained` or `diverged`.
    results: single numbers, such as `test_accuracy`.
    history: one row per epoch: `epoch`, `learning_rate`, `train_loss`, `train_accuracy`, `validation_loss`,
        `validation_accuracy` and `seconds` since the training began.
    layers: the two measures of each layer, as in `Profile.layers`; empty if the training diverged.
    found: whether the store already held the trial.
    """

    trial: Trial
    id: str
    folder: str
    status: str
    results: dict[str, float | int | bool]
    history: pd.DataFrame
    layers: pd.DataFrame
    found: bool


def train(
    network: str | Trial,
    width_factor: float = 1.0,
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    store: str | os.PathLike[str] = "runs",
    *,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    machine: Machine = Machine(),
    on_progress: OnProgress = unseen,
) -> Trained:
    """Train and measure one network as the paper does, or continue an interrupted training.

    Args:
        network: `mlp`, `alexnet`, `resnet56`, `resnet18` or `inception-v3`; a function of your own, `FILE.py:FUNCTION`;
            or a `Trial`, which already has its `width_factor`, `settings` and `seed`.
        width_factor: multiplies the units of every layer.
        data: the images, a path or `hub:OWNER/NAME`; a function of your own, `FILE.py:FUNCTION`; or several of these
            (see `Machine.data`). An MLP needs none.
        store: a folder or an fsspec URL. A trial that it holds finished is not run again.
        settings: fields of the trial by path and their values, such as `{"training.epochs": 20}`.
        seed: the seed of the initial weights, the order of examples, the measurement's draws, and the data.
        machine: the device, and the number of processes.
        on_progress: receives the training's progress: `training` events, whose `done` and `total` are epochs, and one
            `trials` event before and after it.

    Returns:
        The trial with its results.

    Raises:
        RequestError: the request cannot be met as it is.
        TrialError: the work failed; the same call continues from the last checkpoint.
    """
    words = [] if data is None else [data] if isinstance(data, (str, os.PathLike)) else data
    function, files = own_data([os.fspath(word) for word in words])
    if isinstance(network, Trial):
        if function is not None:
            raise RequestError(f"a trial already names its data, so it cannot be {function}", field="data")
        trial = network
    else:
        trial = single_trial(network, width_factor, settings, seed, data=function)
    if is_counted(trial):
        problem = "with 0 there is nothing to train; a dry run counts parameters and arithmetic"
        raise RequestError(problem, field="training.epochs")
    target = Store(store)
    target.prepare()
    if files:
        machine = replace(machine, data=files)
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
