"""The labels that a smaller ResNet-56 keeps, and the time that making it takes.

    python -m benchmarks.compress --weights W --data D

W are trained weights of `examples/resnet56_cifar10.py`, D a folder with Parquet files of CIFAR-10's images. The inner
channels of every block go, the same share in each; 400 unlabelled training images to calibrate on, others for each set,
and all test images to compare on, which is in the time.
"""

import argparse
import resource
import statistics
import time

from benchmarks.networks import MEAN, RESNET56, STD
from widthwise.commands.loading import InputOptions, importing_user_code, load_batches, load_model
from widthwise.compression.compress import compress
from widthwise.tracing.batches import Batches

BARS = {0.125: 0.95, 0.25: 0.91, 0.5: 0.84, 0.75: 0.67}
"""The share of labels to be kept, by the share of channels that goes."""
SECONDS, GIGABYTES = 60, 2
CALIBRATION = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, help="test images; by default all")
    parser.add_argument("--sets", type=int, default=3, help="disjoint sets of calibration images")
    arguments = parser.parse_args()
    with importing_user_code():
        model = load_model(RESNET56, arguments.weights).eval()
        wanted = CALIBRATION * arguments.sets
        train = Batches(load_batches(InputOptions([arguments.data], "train", MEAN, STD, wanted)))
        test = list(load_batches(InputOptions([arguments.data], "test", MEAN, STD, arguments.images)))
    sets = [[inputs.args] for inputs in train.of_size(CALIBRATION)]
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
        print(
            f"{removed:>8.1%} {statistics.mean(kept):>12.3f} {bar:>5.2f} {each:>24} {parameters:>11.0%} {flops:>6.0%} "
            f"{statistics.median(seconds):>8.1f}",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"bars: {SECONDS} s and {GIGABYTES} GB; memory at its peak {peak:.2f} GB, with PyTorch and the test images")


if __name__ == "__main__":
    main()
