"""Build every network at every width, count its parameters, train it for a step and measure it.

    python -m benchmarks.widths FILE.csv [NETWORK …]

The table is the data of the paper's Figure B1, which is drawn beside it as a PNG; with names of networks, only their
rows are computed again. Images are random, and as few as a step needs: the accuracy means nothing.
"""

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import torch
from lightning_fabric import Fabric

from widthwise.data.dataset import Dataset
from widthwise.data.load import load_dataset
from widthwise.data.resident import ResidentImages
from widthwise.execution.machine import computing
from widthwise.experiments.settings import resolved
from widthwise.experiments.trial import Trial
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.networks.build import build_initialized
from widthwise.networks.cost import arithmetic
from widthwise.training.loop import train

NETWORKS = ("mlp", "alexnet", "resnet56", "resnet18", "inception-v3")
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
IMAGES = 4
SETTINGS = Measurement(levels=3, samplings=1)


def row(name: str, width_factor: float) -> dict[str, Any]:
    """One network at one width."""
    started = time.perf_counter()
    content = {"network": {"name": name, "width_factor": width_factor}, "training": {"epochs": 1}}
    trial = resolved(content, "widths")
    shape, classes = trial.data.shape, trial.data.classes
    assert isinstance(shape, tuple)
    assert classes is not None
    network = build_initialized(trial.network, trial.initialization, shape, classes, 0)
    loss, inputs = step(trial, network, shape, classes)
    measured = profile(network, [inputs], settings=SETTINGS)
    cost = arithmetic(trial.network, shape, classes)
    return {
        "network": name,
        "width_factor": width_factor,
        "parameters": cost.parameters,
        "forward_flops": cost.forward_flops,
        "training_flops": cost.training_flops,
        "loss": loss,
        "layers": len(measured.layers),
        "auc": measured.layers["auc"].mean(),
        "seconds": time.perf_counter() - started,
    }


def step(trial: Trial, network: torch.nn.Module, shape: tuple[int, ...], classes: int) -> tuple[float, torch.Tensor]:
    """The loss of a training step, and inputs to measure."""
    recipe, cpu = trial.training.model_copy(update={"patience": None}), torch.device("cpu")
    if not trial.data.on_disk:
        data = load_dataset(trial.data, None, cpu, 0)
    else:
        recipe = recipe.model_copy(update={"batch_size": IMAGES})
        stream = torch.Generator().manual_seed(0)
        images = torch.randint(256, (IMAGES, *shape), generator=stream, dtype=torch.uint8)
        split = ResidentImages(images, torch.randint(10, (IMAGES,), generator=stream), cpu)
        data = Dataset(split, split, split, classes, shape, "random images")
    trained = train(network, data, recipe, 0, Fabric(accelerator="cpu", devices=1))
    inputs, _ = next(iter(data.test.batches(len(data.test))))
    assert isinstance(inputs, torch.Tensor)
    return float(trained.history["train_loss"][0]), inputs


def main() -> None:
    file, names = Path(sys.argv[1]), sys.argv[2:] or NETWORKS
    table = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["network", "width_factor"])
    print(f"{'network':<14}{'width':>6}{'parameters':>14}{'GFLOP/image':>13}{'loss':>8}{'layers':>8}{'AUC':>7}{'s':>7}")
    with computing(None):
        for name, width_factor in itertools.product(names, WIDTHS):
            found = row(name, width_factor)
            print(
                f"{name:<14}{width_factor:>6g}{found['parameters']:>14,}{found['forward_flops'] / 1e9:>13.4f}"
                f"{found['loss']:>8.3f}{found['layers']:>8}{found['auc']:>7.3f}{found.pop('seconds'):>7.1f}",
                flush=True,
            )
            others = table[(table["network"] != name) | (table["width_factor"] != width_factor)]
            table = pd.DataFrame([*others.to_dict("records"), found])
            table.to_csv(file, index=False)
    drawn(table).save(file.with_suffix(".png"), scale_factor=2)


def drawn(table: pd.DataFrame) -> alt.Chart:
    """Parameters by width, both on logarithmic scales."""
    widths = alt.X("width_factor:Q", title="width factor").scale(type="log", base=2).axis(values=list(WIDTHS))
    counts = alt.Y("parameters:Q", title="trainable parameters").scale(type="log").axis(format="~s", tickCount=8)
    chart = alt.Chart(table, title="Trainable parameters of each network, by width", width=420, height=300)
    return chart.mark_line(point=True).encode(widths, counts, alt.Color("network:N", sort=list(NETWORKS)))


if __name__ == "__main__":
    main()
