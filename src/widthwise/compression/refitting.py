"""The choice of the units that stay, and new weights for what reads them, from one end of a network to the other.

Two runs of the calibration batches go along: of the intact network, and of the one whose readers have new weights. A
reader is fitted to give what the intact network has at its sum, from what the smaller network's units give it, less
what the smaller network adds to it there. So each reader makes up for what those before it have lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from widthwise.compression.elimination import Moments, eliminate, moments_of, refit
from widthwise.compression.groups import Group
from widthwise.compression.reader import BATCH_NORM, Destination, Reader, arguments, destination
from widthwise.compression.run import Run
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, Progress
from widthwise.randomness import generator
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape

ROWS = 64_000
"""Rows over which a reader's moments are means, over all batches."""
MOST_FEATURES = 8_000
"""A reader with more features takes too much memory: eight times their square in bytes, several times over."""
FLAT = 1e-6
"""A channel that batch normalization scales by less than this share of the largest scale passes nothing on."""


@dataclass
class Refitted:
    """What was chosen and fitted.

    kept: the units that stay, by the group's name.
    orders: the units in the order in which they go, and errors: what that adds up to, by the group's name.
    fits: the squared error of the reader's fit, as a share of its sum's variance, by the group's name.
    sizes: the rows of the fit and the features of the reader, by the group's name.
    changed: new values of parameters; biases: new parameters where there were none.
    """

    kept: dict[str, list[int]] = field(default_factory=dict)
    orders: dict[str, list[int]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)
    fits: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    changed: dict[str, Tensor] = field(default_factory=dict)
    biases: dict[str, Tensor] = field(default_factory=dict)


class _Pair(NamedTuple):
    """The runs of one batch, and its tape."""

    intact: Run
    smaller: Run
    tape: Tape


class Refitting:
    """Goes through a network's readers.

    Args:
        model: the network.
        graph: a run of it, in which the groups were found.
        groups: the groups to make smaller, in the order of their readers, and keep: how many units of each stay.
        tapes: the runs of the calibration batches, with the values that no operation gives.
        names: the names of parameters and buffers, by their `id`.
        seed: the seed of the draws of rows.

    Raises:
        RequestError: a batch takes another path through the network than the first examples.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        groups: Sequence[Group],
        keep: Mapping[str, int],
        tapes: Sequence[Tape],
        names: Mapping[int, str],
        seed: int,
    ):
        self._model, self._graph, self._groups, self._keep = model, graph, groups, keep
        self._names, self._seed = names, seed
        for number, tape in enumerate(tapes, start=1):
            _check_same_path(graph.tape, tape, number)
        self._destinations = {id(group.reader): destination(graph, group.reader) for group in groups}
        ends = {each.end for each in self._destinations.values()}
        self._pairs = [_Pair(Run(tape, names, ends), Run(tape, names, ()), tape) for tape in tapes]
        self.result = Refitted()

    def run(self, on_progress: OnProgress) -> list[Tensor]:
        """Fit every reader; the scores of each batch by the network whose readers have their new weights."""
        readers = {id(group.reader): group.reader for group in self._groups}
        for done, reader in enumerate(readers.values()):
            on_progress(Progress("compressing", done, len(readers), "layers"))
            self._fit(reader, [group for group in self._groups if group.reader is reader])
        on_progress(Progress("compressing", len(readers), len(readers), "layers"))
        return [pair.smaller.value(self._graph.tape.results[0]) for pair in self._pairs]

    def _fit(self, operation: Operation, groups: Sequence[Group]) -> None:
        """Choose the units of the groups that an operation reads, and fit its weights."""
        index = self._graph.depth[id(operation)]
        reader = Reader(operation, self._graph.tape.values)
        arrival = self._destinations[id(operation)]
        weight_name = self._names[id(self._graph.tape.values[reader.weight])]
        first = self._pairs[0].smaller
        weight = first.value(reader.weight)
        bias = None if reader.bias is None else first.value(reader.bias)
        scale, shift = self._norm(arrival, reader.outputs, weight)
        present = reader.matrix(weight, bias) * scale
        present[-1] += shift
        moments = self._moments(reader, arrival, present, index)
        gone: list[int] = []
        for group in groups:
            gone += self._choose(group, reader, moments, gone)
        staying = torch.ones(len(moments.gram), dtype=torch.bool)
        staying[gone] = False
        bias_name = self._place_of_bias(reader, arrival, weight_name)
        staying[-1] = bool(bias_name)
        kept = torch.nonzero(staying).flatten().to(weight.device)
        fitted = torch.zeros_like(present)
        fitted[kept], error = refit(moments, kept)
        self.result.fits.update({group.name: error for group in groups})
        self.result.sizes.update({group.name: (moments.rows, len(moments.gram) - 1) for group in groups})
        if not bias_name:
            fitted[-1] = present[-1]
        for pair in self._pairs:
            pair.intact.release(arrival.end)
        self._install(reader, arrival, index, weight_name, bias_name, fitted, staying, scale, shift)

    def _choose(self, group: Group, reader: Reader, moments: Moments, gone: Sequence[int]) -> list[int]:
        """Choose a group's units; the features of those that go."""
        blocks = _blocks(group, reader)
        there = torch.ones(len(moments.gram), dtype=torch.bool)
        there[list(gone)] = False
        place = torch.cumsum(there, 0) - 1
        left = Moments(
            moments.gram[there][:, there],
            moments.cross[there],
            moments.square,
            moments.power,
            moments.rows,
            moments.weights[there],
        )
        found = eliminate(left, place[blocks].to(moments.gram.device), self._keep[group.name])
        self.result.kept[group.name] = kept = found.kept(self._keep[group.name])
        self.result.orders[group.name], self.result.errors[group.name] = found.order, found.errors
        stays = torch.zeros(group.units, dtype=torch.bool)
        stays[kept] = True
        return blocks[~stays].flatten().tolist()

    def _moments(
        self, reader: Reader, arrival: Destination, present: Float[Tensor, "features outputs"], index: int
    ) -> Moments:
        features, targets, sums = [], [], []
        share = -(-ROWS // len(self._pairs))
        for number, pair in enumerate(self._pairs):
            whole = pair.intact.value(arrival.end)
            rows = reader.sampled(whole, share, generator(self._seed, "compress", index, number))
            sums.append(reader.targets(whole, rows))
            added = 0 if arrival.added is None else reader.targets(pair.smaller.value(arrival.added), rows)
            targets.append(sums[-1] - added)
            features.append(reader.features(pair.smaller.value(reader.data), rows, whole.shape))
        return moments_of(features, targets, sums, present)

    def _norm(
        self, arrival: Destination, outputs: int, like: Tensor
    ) -> tuple[Float[Tensor, " outputs"], Float[Tensor, " outputs"]]:
        """The scale and the shift by which batch normalization follows; 1 and 0 where there is none."""
        ones = torch.ones(outputs, dtype=torch.float64, device=like.device)
        if arrival.norm is None:
            return ones, torch.zeros_like(ones)
        given = arguments(arrival.norm, BATCH_NORM)

        def read(name: str, otherwise: Tensor) -> Tensor:
            slot = given.get(name)
            return self._pairs[0].smaller.value(slot).double() if isinstance(slot, Slot) else otherwise

        epsilon = given.get("eps", 1e-5)
        assert isinstance(epsilon, float)
        scale = read("weight", ones) / (read("running_var", ones) + epsilon).sqrt()
        return scale, read("bias", torch.zeros_like(ones)) - read("running_mean", torch.zeros_like(ones)) * scale

    def _place_of_bias(self, reader: Reader, arrival: Destination, weight_name: str) -> str:
        """The name of the parameter that takes a reader's new bias; empty if there is no place for one."""
        slots = [reader.bias]
        if arrival.norm is not None:
            given = arguments(arrival.norm, BATCH_NORM).get("bias")
            slots = [given if isinstance(given, Slot) else None, reader.bias]
        for slot in slots:
            name = "" if slot is None else self._names.get(id(self._graph.tape.values[slot]), "")
            if name:
                return name
        path, _, attribute = weight_name.rpartition(".")
        module = self._model.get_submodule(path)
        plain = type(module).forward in (nn.Linear.forward, nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward)
        return f"{path}.bias".lstrip(".") if plain and attribute == "weight" else ""

    def _install(
        self,
        reader: Reader,
        arrival: Destination,
        index: int,
        weight_name: str,
        bias_name: str,
        fitted: Float[Tensor, "features outputs"],
        staying: Int[Tensor, " features"] | Tensor,
        scale: Float[Tensor, " outputs"],
        shift: Float[Tensor, " outputs"],
    ) -> None:
        """Give a reader and the normalization after it the values that amount to the fitted weights."""
        smaller = self._pairs[0].smaller
        weight = smaller.value(reader.weight)
        old = reader.matrix(weight, None if reader.bias is None else smaller.value(reader.bias))
        old[:-1][~staying[:-1]] = 0
        alive = scale.abs() > FLAT * scale.abs().max()
        matrix = torch.where(alive, fitted / torch.where(alive, scale, 1.0), old)
        bias = None
        if (
            bias_name
            and arrival.norm is not None
            and bias_name == self._name(arguments(arrival.norm, BATCH_NORM).get("bias"))
        ):
            beta = smaller.value(smaller.slots[bias_name]).double()
            fixed = shift - beta  # the mean's part, and with it that of the reader's own bias
            bias = torch.where(alive, fitted[-1] - fixed - old[-1] * scale, beta)
        elif bias_name:
            bias = torch.where(alive, (fitted[-1] - shift) / torch.where(alive, scale, 1.0), old[-1])
        self._set(weight_name, reader.weight_of(matrix, weight))
        if bias is None:
            return
        bias = bias.to(weight.dtype)
        if bias_name in smaller.slots:
            self._set(bias_name, bias)
        else:
            self.result.biases[bias_name] = bias
            shape = [-1, *[1] * len(reader.kernel)]
            for pair in self._pairs:
                pair.smaller.add(index, bias.view(shape))

    def _name(self, slot: object) -> str:
        return self._names.get(id(self._graph.tape.values[slot]), "") if isinstance(slot, Slot) else ""

    def _set(self, name: str, value: Tensor) -> None:
        self.result.changed[name] = value
        for pair in self._pairs:
            pair.smaller.exchange(name, value)


def _blocks(group: Group, reader: Reader) -> Int[Tensor, "units columns"]:
    """The indices of each unit's features."""
    channels = torch.stack([torch.nonzero(group.columns == unit + 1).flatten() for unit in range(group.units)])
    positions = torch.arange(reader.positions)
    return (channels[:, :, None] * reader.positions + positions).flatten(1)


def _check_same_path(one: Tape, other: Tape, number: int) -> None:
    same = len(one.operations) == len(other.operations) and all(
        (mine.call_site, mine.inputs, mine.outputs) == (theirs.call_site, theirs.inputs, theirs.outputs)
        for mine, theirs in zip(one.operations, other.operations, strict=True)
    )
    if not same:
        raise RequestError(
            f"batch {number} takes another path through the network than the first examples, so that its layers cannot "
            "be fitted; give batches for which the network does the same"
        )
