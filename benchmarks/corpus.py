"""`profile` on public networks that its makers did not design: the layers that it finds, and whether its ways agree.

    python -m benchmarks.corpus                                   every network of torchvision and timm that is named
    python -m benchmarks.corpus "timm/*vit*" --verbose            some of them, with what is not followed
    python -m benchmarks.corpus --markdown > results/public-networks/README.md

Of each network a few layers spread over its depth are measured twice: by replaying what follows a layer, and by running
the whole network with the layer's value replaced. Every label of every ablation must be the same, and every number of
the tables. The label here is not the class, which in a network with random weights is one and the same for most inputs
whatever is dropped, but for each of the network's outputs whether it lies above the median of its example's.

The exit code is 1 if a network cannot be measured, both ways differ, or no ablation of it changed a label.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from functools import partial
from multiprocessing import get_context

import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.public_networks import Shape, carry_signal, public_networks
from widthwise.errors import RequestError, TrialError
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.batches import Batches
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched

EXAMPLES = 4
SETTINGS = Measurement(levels=3, samplings=1, activations=2_000)
TOLERANCE = 1e-6
WIDEST = 3072
"""Wider layers are found but not among those measured, since their correlations take seconds each."""
HEADER = f"{'network':37} {'layers':>6} {'left out':>8} {'way':>6} {'changed':>7} {'differ':>6} {'s':>4}"
PAGE = """# Networks of torchvision and timm

With random weights, measured by `python -m benchmarks.corpus --markdown`
([how to install them](../../docs/measuring.md#networks-from-torchvision-and-timm)).

- `layers`: the layers found. `left out`: nonlinearities that are not measured.
- `run`: whether, for an ablation, only what follows a layer is run again, or the whole network.
- `changed`: the share of labels that changed when half and all of a layer's units were dropped. A label is, for each
  of the network's outputs, whether it lies above the median of its example's.
- `differ`: the number of these labels on which both ways of running differ.

| network | layers | left out | run | labels | changed | differ |
| --- | --- | --- | --- | --- | --- | --- |"""


@dataclass
class Line:
    """What is printed about one network.

    seconds: processor time.
    layers: the number of layers found.
    left_out: a sentence about each nonlinearity that is not measured.
    replayed: whether only what follows a layer is run again; reason: why not.
    labels: the number of labels over all ablations of one way.
    changed: the share of them that an ablation changed.
    differ: the number of labels that the other way gives otherwise, at least.
    unequal: the tables in which the two ways differ.
    problem: why the network could not be measured.
    """

    name: str
    seconds: float = 0.0
    layers: int = 0
    left_out: list[str] = field(default_factory=list)
    replayed: bool = False
    reason: str = ""
    labels: int = 0
    changed: float = 0.0
    differ: int = 0
    unequal: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def passes(self) -> bool:
        """Whether the network was measured, with one result, which says something."""
        return not self.problem and not self.differ and not self.unequal and self.changed > 0

    def text(self) -> str:
        """The line in columns under `HEADER`."""
        if self.problem:
            return f"{self.name}: {self.problem}"
        way = "replay" if self.replayed else "whole"
        return (
            f"{self.name:37} {self.layers:6} {len(self.left_out):8} {way:>6} {self.changed:7.1%} "
            f"{self.differ:6} {self.seconds:4.0f}"
        )

    def row(self) -> str:
        """The line as a row of the table of `PAGE`."""
        if self.problem:
            return f"| `{self.name}` | {self.problem} | | | | | |"
        way = "replayed" if self.replayed else "whole"
        numbers = f"{self.labels:,} | {self.changed:.1%} | {self.differ}"
        return f"| `{self.name}` | {self.layers} | {len(self.left_out)} | {way} | {numbers} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["*"], help="names or patterns")
    parser.add_argument("--measured", type=int, default=3, help="the number of layers measured in both ways")
    parser.add_argument("--markdown", action="store_true", help="print a page of the docs")
    parser.add_argument("--verbose", action="store_true", help="print what is left out, and why a network runs whole")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="networks measured at a time")
    arguments = parser.parse_args()
    chosen = [each for each in public_networks() if any(fnmatchcase(each, name) for name in arguments.networks)]
    if not chosen:
        print("no network: install torchvision and timm, as docs/measuring.md describes, or check the names")
        return 1
    print(PAGE if arguments.markdown else HEADER)
    lines = []
    with ProcessPoolExecutor(arguments.processes, get_context("spawn"), initializer=prepare_process) as pool:
        for line in pool.map(partial(measured, count=arguments.measured), chosen):
            lines.append(line)
            print(line.row() if arguments.markdown else line.text(), flush=True)
            if arguments.verbose:
                print_details(line)
    print_totals(lines)
    return 0 if all(line.passes for line in lines) else 1


def prepare_process() -> None:
    """Settings of a process that measures: one thread, since the networks are too small for more."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    warnings.filterwarnings("ignore", module="(torch|timm)")


def measured(name: str, count: int) -> Line:
    """The line of a network, of which up to `count` layers are measured."""
    start, line = time.process_time(), Line(name)
    try:
        measure(line, *public_networks()[name], count)
    except (RequestError, TrialError) as error:
        line.problem = str(error)
    except Exception as error:  # whatever a network's own code or a fault of ours raises
        line.problem = f"{type(error).__name__}: {error}"
    line.seconds = time.process_time() - start
    return line


def measure(line: Line, build: Callable[[], nn.Module], shape: Shape, count: int) -> None:
    """Fill in the line of a network."""
    torch.manual_seed(0)
    model = build()
    inputs = torch.randn(EXAMPLES, *shape)
    carry_signal(model, inputs)
    with untouched(model):
        network = Network(model, Batches([inputs]).first, predict=label_of_each_output, replay=False)
    line.layers = len(network.layers)
    line.left_out = [f"{each.name}: {each.reason}" for each in network.left_out]
    names = [layer.name for layer in network.layers if layer.units <= WIDEST]
    chosen = {names[round(index * (len(names) - 1) / max(1, count - 1))] for index in range(min(count, len(names)))}
    replayed, whole = (
        profile(
            model,
            [inputs],
            layers=lambda layer: layer.name in chosen,
            predict=label_of_each_output,
            settings=SETTINGS,
            replay=replay,
        )
        for replay in (True, False)
    )
    line.replayed, line.reason = replayed.about["replayed"], replayed.about["reason"]
    compare(line, replayed, whole)


def compare(line: Line, one: Profile, other: Profile) -> None:
    """Fill in how far two profiles of one network agree."""
    labels = one.about["labels"]
    ablated = one.ablation["units_dropped"] > 0
    line.labels = labels * int(ablated.sum())
    line.changed = float(1 - one.ablation["unchanged"][ablated].mean())
    line.differ = round(float((one.ablation["unchanged"] - other.ablation["unchanged"]).abs().sum()) * labels)
    tables = [each.name for each in fields(one) if isinstance(getattr(one, each.name), pd.DataFrame)]
    line.unequal = [name for name in tables if not equal(getattr(one, name), getattr(other, name))]


def equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables hold the same, up to rounding."""
    try:
        pd.testing.assert_frame_equal(one, other, rtol=TOLERANCE, atol=TOLERANCE)
    except AssertionError:
        return False
    return True


def label_of_each_output(output: object) -> Tensor:
    """For each of an example's outputs, whether it lies above their median."""
    if isinstance(output, Mapping):
        output = output["out"]
    assert isinstance(output, Tensor)
    scores = output.flatten(1)
    return scores > scores.median(1, keepdim=True).values


def print_details(line: Line) -> None:
    """Print what stands behind the counts of a line."""
    for sentence in line.left_out:
        print(f"    left out: {sentence}")
    if line.reason:
        print(f"    whole: {line.reason}")
    if line.unequal:
        print(f"    the two ways differ in {', '.join(line.unequal)}")


def print_totals(lines: Sequence[Line]) -> None:
    """Print the totals, and the names of the networks that do not pass."""
    failed = [line.name for line in lines if line.problem]
    differing = [line.name for line in lines if line.differ or line.unequal]
    silent = [line.name for line in lines if not line.problem and not line.changed]
    labels = sum(line.labels for line in lines)
    print(
        f"\n{len(lines)} networks, {sum(line.layers for line in lines):,} layers, "
        f"{sum(len(line.left_out) for line in lines):,} nonlinearities left out, "
        f"{len(failed)} networks without a line, {len(differing)} disagreements in {labels:,} labels, "
        f"{sum(line.seconds for line in lines):,.0f} s of processor time"
    )
    for title, names in (("not measured", failed), ("disagree", differing), ("no label changed", silent)):
        if names:
            print(f"{title}: {', '.join(names)}")


if __name__ == "__main__":
    sys.exit(main())
