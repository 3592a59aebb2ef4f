"""The speed of `profile`, against the plain way of measuring and against the work that cannot be avoided.

    python -m benchmarks.profile alexnet       4 layers, 2,000 images: times the plain way, and the floor
    python -m benchmarks.profile resnet56 --weights W --data D
                                               the stem and three stages, 500 images: times the plain way
    python -m benchmarks.profile correlation   1,024 units, 1,000,000 samples: against one X.T @ X, and memory
    python -m benchmarks.profile memory        AlexNet at 4x over 10,000 images: peak memory

Each prints its ratio and the bar that it has to reach. Both ways run in this process, and their tables are compared.
ResNet-56 needs trained weights W and CIFAR-10's images D, as `widthwise profile` takes them: with random weights it
gives every image one label, and that no label differs would say nothing.
"""

import argparse
import resource
import threading
import time
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from benchmarks.networks import LAYERS, MEAN, RESNET56, STD, alexnet, images
from benchmarks.plain import plain_profile
from widthwise.commands.loading import InputOptions, importing_user_code, load_batches, load_model
from widthwise.measurement.batch_size import fitting_batch_size
from widthwise.measurement.correlation import RunningCorrelation
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.measurement.timing import timed
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched

PLAIN_BATCH = 100
ROUNDS = 3
SETTINGS = Measurement()
BARS = {"alexnet": 5.0, "resnet56": 2.5, "floor": 1.1, "correlation": 0.8, "correlation memory": 100, "memory": 4.0}


def trained_resnet56(weights: str, data: str, count: int) -> tuple[nn.Module, torch.Tensor]:
    """The ResNet-56 of the examples with trained weights, and images of CIFAR-10's test set."""
    with importing_user_code():
        model = load_model(RESNET56, weights).eval()
        batches = load_batches(InputOptions([data], "test", MEAN, STD, count))
        return model, torch.cat([batch[0] for batch in batches if isinstance(batch, tuple)])


def compare(name: str, model: nn.Module, inputs: torch.Tensor) -> None:
    """`profile` against the plain way, and for AlexNet against the downstream passes by themselves."""
    modules, count = {layer: model.get_submodule(layer) for layer in LAYERS[name]}, len(inputs)
    print(f"{name}, {count:,} images, {len(modules)} layers, 7 levels, 3 samplings, {torch.get_num_threads()} threads")
    profile(model, [inputs[:PLAIN_BATCH]], layers=list(modules), settings=Measurement(levels=3))  # what starts slowly

    ours_seconds, ours = timed(lambda: profile(model, inputs.split(PLAIN_BATCH), layers=list(modules)))
    print(f"widthwise            {ours_seconds:8.1f} s", flush=True)
    if name == "alexnet":
        floor = floor_seconds(model, inputs)
        ratio = ours_seconds / floor
        print(f"downstream passes    {floor:8.1f} s   widthwise takes {ratio:.2f} times as long (bar: {BARS['floor']})")
    with torch.no_grad():
        plain_seconds, (layers, ablation) = timed(
            lambda: plain_profile(model, modules, inputs.split(PLAIN_BATCH), SETTINGS, seed=0)
        )
    ratio = plain_seconds / ours_seconds
    print(f"the plain way        {plain_seconds:8.1f} s   widthwise is {ratio:.1f} times as fast (bar: {BARS[name]})")
    difference = (ours.ablation["unchanged"] - ablation["unchanged"]).abs().max() * count
    print(f"labels that differ in the worst ablation: {difference:.0f} of {count:,}")
    both = pd.concat({"widthwise": ours.layers.set_index("layer"), "plain": layers.set_index("layer")}, axis=1)
    shown = [(way, column) for column in ("auc", "similarity", "dead_fraction") for way in ("widthwise", "plain")]
    print(both[shown].round(6).to_string())


@torch.no_grad()
def floor_seconds(model: nn.Module, inputs: torch.Tensor) -> float:
    """The passes that measuring AlexNet takes: what follows each layer, 16 times for every image.

    15 are of random draws. That without any unit gives all images one label; `profile` runs it for one batch of each
    size. They run at the batch size and in the memory layout in which `profile` runs them.
    """
    assert isinstance(model, nn.Sequential)
    with untouched(model):
        probe = Network(model, Inputs((inputs[:4],), {}), layers=list(LAYERS["alexnet"]))
        size = fitting_batch_size(probe)
    seconds = 0.0
    for layer in LAYERS["alexnet"]:
        head, tail = model[: int(layer) + 1], model[int(layer) + 1 :]
        for batch in inputs.split(size):
            value = head(batch.contiguous(memory_format=torch.channels_last))
            started = time.perf_counter()
            for _ in range(16):
                tail(value).argmax(-1)
            seconds += time.perf_counter() - started
    return seconds


@torch.no_grad()
def correlation(samples: int, units: int) -> None:
    """Correlations of many samples against the one matrix product that they need."""
    stream = torch.Generator().manual_seed(0)
    activity = torch.randn(samples, units, generator=stream)
    print(f"correlation, {units:,} units, {samples:,} samples, {torch.get_num_threads()} threads")

    def ours() -> RunningCorrelation:
        running = RunningCorrelation(units)
        running.update(activity)
        return running

    pieces = activity[:100_000]
    _ = pieces.T @ pieces  # what starts slowly
    RunningCorrelation(units).update(pieces)
    rounds = [(timed(lambda: activity.T @ activity)[0], timed(ours)[0]) for _ in range(ROUNDS)]
    bare_seconds, ours_seconds = (min(seconds) for seconds in zip(*rounds, strict=True))  # by turns, the best of each
    before = resident()
    with Peak() as peak:
        running = ours()
    ratio, extra = ours_seconds / bare_seconds, (peak.bytes - before) / 1e6
    print(f"X.T @ X              {bare_seconds:8.2f} s")
    print(f"correlation          {ours_seconds:8.2f} s   {ratio:.2f} times as long (bar: {BARS['correlation']})")
    print(f"memory beside X      {extra:8.0f} MB  (bar: {BARS['correlation memory']})")
    expected = torch.corrcoef(activity[:, :50].double().T).abs()
    print(
        f"largest difference from float64 numbers: {(running.compute().r.abs()[:50, :50] - expected).abs().max():.1e}"
    )


def memory(count: int) -> None:
    """The peak memory of measuring AlexNet at 4x; the fewest levels that still draw at random, since they reuse it."""
    model, inputs = alexnet(4.0), images(count)
    settings = Measurement(levels=3, samplings=1)
    print(f"AlexNet at 4x, {count:,} images, 3 levels, 1 sampling")
    seconds, measured = timed(
        lambda: profile(model, inputs.split(1000), layers=list(LAYERS["alexnet"]), settings=settings)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory          {peak:8.2f} GB  (bar: {BARS['memory']:.0f})   in {seconds:.0f} s")
    print(measured.layers[["layer", "units", "auc", "similarity"]].round(4).to_string(index=False))


def resident() -> int:
    """Bytes of memory that this process uses."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Peak:
    """The peak memory of this process, sampled every few milliseconds."""

    def __enter__(self):
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.bytes = max(self.bytes, resident())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["alexnet", "resnet56", "correlation", "memory"])
    parser.add_argument("--images", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--weights", help="of ResNet-56")
    parser.add_argument("--data", help="CIFAR-10's images")
    arguments = parser.parse_args()
    match arguments.what:
        case "correlation":
            correlation(1_000_000, 1024)
        case "memory":
            memory(arguments.images or 10_000)
        case "alexnet":
            model = alexnet().to(arguments.device)
            compare("alexnet", model, images(arguments.images or 2000).to(arguments.device))
        case "resnet56":
            if not (arguments.weights and arguments.data):
                parser.error("resnet56 needs --weights and --data")
            model, inputs = trained_resnet56(arguments.weights, arguments.data, arguments.images or 500)
            compare("resnet56", model.to(arguments.device), inputs.to(arguments.device))


if __name__ == "__main__":
    main()
