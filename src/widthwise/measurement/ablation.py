"""Removability (Section 2.1, Fig. 2): how many labels stay when a random share of a layer's units is dropped."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from widthwise.measurement.curves import Curve
from widthwise.measurement.label_counts import LabelCounts
from widthwise.measurement.masks import ROWS_OF_AN_EXAMPLE, draw_seed, laid_out, levels_survived, random_levels, stays
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network
from widthwise.tracing.predicted_labels import NO_LABEL
from widthwise.tracing.recorded_run import RecordedRun
from widthwise.tracing.tape import ReplayPlan

Replacements = Mapping[str, Float[Tensor, " units"]]
"""The activity of each of a layer's units when it is dropped, by the layer's name; zero for other layers."""


def ablate(
    network: Network,
    curve: Curve,
    run: RecordedRun,
    first: int,
    counts: LabelCounts,
    samplings: int,
    seed: int,
    replacements: Replacements,
    at_once: int = 1,
) -> None:
    """Add to `counts` the number of a batch's labels that stay at every level and sampling of a curve.

    Where nothing is dropped the network is intact, which needs no run; where everything is dropped there is nothing to
    draw, so one run serves all samplings.

    Args:
        network: the network.
        curve: what is dropped.
        run: the intact run of the batch.
        first: the number of examples before this batch. An example's draws depend on its index, not on its batch; those
            of a token that a router chose depend on its batch, too.
        counts: the curve's counts.
        samplings: the number of samplings.
        seed: the seed of the random draws.
        replacements: the activity of dropped units.
        at_once: the number of levels to run as one batch.
    """
    compared = per_example(run, torch.ones_like(run.labels, dtype=torch.bool))
    unchanged = torch.zeros(len(compared), samplings, len(curve.groups), dtype=torch.long, device=compared.device)
    lost = torch.zeros_like(unchanged[0])
    reached = curve.joint or curve.name in run.values
    dropping = Dropping(network, curve, run, replacements) if reached else None
    for sampling in range(samplings):
        if dropping is None:
            break
        dropping.draw(seed, sampling, first)
        groups = random_groups(curve)
        for start in range(0, len(groups), at_once):
            part = groups[start : start + at_once]
            found = dropping.labels_at_once(part) if at_once > 1 else [dropping.labels(part[0])]
            for group, labels in zip(part, found, strict=True):
                unchanged[:, sampling, group] = per_example(run, labels == run.labels)
                lost[sampling, group] = (labels == NO_LABEL).sum()
    for group, (intact, everything) in enumerate(zip(curve.intact, curve.everything, strict=True)):
        if intact or dropping is None:  # nothing is dropped, or a router chose no token for this expert
            unchanged[:, :, group] = compared[:, None]
        elif everything:
            labels = dropping.labels_without_all()
            unchanged[:, :, group] = per_example(run, labels == run.labels)[:, None]
            lost[:, group] = (labels == NO_LABEL).sum()
    counts.update_lost(lost)
    counts.update(unchanged.sum(0), np.full(counts.compared.shape, run.labels.numel()))
    counts.update_examples(unchanged.sum(1), (samplings * compared)[:, None].expand(-1, len(curve.groups)))


def per_example(run: RecordedRun, labels: Bool[Tensor, "*labels"]) -> Int[Tensor, " examples"]:
    """How many of a batch's labels something is true of, for each example; in one sum, if that is not known of them."""
    if run.label_examples is None:
        return labels.sum().view(1)
    counts = torch.zeros(run.examples, dtype=torch.long, device=labels.device)
    return counts.index_add_(0, run.label_examples, labels.flatten().long())


def random_groups(curve: Curve) -> list[int]:
    """Indices of the groups of a curve's levels that need a random draw."""
    return [group for group, known in enumerate(curve.known) if not known]


class Dropping:
    """One batch, run again with units dropped as a curve says.

    Args:
        network: the network.
        curve: what is dropped.
        run: the intact run of the batch.
        replacements: the activity of dropped units.
    """

    def __init__(self, network: Network, curve: Curve, run: RecordedRun, replacements: Replacements):
        self._network, self._curve, self._run, self._replacements = network, curve, run, replacements
        self._numbers = {layer.name: number for number, layer in enumerate(curve.layers)}
        self._survived: dict[str, Tensor] = {}
        self._memory: Tensor | None = None
        if not curve.joint:
            self._memory = torch.empty_like(run.values[curve.name])

    def draw(self, seed: int, sampling: int, first: int) -> None:
        """Draw the units to drop, for a sampling of the examples from index `first` on."""
        for layer, units, counts in zip(self._curve.layers, self._curve.units, self._curve.group_counts, strict=True):
            value = self._value_of(layer)
            stream = draw_seed(seed, layer.stream, sampling)
            start = first * ROWS_OF_AN_EXAMPLE if layer.routed else first
            rows, start = (1, 0) if self._curve.whole else (self._run.rows(layer), start)
            drawn = levels_survived(stream, start, rows, units, counts, value.device)
            self._survived[layer.name] = laid_out(drawn, value, layer.unit_dimension, layer.example_dimension)

    def _value_of(self, layer: Layer) -> Tensor:
        """A layer's value; one without tokens for an expert that the intact run did not reach."""
        if layer.name in self._run.values:
            return self._run.values[layer.name]
        shape = [*layer.shape[: layer.example_dimension], 0, *layer.shape[layer.example_dimension :]]
        return next(iter(self._run.values.values())).new_empty(shape)

    def labels(self, group: int | Int[Tensor, " examples"]) -> Tensor:
        """The labels with the units of a group of levels dropped, the same for all examples or one for each."""

        def dropped(layer: Layer, value: Tensor, memory: Tensor | None) -> Tensor:
            number, survived = self._numbers[layer.name], self._survived[layer.name]
            needed = _survived_to_stay(self._curve.group_counts[number], self._curve.units[number])
            if isinstance(group, int):
                least = needed[group]
            else:
                shape = [-1 if each == layer.example_dimension else 1 for each in range(value.dim())]
                least = torch.tensor(needed, dtype=survived.dtype, device=value.device)[group].view(shape)
            kept = stays(survived, least, memory)
            return without(value, kept, layer, self._replacements.get(layer.name), memory)

        return self._rerun(dropped)

    def labels_at_once(self, groups: list[int], scores: bool = False) -> Tensor:
        """The labels with the units of each of some groups of levels dropped, all of them run as one batch.

        Args:
            groups: the groups.
            scores: return the scores instead.

        Raises:
            RuntimeError, ValueError: PyTorch cannot run a function of the network for several values at once.
        """
        layer, tape = self._run.layers[self._curve.name], self._run.tape
        value, survived = self._run.values[layer.name], self._survived[layer.name]
        plan = self._scores_plan() if scores else self._run.plans[layer.name]
        needed = _survived_to_stay(self._curve.group_counts[0], self._curve.units[0])
        chosen = torch.tensor([needed[group] for group in groups], dtype=survived.dtype, device=value.device)

        def replayed(least: Tensor) -> Tensor:
            kept = (survived >= least).to(value.dtype)
            ablated = without(value, kept, layer, self._replacements.get(layer.name))
            return tape.replay(plan, lambda _, whole: layer.closed(ablated, whole))

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")
            return torch.vmap(replayed)(chosen)

    def scores(self, group: int) -> Tensor:
        """The scores with the units of a group of levels dropped."""
        layer = self._run.layers[self._curve.name]
        value, memory = self._run.values[layer.name], self._memory
        least = _survived_to_stay(self._curve.group_counts[0], self._curve.units[0])[group]
        kept = stays(self._survived[layer.name], least, memory)
        ablated = without(value, kept, layer, self._replacements.get(layer.name), memory)
        return self._run.tape.replay(self._scores_plan(), lambda _, whole: layer.closed(ablated, whole))

    def _scores_plan(self) -> ReplayPlan:
        return self._run.tape.replay_plan([self._run.slots[self._curve.name]], self._run.tape.results[0])

    def labels_without_all(self) -> Tensor:
        """The labels with all units dropped."""
        if not self._curve.joint:
            layer = self._curve.layers[0]
            return self._network.rerun_without_units(self._run, layer, self._replacements.get(layer.name, 0.0))
        return self._rerun(
            lambda layer, value, _: without(value, value.new_zeros(()), layer, self._replacements.get(layer.name))
        )

    def _rerun(self, dropped: Callable[[Layer, Tensor, Tensor | None], Tensor]) -> Tensor:
        if self._memory is None:
            return self._network.rerun_together(self._run, lambda layer, value: dropped(layer, value, None))
        layer = self._curve.layers[0]
        value = self._run.values[layer.name]
        return self._network.rerun(self._run, layer, dropped(layer, value, self._memory))


def _survived_to_stay(counts: list[int], units: int) -> list[int]:
    """For each group of levels, the least number of random levels that a unit survives which stays."""
    drawn = random_levels(counts, units)
    numbers = {level: number + 1 for number, level in enumerate(drawn)}
    return [numbers.get(level, 0 if count == 0 else len(drawn) + 1) for level, count in enumerate(counts)]


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
    if layer.name not in run.values:  # a router chose no token for this expert
        return torch.full((len(groups),), run.labels.numel(), device=run.labels.device)
    value, found = run.values[layer.name], run.layers[layer.name]
    kept = torch.ones(len(groups), layer.units, dtype=value.dtype)
    for row, units in enumerate(groups):
        kept[row, list(units)] = 0
    kept = kept.to(value.device).view(len(groups), *_along_units(value, layer))

    def unchanged(stays: Tensor) -> Tensor:
        ablated = without(value, stays, layer, replacement)
        labels = run.tape.replay(run.plans[layer.name], lambda _, whole: found.closed(ablated, whole))
        return (labels == run.labels).sum()

    if network.replays(layer) and together > 1:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "There is a performance drop")
                return torch.cat([torch.vmap(unchanged)(part) for part in kept.split(together)])
        except (RuntimeError, ValueError):  # torch.vmap does not know a function: one group at a time
            pass
    labels = (network.rerun(run, layer, without(value, stays, layer, replacement)) for stays in kept)
    return torch.stack([(each == run.labels).sum() for each in labels])
