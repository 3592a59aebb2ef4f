"""The labels that a smaller ResNet-56 keeps, and the time that making it takes.

    python -m benchmarks.compress --weights W --data D
    python -m benchmarks.compress --weights W --data D --latency

W are trained weights of `examples/resnet56_cifar10.py`, D a folder with Parquet files of CIFAR-10's images. The inner
channels of every block go, the same share in each; 400 unlabelled training images to calibrate on, others for each set,
and all test images to compare on, which is in the time.

Where Torch-Pruning is installed (`pip install torch-pruning==1.6.1`), it removes as many channels from the same
network, by four of its criteria that need no labels: as it is, and with batch normalization's statistics estimated anew
on 1,000 of the training images. LAMP is not among them: within a layer it puts channels in the same order as L2.

With `--latency` the seconds of a run are compared instead, of the intact network and of smaller ones in turn, with
multiples of 8 channels: of each pair of runs the ratio counts, and of all ratios the median, with its 95% interval.
"""

import argparse
import copy
import importlib
import importlib.util
import resource
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binom
from torch import Tensor, nn

from benchmarks.networks import MEAN, RESNET56, STD
from widthwise.commands.loading import InputOptions, importing_user_code, load_batches, load_model
from widthwise.compression.compress import compress
from widthwise.reporting.files import render
from widthwise.reporting.look import look_of
from widthwise.tracing.batches import Batches

BARS = {0.125: 0.95, 0.25: 0.91, 0.5: 0.84, 0.75: 0.67}
"""The share of labels to be kept, by the share of channels that goes."""
OTHER_CASES: dict[str, tuple[float, dict[str, Any]]] = {
    "half of the FLOPs": (0.86, {"flops": 0.5}),
    "25% of the streams": (0.83, {"keep": 0.75, "stream": True, "layers": ["conv1", "*conv2"]}),
}
"""The bar, and what is asked for."""
SECONDS, GIGABYTES = 60, 2
CALIBRATION = 400
ESTIMATED_ON = 1000
L1 = "L1"
CRITERIA = {
    L1: ("MagnitudeImportance", {"p": 1}),
    "L2": ("MagnitudeImportance", {"p": 2}),
    "FPGM": ("FPGMImportance", {}),
    "BN scale": ("BNScaleImportance", {}),
}
"""Torch-Pruning's classes, with their arguments, by the name of the criterion."""
METHODS = ("widthwise", "Torch-Pruning, L1", "Torch-Pruning, its best criterion, batch norm estimated anew")
ROUNDED = {0.6: "3/4", 0.5: "1/2"}
"""The share of channels that stays in multiples of 8, and about what share of the operations that gives."""
ROUND_TO = 8
AT_A_TIME = (1, 64)
CHECKED = 1000
"""Test images on which labels are compared beside the seconds."""
SLOWEST = 1.02
"""The bar: the smaller network's seconds, as a share of the intact one's."""
Row = tuple[str, float, float]
"""A method, the share of channels removed and the share of labels kept."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, help="test images; by default all")
    parser.add_argument("--sets", type=int, default=3, help="disjoint sets of calibration images")
    parser.add_argument("--figure", help="an SVG file to draw the shares of labels in")
    parser.add_argument("--latency", action="store_true", help="compare the seconds of a run, and nothing else")
    parser.add_argument("--runs", type=int, default=500, help="runs of each network, with --latency")
    arguments = parser.parse_args()
    sets = 1 if arguments.latency else arguments.sets
    with importing_user_code():
        model = load_model(RESNET56, arguments.weights).eval()
        wanted = max(CALIBRATION * sets, ESTIMATED_ON)
        train = images_of(load_batches(InputOptions([arguments.data], "train", MEAN, STD, wanted)))
        test = list(load_batches(InputOptions([arguments.data], "test", MEAN, STD, arguments.images)))
    calibration = [[images] for images in train[: CALIBRATION * sets].split(CALIBRATION)]
    if arguments.latency:
        latency(model, calibration[0], test, arguments.runs)
        return
    rows = ours(model, calibration, test)
    if importlib.util.find_spec("torch_pruning"):
        rows += the_peers(model, train[:ESTIMATED_ON], test)
    if arguments.figure:
        draw(rows, arguments.figure)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"bars: {SECONDS} s and {GIGABYTES} GB; memory at its peak {peak:.2f} GB, with PyTorch and the test images")


def ours(model: nn.Module, sets: Sequence[Sequence[object]], test: Sequence[object]) -> list[Row]:
    """Print what `compress` keeps at each share and in the other cases, with each set of calibration images."""
    rows: list[Row] = []
    print("removed            labels kept   bar              of each set  parameters  FLOPs  seconds")
    cases = {f"{removed:.1%}": (bar, {"keep": 1 - removed}) for removed, bar in BARS.items()}
    for title, (bar, asked) in {**cases, **OTHER_CASES}.items():
        kept, seconds, known = [], [], {}
        for calibration in sets:
            started = time.perf_counter()
            found = compress(model, calibration, check=test, **asked)
            seconds.append(time.perf_counter() - started)
            known = found.comparison
            kept.append(known["labels_kept"])
        parameters, flops = (known[f"{name}_after"] / known[f"{name}_before"] for name in ("parameters", "flops"))
        each = ", ".join(f"{share:.3f}" for share in kept)
        if title in cases:
            rows.append((METHODS[0], 1 - asked["keep"], statistics.mean(kept)))
        print(
            f"{title:<18} {statistics.mean(kept):>11.3f} {bar:>5.2f} {each:>24} {parameters:>11.0%} {flops:>6.0%} "
            f"{statistics.median(seconds):>8.1f}",
            flush=True,
        )
    return rows


def the_peers(model: nn.Module, images: Tensor, test: Sequence[object]) -> list[Row]:
    """Print what Torch-Pruning keeps at each share, by each criterion: as it is / with the images' statistics."""
    rows: list[Row] = []
    others = images_of(test)
    labels = labels_of(model, others)
    print("\nTorch-Pruning: labels kept as it is / with batch norm estimated anew")
    print(f" removed {''.join(f'{name:>16}' for name in CRITERIA)}   best, estimated anew")
    for removed in BARS:
        kept: dict[str, float] = {}
        cells = []
        for name in CRITERIA:
            plain = pruned(model, removed, name)
            as_it_is = agreement(labels, plain, others)
            kept[name] = agreement(labels, estimated_anew(plain, images), others)
            cells.append(f"{as_it_is:>8.3f} / {kept[name]:.3f}")
            if name == L1:
                rows.append((METHODS[1], removed, as_it_is))
        best = max(kept, key=kept.__getitem__)
        rows.append((METHODS[2], removed, kept[best]))
        print(f"{removed:>8.1%} {''.join(cells)}   {best}, {kept[best]:.3f}", flush=True)
    return rows


def latency(model: nn.Module, calibration: Sequence[object], test: Sequence[object], runs: int) -> None:
    """Print the ratio of the seconds that smaller networks take to those of the intact one."""
    images = images_of(test)
    few = [images[:CHECKED]]
    print(f"{torch.get_num_threads()} threads, {runs} pairs of runs; a multiple of {ROUND_TO} channels stays")
    print("FLOPs about      in fact  labels kept  batch   intact  smaller   ratio   95% interval   bar")
    for keep, about in ROUNDED.items():
        found = compress(model, calibration, keep=keep, round_to=ROUND_TO, check=few)
        known = found.comparison
        flops = known["flops_after"] / known["flops_before"]
        for size in AT_A_TIME:
            intact, smaller = in_turn(model, found.model.eval(), images[:size], runs)
            ratios = sorted(after / before for before, after in zip(intact, smaller, strict=True))
            low, high = median_interval(ratios)
            print(
                f"{about:>11} {flops:>12.0%} {known['labels_kept']:>12.3f} {size:>6} "
                f"{1000 * statistics.median(intact):>5.1f} ms {1000 * statistics.median(smaller):>5.1f} ms "
                f"{statistics.median(ratios):>7.3f}    {low:.3f}–{high:.3f}  {SLOWEST:.2f}",
                flush=True,
            )


@torch.inference_mode()
def in_turn(one: nn.Module, other: nn.Module, images: Tensor, runs: int) -> tuple[list[float], list[float]]:
    """Seconds of each run of two networks; each is the first of a pair every second time."""
    seconds: dict[nn.Module, list[float]] = {one: [], other: []}
    for model in seconds:
        for _ in range(3):
            model(images)
    for run in range(runs):
        for model in (one, other) if run % 2 else (other, one):
            started = time.perf_counter()
            model(images)
            seconds[model].append(time.perf_counter() - started)
    return seconds[one], seconds[other]


def median_interval(ordered: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of the median of numbers in increasing order, taken as independent: two of them."""
    rank = max(int(binom.ppf(0.025, len(ordered), 0.5)), 1)
    return ordered[rank - 1], ordered[-rank]


def draw(rows: Sequence[tuple[str, float, float]], path: str) -> None:
    """The share of labels kept against the share of channels removed, a line for each method."""
    table = [{"method": method, "removed": 0.0, "kept": 1.0} for method in dict.fromkeys(each[0] for each in rows)]
    table += [{"method": method, "removed": removed, "kept": kept} for method, removed, kept in rows]
    legend = {"orient": "bottom", "columns": 1, "labelLimit": 0}
    method = {"field": "method", "type": "nominal", "title": None, "sort": list(METHODS), "legend": legend}
    share = {"type": "quantitative", "axis": {"format": ".0%"}, "scale": {"domain": [0, 1]}}
    encoding = {
        "x": {"field": "removed", "title": "Inner channels removed", **share, "scale": {"domain": [0, 0.8]}},
        "y": {"field": "kept", "title": "Labels that stay", **share},
        "color": method,
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
        "encoding": {"shape": {**method, "legend": None}},
    }
    content = {
        "data": {"values": table},
        "width": 420,
        "height": 260,
        "encoding": encoding,
        "layer": [{"mark": "line"}, points],
    }
    Path(path).write_bytes(render(content, "svg", look_of("none", None, "light")))


def images_of(batches: Iterable[object]) -> Tensor:
    """The images of batches, in one tensor."""
    return torch.cat([tensor for inputs in Batches(batches).of_size(250) for tensor in inputs.tensors])


def pruned(model: nn.Module, removed: float, criterion: str) -> nn.Module:
    """The network without a share of each block's inner channels, by Torch-Pruning."""
    torch_pruning = importlib.import_module("torch_pruning")
    name, options = CRITERIA[criterion]
    result = copy.deepcopy(model)
    inner = {module: removed for name, module in result.named_modules() if name.endswith("conv1") and "layer" in name}
    pruner = torch_pruning.pruner.BasePruner(
        result,
        torch.zeros(1, 3, 32, 32),
        importance=getattr(torch_pruning.importance, name)(**options),
        pruning_ratio=0.0,
        pruning_ratio_dict=inner,
        ignored_layers=[module for module in result.modules() if isinstance(module, nn.Linear)],
    )
    pruner.step()
    return result.eval()


@torch.no_grad()
def estimated_anew(model: nn.Module, images: Tensor) -> nn.Module:
    """The same network, with the statistics of batch normalization that it has on some images."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    for batch in images.split(250):
        model(batch)
    return model.eval()


@torch.no_grad()
def labels_of(model: nn.Module, images: Tensor) -> Tensor:
    """The label that a network predicts for each image."""
    return torch.cat([model(some).argmax(1) for some in images.split(250)])


def agreement(labels: Tensor, model: nn.Module, images: Tensor) -> float:
    """The share of labels that a network predicts, too."""
    return float((labels_of(model, images) == labels).double().mean())


if __name__ == "__main__":
    main()
