"""The labels that a smaller ResNet-56 keeps, and the time that making it takes.

    python -m benchmarks.compress --weights W --data D

W are trained weights of `examples/resnet56_cifar10.py`, D a folder with Parquet files of CIFAR-10's images. The inner
channels of every block go, the same share in each; 400 unlabelled training images to calibrate on, others for each set,
and all test images to compare on, which is in the time.

Where Torch-Pruning is installed (`pip install torch-pruning==1.6.1`), it removes as many channels from the same
network, by the sum of the absolute weights (L1): as it is, and with batch normalization's statistics estimated anew on
1,000 of the training images.
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

import torch
from torch import Tensor, nn

from benchmarks.networks import MEAN, RESNET56, STD
from widthwise.commands.loading import InputOptions, importing_user_code, load_batches, load_model
from widthwise.compression.compress import compress
from widthwise.reporting.files import render
from widthwise.reporting.look import look_of
from widthwise.tracing.batches import Batches

BARS = {0.125: 0.95, 0.25: 0.91, 0.5: 0.84, 0.75: 0.67}
"""The share of labels to be kept, by the share of channels that goes."""
SECONDS, GIGABYTES = 60, 2
CALIBRATION = 400
ESTIMATED_ON = 1000
METHODS = ("widthwise", "Torch-Pruning, L1", "Torch-Pruning, L1, batch norm estimated anew")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, help="test images; by default all")
    parser.add_argument("--sets", type=int, default=3, help="disjoint sets of calibration images")
    parser.add_argument("--figure", help="an SVG file to draw the shares of labels in")
    arguments = parser.parse_args()
    with importing_user_code():
        model = load_model(RESNET56, arguments.weights).eval()
        wanted = CALIBRATION * arguments.sets
        train = Batches(load_batches(InputOptions([arguments.data], "train", MEAN, STD, wanted)))
        test = list(load_batches(InputOptions([arguments.data], "test", MEAN, STD, arguments.images)))
    sets = [[inputs.args] for inputs in train.of_size(CALIBRATION)]
    rows: list[tuple[str, float, float]] = []
    print(" removed  labels kept   bar              of each set  parameters  FLOPs  seconds")
    for removed, bar in BARS.items():
        kept, seconds, known = [], [], {}
        for calibration in sets:
            started = time.perf_counter()
            found = compress(model, calibration, keep=1 - removed, check=test)
            seconds.append(time.perf_counter() - started)
            known = found.comparison
            kept.append(known["labels_kept"])
        parameters, flops = (known[f"{name}_after"] / known[f"{name}_before"] for name in ("parameters", "flops"))
        each = ", ".join(f"{share:.3f}" for share in kept)
        rows.append((METHODS[0], removed, statistics.mean(kept)))
        print(
            f"{removed:>8.1%} {statistics.mean(kept):>12.3f} {bar:>5.2f} {each:>24} {parameters:>11.0%} {flops:>6.0%} "
            f"{statistics.median(seconds):>8.1f}",
            flush=True,
        )
    if importlib.util.find_spec("torch_pruning"):
        images = images_of(load_batches(InputOptions([arguments.data], "train", MEAN, STD, ESTIMATED_ON)))
        print("\nTorch-Pruning, L1: labels kept")
        print(" removed   as it is   batch norm estimated anew")
        for removed in BARS:
            plain = pruned(model, removed)
            anew = estimated_anew(copy.deepcopy(plain), images)
            kept = [agreement(model, each, test) for each in (plain, anew)]
            rows += [(method, removed, share) for method, share in zip(METHODS[1:], kept, strict=True)]
            print(f"{removed:>8.1%} {kept[0]:>10.3f} {kept[1]:>13.3f}", flush=True)
    if arguments.figure:
        draw(rows, arguments.figure)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"bars: {SECONDS} s and {GIGABYTES} GB; memory at its peak {peak:.2f} GB, with PyTorch and the test images")


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


def pruned(model: nn.Module, removed: float) -> nn.Module:
    """The network without a share of each block's inner channels, by Torch-Pruning."""
    torch_pruning = importlib.import_module("torch_pruning")
    result = copy.deepcopy(model)
    inner = {module: removed for name, module in result.named_modules() if name.endswith("conv1") and "layer" in name}
    pruner = torch_pruning.pruner.BasePruner(
        result,
        torch.zeros(1, 3, 32, 32),
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=0.0,
        pruning_ratio_dict=inner,
        ignored_layers=[module for module in result.modules() if isinstance(module, nn.Linear)],
    )
    pruner.step()
    return result.eval()


@torch.no_grad()
def estimated_anew(model: nn.Module, images: Tensor) -> nn.Module:
    """The network with the statistics of batch normalization that it has on some images."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    for batch in images.split(250):
        model(batch)
    return model.eval()


@torch.no_grad()
def agreement(model: nn.Module, other: nn.Module, batches: Sequence[object]) -> float:
    """The share of labels that are the same."""
    images = images_of(batches).split(250)
    same = sum(int((model(some).argmax(1) == other(some).argmax(1)).sum()) for some in images)
    return same / sum(map(len, images))


if __name__ == "__main__":
    main()
