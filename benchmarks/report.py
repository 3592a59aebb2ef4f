"""Seconds, memory and page size of a report, by the number of trials in its store.

`python -m benchmarks.report` generates stores of 250, 500 and 1,000 trials and writes the report of each in a process
of its own. The trials are those of the whole catalogue at the paper's scale, in equal parts, with the tables of
perceptrons, AlexNets, ResNets and Inceptions; their numbers are drawn at random, since nothing is trained. With
Chromium the page of the largest is opened, too.
"""

import argparse
import itertools
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.sweep import PlannedTrial, Sweep, catalogue

TRIALS = (250, 500, 1000)
LAYERS = {
    "mlp": ("hidden",),
    "alexnet": ("conv1", "conv2", "dense1", "dense2"),
    "resnet56": ("stem", "layer1", "layer2", "layer3"),
    "resnet18": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "inception-v3": (
        *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
        *(f"Mixed_{block}" for block in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")),
    ),
}
SECONDS, BYTES, PAGE_BYTES, OPENED = 15.0, 2e9, 10e6, 2.0
"""The bars: a report of 1,000 trials, its memory, its page, and how long that takes to open."""
ENVIRONMENT = dict.fromkeys(("widthwise", "torch", "numpy", "python", "device", "processor", "system"), "generated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="*", default=TRIALS)
    parser.add_argument("--report", metavar="STORE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report:
        print(json.dumps(_report(given.report)))
        return
    print("trials   seconds   per trial   memory    page")
    for count in given.trials:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            generate(store, count)
            program = [sys.executable, "-m", "benchmarks.report", "--report", str(store)]
            done = subprocess.run(program, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            page = store / "report" / "index.html"
            size = page.stat().st_size
            seconds, memory = found["seconds"], found["bytes"] / 1e9
            each = 1000 * seconds / count
            print(f"{count:6,} {seconds:8.1f} s {each:8.1f} ms {memory:6.2f} GB {size / 1e6:6.1f} MB")
            if count == max(given.trials):
                print(f"bars: {SECONDS:.0f} s, {BYTES / 1e9:.0f} GB and {PAGE_BYTES / 1e6:.0f} MB at 1,000 trials")
                _open(page)


def generate(location: Path, count: int) -> None:
    """A store of `count` finished trials of the catalogue's experiments, with drawn numbers."""
    store = Store(location)
    store.prepare()
    stream = np.random.default_rng(0)
    for sweep in map(Sweep.load, catalogue()):
        store.add_sweep(sweep, "paper")
    seen: set[str] = set()
    for run in itertools.islice(_in_turn(), 10 * count):
        if run.trial.id not in seen and len(seen) < count:
            seen.add(run.trial.id)
            store.save(run.trial, _outcome(run, stream), {**ENVIRONMENT, "data": "generated"})


def _in_turn() -> Iterator[PlannedTrial]:
    """The runs of all experiments, one of each after the other, whole replicates first."""
    by_experiment = [
        sorted(Sweep.load(name).runs("paper"), key=lambda run: (run.replicate, str(run.tuned))) for name in catalogue()
    ]
    for together in itertools.zip_longest(*by_experiment):
        yield from (run for run in together if run is not None)


def _outcome(run: PlannedTrial, stream: np.random.Generator) -> Outcome:
    trial = run.trial
    if trial.training.epochs == 0:
        return Outcome("counted", {"parameters": 10, "forward_flops": 10, "training_flops": 30})
    layers = LAYERS[trial.network.name]
    accuracies = {f"{split}_accuracy": float(stream.uniform(0.9, 1)) for split in ("train", "validation", "test")}
    losses = {f"{split}_loss": float(stream.uniform(0, 1)) for split in ("train", "validation", "test")}
    results: dict[str, float | int | bool] = {
        **{"parameters": int(1e6 * run.width_factor**2), "epochs": 50, "kept_epoch": 50, "training_seconds": 1.0},
        **accuracies,
        **losses,
        **{"most_frequent_label_share": 0.5, "degenerate": False},
    }
    if trial.construction:
        results |= {"output_difference": 0.0, "removable_units": 10, "unchanged_without_added": 1.0}
    samplings, levels = trial.measurement.samplings, trial.measurement.levels
    of_units = {"similarity_std_units": 5.0, "redundancy_pca": 0.5, "dead_fraction": 0.0}
    measures = pd.DataFrame(
        {
            "layer": layers,
            "units": int(128 * run.width_factor),
            "auc": stream.uniform(0.5, 1, len(layers)),
            "auc_std": 0.01,
            "auc_corrected": 0.5,
            "similarity": stream.uniform(0, 20, len(layers)),
            "similarity_reference": stream.uniform(0, 20, len(layers)),
            "similarity_std": 0.1,
            **of_units,
        }
    )
    ablated = [("text", layer) for layer in layers] + [("figures", layer) for layer in (*layers, "")]
    removability = pd.DataFrame(ablated, columns=["protocol", "layer"]).assign(
        auc=stream.uniform(0.5, 1, len(ablated)), auc_std=0.01, prunability=0.5, prunability_std=0.01
    )
    shares = np.linspace(0, 1, levels)
    draws = [(layer, sampling) for layer in layers for sampling in range(samplings)]
    ablation = pd.DataFrame(
        [
            (*place, sampling, share, 1 - share * stream.uniform(0, 1))
            for place in ablated
            for sampling in range(samplings)
            for share in shares
        ],
        columns=["protocol", "layer", "sampling", "share_dropped", "unchanged"],
    )
    edges = np.linspace(0, 1, 51)
    correlation = pd.DataFrame(
        [(*draw, *edge, int(stream.integers(0, 100))) for draw in draws for edge in itertools.pairwise(edges)],
        columns=["layer", "sampling", "low", "high", "pairs"],
    )
    history = pd.DataFrame({"epoch": range(1, 51), "train_loss": 0.1})
    tables = {"history": history, "layers": measures, "removability": removability}
    tables |= {"ablation": ablation, "correlation": correlation}
    if trial.training.keep_epochs:
        kept = [measures.assign(epoch=epoch, test_accuracy=0.5) for epoch in sorted(trial.training.kept_epochs)]
        tables["epochs"] = pd.concat(kept)
        tables["epochs_removability"] = pd.concat(
            removability.assign(epoch=epoch) for epoch in sorted(trial.training.kept_epochs)
        )
    return Outcome("trained", results, tables)


def _report(store: str) -> dict[str, float]:
    from widthwise.reporting import report

    started = time.perf_counter()
    report.report(store)
    own, drawing = (resource.getrusage(of).ru_maxrss for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    most = (own + drawing) * (1 if sys.platform == "darwin" else 1024)  # the sum of both peaks
    return {"seconds": time.perf_counter() - started, "bytes": most}


def _open(page: Path) -> None:
    """Time the page in headless Chromium, from nothing to being usable."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("Chromium is not installed, so the page was not opened.")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        taken = []
        for _ in range(3):
            opened = browser.new_page()
            started = time.perf_counter()
            opened.goto(page.as_uri())
            opened.wait_for_function("document.documentElement.dataset.ready !== undefined")
            taken.append(time.perf_counter() - started)
            opened.close()
        browser.close()
    print(f"the page opens in {sorted(taken)[1]:.2f} s (bar: {OPENED:.0f} s), the median of three times")


if __name__ == "__main__":
    main()
