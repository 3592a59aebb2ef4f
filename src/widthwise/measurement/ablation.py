"""Removability (Section 2.1, Fig. 2): how many labels stay when a random share of a layer's units is dropped."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt
from torch import Tensor

from widthwise.measurement.graph import Layer, Network, Values
from widthwise.measurement.settings import Granularity, Measurement

NARROW_KEY_UNITS = 2048
"""Keys of 32 bits sort several times as fast; up to so many units they still hold 21 random bits."""


def drop_keys(
    stream: np.random.SeedSequence, rows: int, units: int
) -> tuple[UInt[np.ndarray, "rows units"], UInt[np.ndarray, "rows units"]]:
    """Distinct random keys for the units of each row, and the same keys in order.

    The units with a row's k smallest keys are a random choice of exactly k units. A key is random but for its lowest
    bits, which hold the unit's number, so that no two are alike.
    """
    key = np.uint32 if units <= NARROW_KEY_UNITS else np.uint64
    words = np.random.PCG64(stream).random_raw(-(-rows * units * np.dtype(key).itemsize // 8))
    keys = words.view(key)[: rows * units].reshape(rows, units)
    bits = key(max(units - 1, 1).bit_length())
    keys = (keys >> bits << bits) | np.arange(units, dtype=key)
    return keys, np.sort(keys, axis=1)


def dropped_counts(units: int, levels: int) -> list[int]:
    """How many of n `units` are dropped at each of `levels` equally spaced shares from 0 to 1: round(share * n)."""
    return [round(share * units) for share in np.linspace(0, 1, levels).tolist()]


def drop_masks(
    stream: np.random.SeedSequence,
    shape: torch.Size,
    unit_dimension: int,
    counts: list[int],
    granularity: Granularity,
) -> Iterator[tuple[int, Bool[Tensor, "*broadcast"]]]:
    """For each level of `counts` that is random, its place and which values of a `shape` stay.

    Within one stream the units dropped at a level include those dropped at the levels below it.
    """
    if granularity == "application":
        rows, layout = shape[0], shape
    else:
        rows, layout = 1, [1] * len(shape)
        layout[unit_dimension] = shape[unit_dimension]
    units = int(np.prod(layout)) // rows
    keys, in_order = drop_keys(stream, rows, units)
    for level, count in enumerate(counts):
        if 0 < count < units:
            yield level, torch.from_numpy(keys >= in_order[:, count : count + 1]).view(*layout)


@dataclass
class AblationCounts:
    """How many of the labels seen so far stayed, for each sampling and level."""

    units: int
    unchanged: Int[Tensor, "samplings levels"]
    labels: int = 0

    def shares(self) -> np.ndarray:
        """The proportion of unchanged labels, `samplings levels`."""
        return (self.unchanged.double() / self.labels).numpy()


def ablate(
    network: Network,
    layer: Layer,
    values: Values,
    labels: Int[Tensor, "*examples"],
    counts: AblationCounts,
    settings: Measurement,
    stream: tuple[int, ...],
) -> None:
    """Add to `counts` how many of a batch's `labels` stay at every level and sampling of the layer.

    Where nothing is dropped the network is the intact one, and where everything is dropped no draw is left: the first
    needs no run of the network, the second one for all samplings.
    """
    value = values[layer.node]
    assert isinstance(value, Tensor)
    dropped = dropped_counts(counts.units, settings.levels)

    def unchanged(ablated: Tensor) -> Tensor:
        return (network.rerun(layer, ablated, values).argmax(-1) == labels).sum()

    counts.labels += labels.numel()
    for sampling in range(settings.samplings):
        seeds = np.random.SeedSequence([*stream, sampling])
        masks = drop_masks(seeds, value.shape, layer.unit_dimension, dropped, settings.granularity)
        for level, stays in masks:
            counts.unchanged[sampling, level] += unchanged(value * stays.to(value.device))
    whole = [level for level, count in enumerate(dropped) if count == counts.units]
    counts.unchanged[:, whole] += unchanged(torch.zeros_like(value))
    none = [level for level, count in enumerate(dropped) if count == 0]
    counts.unchanged[:, none] += labels.numel()


def area_under_curve(shares: np.ndarray) -> np.ndarray:
    """The area under ablation curves over equally spaced levels from 0 to 1, by the trapezoid rule."""
    return np.trapezoid(shares, np.linspace(0, 1, shares.shape[-1]), axis=-1)


def unchanged_without(network: Network, layer: Layer, values: Values, units: list[int]) -> Bool[Tensor, "*examples"]:
    """Which labels of a batch stay when just these units are dropped, everywhere."""
    value = values[layer.node]
    assert isinstance(value, Tensor)
    stays = torch.ones(value.shape[layer.unit_dimension], dtype=torch.bool, device=value.device)
    stays[units] = False
    layout = [1] * value.dim()
    layout[layer.unit_dimension] = -1
    intact = network.output(values).argmax(-1)
    return network.rerun(layer, value * stays.view(layout), values).argmax(-1) == intact
