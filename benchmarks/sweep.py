"""The paper's first sweep, trained and measured by this package and by a plain loop.

    python -m benchmarks.sweep [--experiment mlp10-initialization] [--scale paper]

The plain loop is what a competent user writes: one network after the other, `torch.optim` over mini-batches, forward
hooks and a full pass of the test set for each level and sampling of the ablation curve, `numpy.corrcoef`. It keeps
its results in memory; the package also writes them to a store. Both run in this process; the package once more as its
command does, in a process for each processor.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from widthwise.data.dataset import Split
from widthwise.data.source import TeacherData
from widthwise.data.teacher import teacher_data
from widthwise.execution.runner import run_trials
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.experiments.trial import Trial

BAR, AIM = 3, 5


def train_and_measure(trial: Trial) -> dict[str, float]:
    """One trial, the plain way."""
    assert isinstance(trial.data, TeacherData)
    data = teacher_data(trial.data)
    (train, labels), (validation, validation_labels), (test, test_labels) = map(
        whole, (data.train, data.validation, data.test)
    )
    assert isinstance(train, torch.Tensor)
    assert isinstance(validation, torch.Tensor)
    assert isinstance(test, torch.Tensor)
    units = int(128 * trial.network.width_factor)
    torch.manual_seed(trial.seed)
    hidden, output = nn.Linear(trial.data.dimensions, units), nn.Linear(units, 2)
    for layer in (hidden, output):
        nn.init.normal_(layer.weight, 0, trial.initialization.standard_deviation or 0.0)
        nn.init.zeros_(layer.bias)
    network = nn.Sequential(hidden, nn.ReLU(), output)
    recipe = trial.training
    optimizer = torch.optim.SGD(network.parameters(), recipe.learning_rate, momentum=recipe.momentum)
    loss_function = nn.CrossEntropyLoss()
    history = []
    for _ in range(recipe.epochs):
        total = 0.0
        for examples in torch.randperm(len(train)).split(recipe.batch_size):
            optimizer.zero_grad()
            loss = loss_function(network(train[examples]), labels[examples])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(examples)
        with torch.no_grad():
            logits = network(validation)
            accuracy = (logits.argmax(1) == validation_labels).double().mean().item()
            history.append((total / len(train), loss_function(logits, validation_labels).item(), accuracy))
    with torch.no_grad():
        return {
            "train_accuracy": (network(train).argmax(1) == labels).double().mean().item(),
            "test_accuracy": (network(test).argmax(1) == test_labels).double().mean().item(),
            **measure(network, test, trial),
        }


def whole(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """All inputs and labels of a split."""
    inputs, labels = next(iter(split.batches(len(split))))
    assert isinstance(inputs, torch.Tensor)
    return inputs, labels


def measure(network: nn.Sequential, inputs: torch.Tensor, trial: Trial) -> dict[str, float]:
    """AUC and similarity of the hidden layer by hooks, full passes and `numpy.corrcoef`."""
    settings = trial.measurement
    kept: list[torch.Tensor] = []
    hook = network[1].register_forward_hook(lambda *called: kept.append(called[-1]))
    labels = network(inputs).argmax(1)
    hook.remove()
    activity = kept[0].double().numpy()
    varying = activity.std(axis=0) > 0
    correlations = np.abs(np.corrcoef(activity[:, varying].T)) if varying.sum() > 1 else np.ones((1, 1))
    similarity = ((correlations >= settings.threshold).sum() - len(correlations)) / activity.shape[1]
    np.histogram(correlations[np.triu_indices(len(correlations), 1)], 50, range=(0, 1))
    shares = np.linspace(0, 1, settings.levels)
    areas = []
    for _ in range(settings.samplings):
        curve = []
        for share in shares:

            def drop(module: nn.Module, given: object, output: torch.Tensor, share: float = share) -> torch.Tensor:
                dropped = torch.rand_like(output).argsort(1)[:, : round(share * output.shape[1])]
                return output.scatter(1, dropped, 0.0)

            hook = network[1].register_forward_hook(drop)
            curve.append((network(inputs).argmax(1) == labels).double().mean().item())
            hook.remove()
        areas.append(np.trapezoid(curve, shares))
    return {"auc": float(np.mean(areas)), "similarity": float(similarity)}


def ours(trials: Sequence[Trial], workers: int | None) -> tuple[float, pd.DataFrame]:
    """Seconds for the package to train, measure and store `trials`, and their results."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.prepare()
        started = time.perf_counter()
        run_trials(trials, store, workers)
        seconds = time.perf_counter() - started
        finished = store.inspect(trials).finished
        rows = []
        for trial in trials:
            layer = store.table(trial.id, "layers").iloc[0]
            results = finished[trial.id]["results"]
            measures = {name: results[name] for name in ("train_accuracy", "test_accuracy")}
            rows.append({**measures, "auc": layer["auc"], "similarity": layer["similarity"]})
    return seconds, pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="mlp10-initialization")
    parser.add_argument("--scale", default="paper")
    arguments = parser.parse_args()
    trials = Sweep.load(arguments.experiment).trials(arguments.scale)
    print(f"{arguments.experiment}, scale {arguments.scale}: {len(trials)} trainings, each measured")

    train_and_measure(trials[0])  # what is loaded at first use
    started = time.perf_counter()
    plain = pd.DataFrame([train_and_measure(trial) for trial in trials])
    plain_seconds = time.perf_counter() - started
    print(f"plain loop, {torch.get_num_threads()} threads      {plain_seconds:7.1f} s")
    one_seconds, one = ours(trials, workers=0)
    print(
        f"widthwise, this process     {one_seconds:7.1f} s  {plain_seconds / one_seconds:5.1f} times as fast "
        f"(bar: {BAR}, aim: {AIM})"
    )
    all_seconds, _ = ours(trials, workers=None)
    print(f"widthwise, as its command   {all_seconds:7.1f} s  {plain_seconds / all_seconds:5.1f} times as fast")
    means = pd.DataFrame({"plain loop": plain.mean(), "widthwise": one.mean()})
    print("\nmeans over all trainings, whose random draws differ:")
    print(means.round(3).to_string())


if __name__ == "__main__":
    main()
