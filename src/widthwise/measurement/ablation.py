"""Removability (Section 2.1, Fig. 2): how many labels stay when a random share of a layer's units is dropped."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from widthwise.measurement.masks import dropped_counts, laid_out, levels_survived, random_levels, stays
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layers import Layer
from widthwise.tracing.network import Network, RecordedRun

ABLATION_STREAM = 1


@dataclass
class AblationCounts:
    """How many of the labels seen so far stayed, for each sampling and level.

    units: of how many a share is dropped: of every value of an example, or of the units.
    unchanged: on the device of the network, so that counting does not wait for it.
    """

    units: int
    unchanged: Int[Tensor, "samplings levels"]
    labels: int = 0

    def shares(self) -> Float[np.ndarray, "samplings levels"]:
        """The proportion of unchanged labels."""
        return (self.unchanged.cpu().double() / self.labels).numpy()


def counted(run: RecordedRun, layer: Layer, settings: Measurement) -> AblationCounts:
    """Counts of nothing yet, for a layer as it is in a first batch."""
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
    stream: Sequence[int],
    replacement: Float[Tensor, " units"] | None,
) -> None:
    """Add to `counts` how many of a batch's labels stay at every level and sampling of the layer.

    Where nothing is dropped the network is the intact one, and where everything is dropped no draw is left: the first
    needs no run of the network, the second one for all samplings.

    Args:
        first: how many examples came before this batch; an example's draws depend on its number, not on its batch.
        replacement: what takes the place of a unit's activity when it is dropped; zero where it is None.
    """
    value = run.values[layer.name]
    dropped = dropped_counts(counts.units, settings.levels)
    memory = torch.empty_like(value)
    counts.labels += run.labels.numel()
    for sampling in range(settings.samplings):
        seed = np.random.SeedSequence([*stream, sampling])
        whole = settings.granularity == "channel"
        rows, number = (1, 0) if whole else (run.examples, first)
        survived = levels_survived(seed, number, rows, counts.units, dropped, value.device)
        survived = laid_out(survived, value, layer.unit_dimension, layer.example_dimension)
        for place, level in enumerate(random_levels(dropped, counts.units)):
            ablated = without(value, stays(survived, place, memory), layer, replacement, memory)
            counts.unchanged[sampling, level] += (network.rerun(run, layer, ablated) == run.labels).sum()
    for level, count in enumerate(dropped):
        if count == counts.units:
            labels = network.rerun(run, layer, without(value, value.new_zeros(()), layer, replacement))
            counts.unchanged[:, level] += (labels == run.labels).sum()
        elif count == 0:
            counts.unchanged[:, level] += run.labels.numel()


def without(
    value: Float[Tensor, "..."],
    stays: Float[Tensor, "..."],
    layer: Layer,
    replacement: Float[Tensor, " units"] | None,
    into: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, "..."]:
    """A layer's value where what does not stay (is 0 and not 1) is replaced, laid out as it was.

    It is written `into` memory that is given, else into new memory.
    """
    if replacement is None:
        return torch.mul(value, stays, out=into)
    return torch.where(stays > 0, value, replacement.to(value).view(_along_units(value, layer)), out=into)


def _along_units(value: Float[Tensor, "..."], layer: Layer) -> list[int]:
    """The shape in which a vector of a number for each unit is spread over a layer's value."""
    return [-1 if place == layer.unit_dimension else 1 for place in range(value.dim())]


def area_under_curve(shares: Float[np.ndarray, "... levels"]) -> np.ndarray:
    """The area under ablation curves over equally spaced levels from 0 to 1, by the trapezoid rule."""
    return np.trapezoid(shares, np.linspace(0, 1, shares.shape[-1]), axis=-1)


def corrected_for_chance(areas: np.ndarray, levels: int, classes: int) -> np.ndarray:
    """AUC on a scale where 1 is a network that never changes a label, and 0 one that answers at random once ablated.

    A random answer of `classes` labels is the intact one in 1 of `classes` cases; where nothing is dropped, always.
    """
    floor = area_under_curve(np.array([[1.0] + [1 / classes] * (levels - 1)]))[0]
    return (areas - floor) / (1 - floor)


def labels_without(
    network: Network,
    layer: Layer,
    run: RecordedRun,
    units: list[int],
    replacement: Float[Tensor, " units"] | None = None,
) -> Int[Tensor, "..."]:
    """The labels of a batch when these units are dropped, everywhere."""
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
    """How many labels of a batch stay when each group of units is dropped, the network run for `together` at a time."""
    value = run.values[layer.name]
    kept = torch.ones(len(groups), layer.units, dtype=value.dtype)
    for row, units in enumerate(groups):
        kept[row, list(units)] = 0
    kept = kept.to(value.device).view(len(groups), *_along_units(value, layer))

    def unchanged(stays: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        ablated = without(value, stays, layer, replacement)
        return (run.tape.replay(run.plans[layer.name], ablated) == run.labels).sum()

    if network.replayed and together > 1:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "There is a performance drop")
                return torch.cat([torch.vmap(unchanged)(part) for part in kept.split(together)])
        except (RuntimeError, ValueError):  # a function that torch.vmap does not know; one group at a time, then
            pass
    labels = (network.rerun(run, layer, without(value, stays, layer, replacement)) for stays in kept)
    return torch.stack([(each == run.labels).sum() for each in labels])
