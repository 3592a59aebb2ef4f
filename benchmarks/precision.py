"""The time that a precision saves, and whether the standard errors hold: all 55 layers of a ResNet-56.

    python -m benchmarks.precision full --weights W --data D --save FULL.profile    every ablation; takes long
    python -m benchmarks.precision sampled --weights W --data D --against FULL.profile

W are trained weights of `examples/resnet56_cifar10.py`, D a Parquet file of CIFAR-10's images. `sampled` prints the
time that `profile` takes at a standard error of 0.01, also against the passes that nothing can avoid (one of every
example for correlations, and the runs of what follows each layer), and how many AUCs lie within two and within four
standard errors of the full run's.
"""

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks.networks import MEAN, RESNET56, STD
from widthwise.commands.loading import InputOptions, importing_user_code, load_batches, load_model
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.progress import Progress
from widthwise.tracing.batches import Batches
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched

LAYERS = ["stem", "*relu*"]
PRECISION = 0.01
BARS = {"seconds": 180, "within two": 50, "beyond four": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["full", "sampled"])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--save", help="where to write the profile")
    parser.add_argument("--against", help="the profile of a full run")
    arguments = parser.parse_args()
    with importing_user_code():
        model = load_model(RESNET56, arguments.weights).eval()
        batches = list(load_batches(InputOptions([arguments.data], "test", MEAN, STD, arguments.images)))
    settings = Measurement(precision=PRECISION if arguments.what == "sampled" else None)
    started = time.perf_counter()
    measured = profile(model, batches, settings=settings, layers=LAYERS, on_progress=_Shown())
    seconds = time.perf_counter() - started
    bar = f"   (bar: {BARS['seconds']})" if arguments.what == "sampled" else ""
    print(f"{measured.examples:,} images, {len(measured.layers)} layers, {torch.get_num_threads()} threads")
    print(f"profile              {seconds:8.1f} s{bar}")
    if arguments.save:
        measured.save(arguments.save)
    if arguments.what == "sampled":
        floor = floor_seconds(model, batches, measured)
        print(f"unavoidable passes   {floor:8.1f} s   widthwise takes {seconds / floor:.2f} times as long")
    if arguments.against:
        compare(measured, Profile.load(arguments.against))


def compare(sampled: Profile, full: Profile) -> None:
    """Print how far the AUCs are from a full run's, in their own standard errors."""
    both = sampled.removability.merge(full.removability, on=["protocol", "layer"], suffixes=("", "_full"))
    errors = ((both["auc"] - both["auc_full"]) / both["precision"]).abs()
    print(f"largest standard error: {both['precision'].max():.4f}")
    print(f"within two standard errors of the full run: {(errors <= 2).sum()} of {len(errors)} (bar: 50 of 55)")
    print(f"beyond four: {(errors > 4).sum()} (bar: {BARS['beyond four']}); the farthest is {errors.max():.1f}")


@torch.no_grad()
def floor_seconds(model: torch.nn.Module, batches: list[object], measured: Profile) -> float:
    """The time of the passes by themselves: one of all examples, and of what follows each layer as often as it ran."""
    runs = measured.ablation.query("share_dropped > 0").groupby("layer")["labels"].sum()
    everything = measured.ablation.query("share_dropped == 1").groupby("layer")["labels"].max()
    samplings = measured.ablation["sampling"].nunique()
    runs -= everything * (samplings - 1)  # one run serves all samplings
    source = Batches(batches)
    with untouched(model):
        network = Network(model, source.first, layers=LAYERS)
        inputs = next(iter(source.of_size(64)))
        seconds = _best(lambda: network.run(inputs)) / inputs.examples * measured.examples
        run = network.run(inputs)
        for layer in network.layers:
            value = run.values[layer.name]
            one = _best(lambda layer=layer, value=value: network.rerun(run, layer, value.clone()))
            seconds += one / inputs.examples * runs[layer.name]
    return seconds


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


class _Shown:
    """Prints progress twice a minute."""

    def __init__(self):
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._last > 30:
            self._last = time.monotonic()
            print(f"  {progress.done:.0f} of {progress.total:.0f}, {progress.seconds_left:.0f} s left", flush=True)


if __name__ == "__main__":
    main()
