"""The choice of the units that stay, and new weights for what reads them, from one end of a network to the other.

Two runs of the calibration batches go along: of the intact network, and of the one whose readers have new weights. A
reader is fitted to give what the intact network has at its sum, from what the smaller network's units give it, less
what the smaller network adds to it there. So each reader makes up for what those before it have lost.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from widthwise.compression.comparison import close
from widthwise.compression.elimination import Moments, MomentSums, eliminate, refit
from widthwise.compression.groups import Group
from widthwise.compression.neighbour_norms import among
from widthwise.compression.products import ARGUMENTS, BATCH_NORM, arguments, product_of, uses
from widthwise.compression.reader import Destination, Reader, depends, destination
from widthwise.compression.reader_problem import ReaderProblem, unit_features
from widthwise.compression.reasons import Why, reasons
from widthwise.compression.run import Run
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, Progress
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape

MOST_FEATURES = 8_000
"""A reader with more features takes too much memory: eight times their square in bytes, several times over."""
FLAT = 1e-6
"""A channel that batch normalization scales by less than this share of the largest scale passes nothing on."""


@dataclass
class Refitted:
    """What was chosen and fitted.

    kept: the units that stay, by the group's name.
    orders: the units in the order in which they go, and errors: what that adds up to, by the group's name.
    reasons: why each unit that goes can, by the group's name and the unit's index.
    fits: the squared error of the reader's fit, as a share of its sum's variance, by the group's name.
    sizes: the rows of the fit and the features of the reader, by the group's name.
    changed: new values of parameters; biases: new parameters where there were none.
    """

    kept: dict[str, list[int]] = field(default_factory=dict)
    orders: dict[str, list[int]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)
    reasons: dict[str, dict[int, Why]] = field(default_factory=dict)
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
        self._uses = uses(graph.tape, names)
        self._readers: dict[int, ReaderProblem] = {}
        for group in groups:
            for reading in group.readings:
                operation = reading.operation
                pending = self._readers.get(id(operation)) or self._pending(operation, reading.weight)
                self._readers[id(operation)] = pending
                pending.groups.append((group, reading))
        for operation in (each for group in groups for each in group.writers):
            self._add_writer(operation)
        ends = {each.arrival.end for each in self._readers.values()}
        self._pairs = [_Pair(Run(tape, names, ends), Run(tape, names, ()), tape) for tape in tapes]
        self.result = Refitted()

    def run(self, on_progress: OnProgress) -> list[Tensor]:
        """Fit every reader; the scores of each batch by the network whose readers have their new weights."""
        total = len(self._readers)
        self._choose_ahead()
        for pending in sorted(self._readers.values(), key=lambda each: each.index):
            on_progress(Progress("compressing", sum(each.done for each in self._readers.values()), total, "layers"))
            self._fit(pending)
        on_progress(Progress("compressing", total, total, "layers"))
        scores = self._graph.tape.results[0]
        pair = self._pairs[0]
        if not close(pair.intact.value(scores), pair.tape.values[scores]):
            raise RequestError(
                "the network gives something else when its operations are run one by one, as where it computes in "
                "another precision by itself (autocast), so that it cannot be fitted"
            )
        return [pair.smaller.value(scores) for pair in self._pairs]

    def _pending(self, operation: Operation, weight: str) -> ReaderProblem:
        reader, arrival = Reader(operation, self._graph.tape.values), destination(self._graph, operation)
        index = self._graph.depth[id(operation)]
        return ReaderProblem(reader, arrival, index, weight, self._place_of_bias(reader, arrival, weight))

    def _add_writer(self, operation: Operation) -> None:
        """A layer whose result is added to those of others is fitted, too, if what it reads may be another value."""
        product = product_of(self._graph, operation)
        if id(operation) in self._readers or product is None or operation.name not in ARGUMENTS or product.groups > 1:
            return
        name = self._name(product.weight)
        follows = any(depends(self._graph, product.data, each.reader.operation) for each in self._readers.values())
        if follows and self._uses[name] == 1:
            self._readers[id(operation)] = self._pending(operation, name)

    def _fit(self, pending: ReaderProblem) -> None:
        """Choose the units of the groups that a reader takes, and fit its weights, if that is not done."""
        if pending.done or pending.busy:
            return
        pending.busy = True
        waiting = [group for group, _ in pending.groups if group.name not in self.result.kept]
        together = [self._readers[id(reading.operation)] for group in waiting for reading in group.readings]
        for each in together:
            each.busy = True
        for each in (pending, *together):
            self._measure(each)
        for group in waiting:
            self._choose(group, {key: each.moments for key, each in self._readers.items() if each.moments})
        for each in together:
            each.busy = each is pending
        moments, present = pending.moments, pending.present
        assert moments is not None
        staying = torch.ones(len(moments.gram), dtype=torch.bool)
        staying[pending.gone] = False
        staying[-1] = bool(pending.bias)
        kept = torch.nonzero(staying).flatten().to(present.device)
        fitted = torch.zeros_like(present)
        fitted[kept], error = refit(moments, kept)
        if not pending.bias:
            fitted[-1] = present[-1]
        for group, _ in pending.groups:
            self.result.fits[group.name] = max(error, self.result.fits.get(group.name, 0.0))
            size = (moments.rows, len(moments.gram) - 1)
            before = self.result.sizes.get(group.name, size)
            self.result.sizes[group.name] = min(before, size, key=lambda each: each[0] / each[1])
        for pair in self._pairs:
            pair.intact.release(pending.arrival.end)
        self._install(pending, fitted, staying)
        pending.done, pending.moments = True, None

    def _choose_ahead(self) -> None:
        """Choose the units of groups whose readers follow from each other, from the intact network's values alone."""
        groups = [group for group in self._groups if group.ahead]
        keys = {id(reading.operation) for group in groups for reading in group.readings}
        readers = sorted((self._readers[key] for key in keys), key=lambda each: each.index)
        sums: dict[int, MomentSums] = {}
        for number, pair in enumerate(self._pairs if readers else ()):
            slots = [(each.reader.data, each.arrival.end, each.arrival.added) for each in readers]
            run = Run(pair.tape, self._names, {slot for some in slots for slot in some if slot is not None})
            for each in readers:
                if not number:
                    each.look_at(run)
                    sums[id(each.reader.operation)] = MomentSums(each.present)
                sums[id(each.reader.operation)].add(*each.rows(run, run, self._seed, number, len(self._pairs)))
        moments = {key: self._readers[key].finite(each.moments()) for key, each in sums.items()}
        for group in groups:
            self._choose(group, moments)

    def _choose(self, group: Group, known: Mapping[int, Moments]) -> None:
        """Choose a group's units, from the moments of its readers."""
        problems, blocks = [], []
        for reading in group.readings:
            pending, moments = self._readers[id(reading.operation)], known[id(reading.operation)]
            there = torch.ones(len(moments.gram), dtype=torch.bool)
            there[pending.gone] = False
            blocks.append(unit_features(reading.columns, group.units, pending.reader))
            place = (torch.cumsum(there, 0) - 1)[blocks[-1]]
            left = replace(
                moments,
                gram=moments.gram[there][:, there],
                cross=moments.cross[there],
                weights=moments.weights[there],
            )
            problems.append((left, place.to(moments.gram.device)))
        found = eliminate(problems, self._keep[group.name])
        self.result.kept[group.name] = kept = found.kept(self._keep[group.name])
        self.result.orders[group.name], self.result.errors[group.name] = found.order, found.errors
        kernels = [self._readers[id(reading.operation)].reader.positions > 1 for reading in group.readings]
        self.result.reasons[group.name] = reasons(problems, kept, kernels)
        stays = torch.zeros(group.units, dtype=torch.bool)
        stays[kept] = True
        for reading, columns in zip(group.readings, blocks, strict=True):
            self._readers[id(reading.operation)].gone += columns[~stays].flatten().tolist()
        for norm, columns in ((each.norm, each.columns) for each in group.normalized):
            there = torch.nonzero(torch.cat([torch.ones(1, dtype=torch.bool), stays])[columns]).flatten()
            function = among(self._model.get_submodule(norm.path), there)
            for pair in self._pairs:
                pair.smaller.replace(norm.operations, norm.given, norm.returned, function)
        for passage in group.entries:
            mask = torch.cat([torch.ones(1), stays.float()])[passage.columns]
            shape = [-1, *[1] * (self._graph.tape.values[passage.shortcut.given].dim() - 2)]
            for pair, index in itertools.product(self._pairs, passage.shortcut.operations):
                if passage.shortcut.given in self._graph.tape.operations[index].inputs:
                    pair.smaller.silence(index, passage.shortcut.given, mask.view(shape))

    def _measure(self, pending: ReaderProblem) -> None:
        """Find a reader's moments, if they are not known, once what it reads and is added to has been fitted."""
        if pending.moments is not None:
            return
        self._prepare(pending.reader.data)
        added = pending.arrival.added
        if added is not None and any(each.busy for each in self._unfitted(added)):  # what is added waits for this one
            pending.arrival = destination(self._graph, pending.reader.operation, sums=False)
            for pair in self._pairs:
                pair.intact.keep(pending.arrival.end)
        elif added is not None:
            self._prepare(added)
        pending.look_at(self._pairs[0].smaller)
        sums = MomentSums(pending.present)
        for number, pair in enumerate(self._pairs):
            sums.add(*pending.rows(pair.intact, pair.smaller, self._seed, number, len(self._pairs)))
        pending.moments = pending.finite(sums.moments())

    def _prepare(self, slot: Slot) -> None:
        """Fit the readers that a value depends on."""
        for pending in self._unfitted(slot):
            self._fit(pending)

    def _unfitted(self, slot: Slot) -> list[ReaderProblem]:
        """The readers that a value depends on and that are not fitted, in order."""
        waiting = [each for each in self._readers.values() if not each.done]
        found = [each for each in waiting if depends(self._graph, slot, each.reader.operation)]
        return sorted(found, key=lambda each: each.index)

    def _place_of_bias(self, reader: Reader, arrival: Destination, weight_name: str) -> str:
        """The name of the parameter that takes a reader's new bias; empty if there is no place for one."""
        slots = [reader.bias]
        if arrival.norm is not None:
            given = arguments(arrival.norm, BATCH_NORM).get("bias")
            slots = [given if isinstance(given, Slot) else None, reader.bias]
        for slot in slots:
            name = self._name(slot)
            if name and self._uses[name] == 1:
                return name
        if reader.bias is not None:
            return ""
        path, _, attribute = weight_name.rpartition(".")
        module = self._model.get_submodule(path)
        plain = type(module).forward in (nn.Linear.forward, nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward)
        return f"{path}.bias".lstrip(".") if plain and attribute == "weight" else ""

    def _install(
        self, pending: ReaderProblem, fitted: Float[Tensor, "features outputs"], staying: Bool[Tensor, " features"]
    ) -> None:
        """Give a reader and the normalization after it the values that amount to the fitted weights."""
        reader, arrival, scale, shift = pending.reader, pending.arrival, pending.scale, pending.shift
        smaller = self._pairs[0].smaller
        weight, own_bias = pending.parameters(smaller)
        old = reader.matrix(weight, own_bias)
        old[:-1][~staying[:-1]] = 0
        alive = scale.abs() > FLAT * scale.abs().max()
        matrix = torch.where(alive, fitted / torch.where(alive, scale, 1.0), old)
        of_norm = (
            arrival.norm is not None and self._name(arguments(arrival.norm, BATCH_NORM).get("bias")) == pending.bias
        )
        bias = None
        if pending.bias and of_norm:
            beta = smaller.value(smaller.slots[pending.bias]).double()
            fixed = shift - beta  # the mean's part; the reader's own bias stays
            bias = torch.where(alive, fitted[-1] - fixed - old[-1] * scale, beta)
        elif pending.bias:
            bias = torch.where(alive, (fitted[-1] - shift) / torch.where(alive, scale, 1.0), old[-1])
        self._set(pending.weight, reader.weight_of(matrix, weight))
        if bias is None:
            return
        bias = bias.to(weight.dtype)
        if pending.bias in smaller.slots:
            self._set(pending.bias, bias)
        else:
            self.result.biases[pending.bias] = bias
            shape = [-1, *[1] * len(reader.kernel)]
            for pair in self._pairs:
                pair.smaller.add(pending.index, bias.view(shape))

    def _name(self, slot: object) -> str:
        return self._names.get(id(self._graph.tape.values[slot]), "") if isinstance(slot, Slot) else ""

    def _set(self, name: str, value: Tensor) -> None:
        self.result.changed[name] = value
        for pair in self._pairs:
            pair.smaller.exchange(name, value)


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
