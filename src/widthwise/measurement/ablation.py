"""Removability (Section 2.1, Fig. 2): how many labels stay when a random share of a layer's units is dropped."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from widthwise.measurement.masks import draw_seed, dropped_counts, laid_out, levels_survived, random_levels, stays
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network, RecordedRun


@dataclass
class AblationCounts:
    """Counts of the labels so far that stayed, for each sampling and level.

    units: the number that can be dropped: an example's values, or with granularity `channel` the layer's units.
    unchanged: the counts, on the device of the network, so that counting does not wait for it.
    labels: the number of labels so far.
    """

    units: int
    unchanged: Int[Tensor, "samplings levels"]
    labels: int = 0

    def shares(self) -> Float[np.ndarray, "samplings levels"]:
        """The proportion of unchanged labels."""
        return (self.unchanged.cpu().double() / self.labels).numpy()


def no_counts(run: RecordedRun, layer: Layer, settings: Measurement) -> AblationCounts:
    """Counts of 0, for a layer with the shape that it has in the first batch."""
    value = run.values[layer.name]
    whole = settings.granularity == "channel"
    units = layer.units if whole else value.numel() // run.examples
    unchanged = torch.zeros(settings.samplings, settings.levels, dtype=torch.long, device=value.device)
    return AblationCounts(units, unchanged)


def ablate(
    network: Network,
    layer: Layer,
    run: RecordedRun,
    first: int,
    counts: AblationCounts,
    settings: Measurement,
    stream: tuple[int, int],
    replacement: Float[Tensor, " units"] | None,
) -> None:
    """Add to `counts` the number of a batch's labels that stay at every level and sampling of the layer.

    Where nothing is dropped the network is intact, which needs no run; where everything is dropped there is nothing to
    draw, so one run serves all samplings.

    Args:
        network: the network.
        layer: the layer whose units are dropped.
        run: the intact run of the batch.
        first: the number of examples before this batch. An example's draws depend on its index, not on its batch.
        counts: the layer's counts.
        settings: levels, samplings and granularity.
        stream: the seed of the random draws, and the index of the layer.
        replacement: the activity of each unit when it is dropped; None: zero.
    """
    value = run.values[layer.name]
    dropped = dropped_counts(counts.units, settings.levels)
    memory = torch.empty_like(value)
    counts.labels += run.labels.numel()
    for sampling in range(settings.samplings):
        seed = draw_seed(*stream, sampling)
        whole = settings.granularity == "channel"
        rows, start = (1, 0) if whole else (run.examples, first)
        survived = levels_survived(seed, start, rows, counts.units, dropped, value.device)
        survived = laid_out(survived, value, layer.unit_dimension, layer.example_dimension)
        for number, level in enumerate(random_levels(dropped, counts.units)):
            ablated = without(value, stays(survived, number, memory), layer, replacement, memory)
            counts.unchanged[sampling, level] += (network.rerun(run, layer, ablated) == run.labels).sum()
    for level, count in enumerate(dropped):
        if count == counts.units:
            labels = network.rerun(run, layer, without(value, value.new_zeros(()), layer, replacement))
            counts.unchanged[:, level] += (labels == run.labels).sum()
        elif count == 0:
            counts.unchanged[:, level] += run.labels.numel()


def without(
    value: Tensor,
    stays: Tensor,
    layer: Layer,
    replacement: Float[Tensor, " units"] | None,
    into: Tensor | None = None,
) -> Tensor:
    """A layer's value, in its own memory layout, with the entries replaced for which `stays` is 0 and not 1.

    It is written `into` the given memory, or into new memory.
    """
    if replacement is None:
        return torch.mul(value, stays, out=into)
    return torch.where(stays > 0, value, replacement.to(value).view(_along_units(value, layer)), out=into)


def _along_units(value: Tensor, layer: Layer) -> list[int]:
    """The shape in which a vector with a number for each unit is broadcast over a layer's value."""
    return [-1 if dimension == layer.unit_dimension else 1 for dimension in range(value.dim())]


def area_under_curve(shares: Float[np.ndarray, "samplings levels"]) -> Float[np.ndarray, " samplings"]:
    """The area under ablation curves over equally spaced levels from 0 to 1, by the trapezoid rule."""
    return np.trapezoid(shares, np.linspace(0, 1, shares.shape[-1]), axis=-1)


def corrected_for_chance(
    areas: Float[np.ndarray, " samplings"], levels: int, classes: int
) -> Float[np.ndarray, " samplings"]:
    """AUC on a scale where 1 is a network that never changes a label, and 0 one that answers at random once ablated.

    A random answer, one of `classes` labels, is the intact one in 1 of `classes` cases; where nothing is dropped, the
    answer is always the intact one.
    """
    floor = area_under_curve(np.array([[1.0] + [1 / classes] * (levels - 1)]))[0]
    return (areas - floor) / (1 - floor)


def labels_without(
    network: Network,
    layer: Layer,
    run: RecordedRun,
    units: list[int],
    replacement: Float[Tensor, " units"] | None = None,
) -> Tensor:
    """The labels of a batch when these units are dropped at every position."""
    value = run.values[layer.name]
    kept = value.new_ones(layer.units)
    kept[units] = 0
    kept = kept.view(_along_units(value, layer))
    return network.rerun(run, layer, without(value, kept, layer, replacement))


def unchanged_without_each(
    network: Network,
    layer: Layer,
    run: RecordedRun,
    groups: Sequence[Sequence[int]],
    replacement: Float[Tensor, " units"] | None,
    together: int,
) -> Int[Tensor, " groups"]:
    """Number of labels of a batch that stay when each group of units is dropped, for `together` groups at a time."""
    value = run.values[layer.name]
    kept = torch.ones(len(groups), layer.units, dtype=value.dtype)
    for row, units in enumerate(groups):
        kept[row, list(units)] = 0
    kept = kept.to(value.device).view(len(groups), *_along_units(value, layer))

    def unchanged(stays: Tensor) -> Tensor:
        ablated = without(value, stays, layer, replacement)
        return (run.tape.replay(run.plans[layer.name], layer.closed(ablated)) == run.labels).sum()

    if network.replayed and together > 1:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "There is a performance drop")
                return torch.cat([torch.vmap(unchanged)(part) for part in kept.split(together)])
        except (RuntimeError, ValueError):  # torch.vmap does not know a function: one group at a time
            pass
    labels = (network.rerun(run, layer, without(value, stays, layer, replacement)) for stays in kept)
    return torch.stack([(each == run.labels).sum() for each in labels])
