"""The ablation curves of a measurement: what each drops at every level, and how its area is formed.

Protocol `text` (Section 2.1) drops units of one layer at a time, `round(share * units)` of them, and takes the area by
the trapezoid rule. Protocol `figures`, by which the paper's figures were made, drops whole channels, the same for all
examples, `floor(share * units)` of them; once in all measured layers together, for the network's own number, and once
in each layer alone; its area is the plain mean of the levels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from widthwise.measurement.masks import dropped_counts
from widthwise.measurement.settings import Measurement, Protocol
from widthwise.tracing.layer import Layer
from widthwise.tracing.recorded_run import RecordedRun

ALL_LAYERS = ""
"""The name of a curve of all layers together."""
TRAPEZOID_RULE = {"text": True, "figures": False}


@dataclass(frozen=True)
class Curve:
    """One ablation curve.

    protocol: the protocol by which units are dropped.
    layers: the layers whose units are dropped, together.
    name: the layer's name; empty for all layers together.
    whole: whether whole channels are dropped, the same for all examples; if not, each example has draws of its own.
    units: for each layer, the number of things that can be dropped: channels or, of an example, values.
    dropped: for each layer, how many of them are dropped at each level.
    """

    protocol: Protocol
    layers: tuple[Layer, ...]
    name: str
    whole: bool
    units: tuple[int, ...]
    dropped: tuple[tuple[int, ...], ...]

    @property
    def joint(self) -> bool:
        """Whether it drops units of all layers together."""
        return self.name == ALL_LAYERS

    @cached_property
    def groups(self) -> list[list[int]]:
        """Levels at which equally many units are dropped everywhere, so that one run serves all of a group."""
        found: dict[tuple[int, ...], list[int]] = {}
        for level, counts in enumerate(zip(*self.dropped, strict=True)):
            found.setdefault(counts, []).append(level)
        return list(found.values())

    @cached_property
    def group_counts(self) -> list[list[int]]:
        """For each layer, how many units are dropped in each group."""
        return [[counts[group[0]] for group in self.groups] for counts in self.dropped]

    @cached_property
    def intact(self) -> list[bool]:
        """For each group, whether nothing is dropped, so that the labels are known."""
        return [not any(counts) for counts in zip(*self.group_counts, strict=True)]

    @cached_property
    def everything(self) -> list[bool]:
        """For each group, whether everything is dropped, so that all samplings are alike."""
        return [counts == self.units for counts in zip(*self.group_counts, strict=True)]

    @cached_property
    def known(self) -> list[bool]:
        """For each group, whether nothing is left to chance: nothing or everything is dropped."""
        return [intact or everything for intact, everything in zip(self.intact, self.everything, strict=True)]

    @cached_property
    def group_of_level(self) -> Int[np.ndarray, " levels"]:
        """The group that each level is in."""
        levels = {level: number for number, group in enumerate(self.groups) for level in group}
        return np.array([levels[level] for level in range(len(levels))])

    @cached_property
    def weights(self) -> Float[np.ndarray, " groups"]:
        """The weight of each group's share of unchanged labels in the area under the curve."""
        levels = len(self.dropped[0])
        single = area_under_curve(np.eye(levels), self.protocol)
        return np.array([single[group].sum() for group in self.groups])


def curves(layers: Sequence[Layer], run: RecordedRun, settings: Measurement) -> list[Curve]:
    """The curves to measure, protocol by protocol, for layers with the shapes that they have in the first batch."""
    found = []
    for protocol in settings.protocols:
        whole = protocol == "figures" or settings.granularity == "channel"
        if protocol == "figures":
            found.append(_curve(protocol, layers, ALL_LAYERS, whole, run, settings))
        found += [_curve(protocol, [layer], layer.name, whole, run, settings) for layer in layers]
    return found


def _curve(
    protocol: Protocol, layers: Sequence[Layer], name: str, whole: bool, run: RecordedRun, settings: Measurement
) -> Curve:
    units = [layer.units if whole else _values_of_a_row(layer, run) for layer in layers]
    count = floored_counts if protocol == "figures" else dropped_counts
    dropped = tuple(tuple(count(each, settings.levels)) for each in units)
    return Curve(protocol, tuple(layers), name, whole, tuple(units), dropped)


def _values_of_a_row(layer: Layer, run: RecordedRun) -> int:
    """The number of values that a layer has for each example or, if it is routed, each token."""
    return math.prod(layer.shape) if layer.routed else run.values[layer.name].numel() // run.examples


def floored_counts(units: int, levels: int) -> list[int]:
    """Number of n `units` that are dropped at each of `levels` equally spaced shares from 0 to 1: floor(share * n)."""
    return [units * level // (levels - 1) for level in range(levels)]


def area_under_curve(
    shares: Float[np.ndarray, "*rows levels"], protocol: Protocol = "text"
) -> Float[np.ndarray, "*rows"]:
    """The area under ablation curves over equally spaced levels from 0 to 1, as the protocol forms it."""
    if TRAPEZOID_RULE[protocol]:
        return np.trapezoid(shares, np.linspace(0, 1, shares.shape[-1]), axis=-1)
    return shares.mean(axis=-1)


def corrected_for_chance(
    areas: Float[np.ndarray, " samplings"], levels: int, classes: int, protocol: Protocol = "text"
) -> Float[np.ndarray, " samplings"]:
    """AUC on a scale where 1 is a network that never changes a label, and 0 one that answers at random once ablated.

    A random answer, one of `classes` labels, is the intact one in 1 of `classes` cases; where nothing is dropped, the
    answer is always the intact one.
    """
    floor = area_of_chance(levels, classes, protocol)
    return (areas - floor) / (1 - floor)


def area_of_chance(levels: int, classes: int, protocol: Protocol) -> float:
    """The area under the curve of a network that answers at random once ablated."""
    return float(area_under_curve(np.array([[1.0] + [1 / classes] * (levels - 1)]), protocol)[0])


def prunability(shares: Float[np.ndarray, "samplings levels"], threshold: float) -> Float[np.ndarray, " samplings"]:
    """The share of dropped units at which unchanged labels first fall below `threshold` (AAAI version, "prunability").

    Between levels the curve is a straight line. 1 where it never falls below the threshold: everything can be dropped.
    """
    dropped = np.linspace(0, 1, shares.shape[-1])
    found = np.ones(len(shares))
    for row, curve in enumerate(shares):
        below = np.flatnonzero(curve < threshold)
        if len(below) and below[0] > 0:
            last, next_one = below[0] - 1, below[0]
            part = (curve[last] - threshold) / (curve[last] - curve[next_one])
            found[row] = dropped[last] + part * (dropped[next_one] - dropped[last])
        elif len(below):
            found[row] = 0.0
    return found
