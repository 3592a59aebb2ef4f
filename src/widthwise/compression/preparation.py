"""What compressing a network needs before it is known how small it is to be: its groups and the runs of its batches."""

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from torch import Tensor, nn

from widthwise.compression.comparison import close, operations, parameter_count
from widthwise.compression.cutting import Cutting, scores, uneven_half
from widthwise.compression.error_curves import Curve, error_curves
from widthwise.compression.group_search import GroupSearch
from widthwise.compression.groups import Group, Left
from widthwise.compression.reader import Reader
from widthwise.compression.refitting import MOST_FEATURES, Refitted, Refitting
from widthwise.errors import RequestError, TrialError
from widthwise.progress import OnProgress
from widthwise.tracing.batches import Batches
from widthwise.tracing.failures import check_model, in_one_sentence
from widthwise.tracing.graph import Graph
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.model_runs import ModelRuns
from widthwise.tracing.network import Network
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.tape import Tape
from widthwise.tracing.untouched import untouched
from widthwise.wording import listed, one_line, suggestion

Size = Literal["parameters", "flops"]
Counts = dict[str, int]
"""The number of units that stay, by the group's name."""
HELD_BACK = 0.2
"""The share of the examples on which both networks are compared, if none are given for that."""
BATCH = 64
FEWEST_EXAMPLES = 10


@dataclass(frozen=True)
class Options:
    """What is asked for of a smaller network besides its size, as in the arguments of `compress`.

    choosing: whether a size is chosen by some of the examples, which are then held back, too.
    """

    layers: str | Iterable[str] | None
    check: Iterable[object] | None
    predict: Predict | None
    stream: bool
    round_to: int
    batch_size: int
    seed: int
    choosing: bool = False


class Preparation:
    """A network whose groups are known, with the runs of the batches that it is fitted on.

    model, predict: the network, and what finds the labels in its output.
    groups: what can be made smaller; left: what stays, and why.
    cutting: cuts it.
    held_back: the examples on which networks are compared; chosen_by: those by which a size is chosen.

    Args:
        model, batches: as for `compress`.
        options: what else was asked for.

    Raises:
        RequestError, TrialError: as `compress` does.
    """

    def __init__(self, model: nn.Module, batches: Iterable[object], options: Options):
        try:
            pristine = copy.deepcopy(model)  # what runs note in it does not get into the smaller network
        except Exception as error:  # whatever a part of the model raises
            raise RequestError(f"the model cannot be copied: {one_line(error)}") from error
        source, predict = Batches(batches), options.predict
        network = Network(model, source.first, predict=predict, replay=False)
        source.arrange(network.arrangement)
        inputs = list(source.of_size(options.batch_size))
        self.chosen_by: list[Inputs] = []
        if options.check is None:
            inputs, self.held_back = _parted(inputs)
        else:
            self.held_back = _to_check(options.check, network, options.batch_size)
        if options.choosing:
            inputs, self.chosen_by = _parted(inputs)
        self.model, self.predict = model, predict
        self._inputs, self._probe, self._options = inputs, network.probe_inputs, options
        self._names = _names(model)
        self._graph = Graph(model, network.probe, map(id, network.probe.sources), whole=True)
        groups, left = GroupSearch(model, self._graph, self._names, options.stream).find()
        groups, left = _chosen(*_small_enough(groups, left, self._graph), options.layers)
        self.cutting = Cutting(pristine, network.probe_inputs, predict)
        halves = {group.name: uneven_half(group.units) for group in groups}
        self.groups, failing = self.cutting.working(groups, halves)
        self.left = left + failing
        _check_any(self.groups, self.left)
        self._tapes = [_run(network, batch, number) for number, batch in enumerate(inputs, start=1)]

    def at(self, counts: Counts, on_progress: OnProgress) -> tuple[Refitted, nn.Module]:
        """The network with some units of each group, and what was chosen and fitted for it.

        Groups without some of whose units the network turns out to fail are left whole from then on.
        """
        refitting = Refitting(
            self.model, self._graph, self.groups, counts, self._tapes, self._names, self._options.seed
        )
        foreseen = refitting.run(on_progress)
        found = refitting.result
        result = self.cutting.cut(self.groups, found.kept, found.changed, found.biases)
        if problem := self._surprise(result, foreseen):
            before = self.groups
            self.groups, failing = self.cutting.working(before, found.kept)
            if not failing and self.groups == before:
                raise RequestError(f"the smaller network does not give what was fitted: {problem}")
            self.left += failing
            _check_any(self.groups, self.left)
            return self.at(counts, on_progress)
        return found, result

    def curves(self, on_progress: OnProgress) -> dict[str, Curve]:
        """What the outputs lose with each unit of each group that goes."""
        return error_curves(self._graph, self.groups, self._tapes, self._names, self._options.seed, on_progress)

    def uniform(self, keep: float) -> Counts:
        """The number of units of each group that stay: a share, the nearest that may stay from there on."""
        return {group.name: self._count(group, keep) for group in self.groups}

    def steps(self, group: Group) -> list[int]:
        """The numbers of a group's units that may stay, the smallest first."""
        step = self._step(group)
        return [*range(step, group.units, step), group.units]

    def size(self, counts: Counts, size: Size) -> int:
        """The number of parameters, or of operations for one example, with some units of each group."""
        some = {group.name: range(counts[group.name]) for group in self.groups}
        return self.size_of(self.cutting.cut(self.groups, some, {}, {}), size)

    def size_of(self, model: nn.Module, size: Size) -> int:
        """The number of a network's parameters, or of its operations for one example."""
        if size == "parameters":
            return parameter_count(model)
        example = self._probe.part(0, 1) if self._probe.divisible else self._probe
        with untouched(model):
            return operations(ModelRuns(model, self.predict), example)

    def _count(self, group: Group, keep: float) -> int:
        step = self._step(group)
        return min(-(-max(1, round(keep * group.units)) // step) * step, group.units)

    def _step(self, group: Group) -> int:
        """The number of units by which a group's is rounded, so that the outputs of its layers are by `round_to`."""
        return self._options.round_to // math.gcd(self._options.round_to, min(group.widths))

    def _surprise(self, model: nn.Module, foreseen: Sequence[Tensor]) -> str:
        """How the smaller network departs from what its fit foresaw; empty if it does not."""
        try:
            with untouched(model):
                given = scores(model, self._inputs[0], self.predict)
        except (RequestError, TrialError) as error:
            return one_line(error)
        return "" if close(given, foreseen[0]) else "its outputs are others"


@contextmanager
def prepared_for(model: nn.Module, batches: Iterable[object], options: Options) -> Iterator[Preparation]:
    """The network's groups and the runs of its batches, while it is in evaluation mode."""
    for name, least in {"batch_size": 1, "round_to": 1, "seed": 0}.items():
        value = getattr(options, name)
        if not isinstance(value, int) or value < least:
            raise RequestError(f"must be a whole number of at least {least}, got {value}", field=name)
    if not isinstance(model, nn.Module):
        raise RequestError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
    check_model(model)
    with in_one_sentence(model), untouched(model):
        yield Preparation(model, batches, options)


def _names(model: nn.Module) -> dict[int, str]:
    """The names of parameters and buffers, by their `id`."""
    return {id(tensor): name for name, tensor in (*model.named_buffers(), *model.named_parameters())}


def _to_check(check: Iterable[object], network: Network, batch_size: int) -> list[Inputs]:
    try:
        others = Batches(check)
    except RequestError as error:
        raise RequestError(error.problem, field="check") from None
    others.arrange(network.arrangement)
    return list(others.of_size(batch_size))


def _parted(inputs: Sequence[Inputs]) -> tuple[list[Inputs], list[Inputs]]:
    """The examples to fit on, and those that are held back: some of each batch, since they may be in an order."""
    examples = sum(batch.examples for batch in inputs)
    if all(batch.divisible for batch in inputs) and examples >= FEWEST_EXAMPLES:
        fit, held_back = [], []
        seen = held = 0
        for batch in inputs:
            seen += batch.examples
            there = min(round(HELD_BACK * seen) - held, batch.examples)
            held += there
            first = batch.examples - there
            fit += [batch.part(0, first)] if first else []
            held_back += [batch.part(first, batch.examples)] if there else []
        return fit, held_back
    if len(inputs) < 2:
        raise RequestError(
            f"there are {examples} examples, too few to hold some back: give more, or others in check", field="batches"
        )
    return list(inputs[:-1]), [inputs[-1]]


def _run(network: Network, batch: Inputs, number: int) -> Tape:
    """The run of a batch, of which the values that no operation gives are kept, and the scores."""
    tape = network.recorded(batch, number)
    if tape.values[tape.results[0]].isnan().any():
        raise RequestError(f"the model's output for batch {number} holds NaN; check its inputs and weights")
    given = tape.producers()
    tape.keep({slot for slot in tape.values if slot not in given or slot == tape.results[0]})
    return tape


def _small_enough(groups: list[Group], left: list[Left], graph: Graph) -> tuple[list[Group], list[Left]]:
    """Without the groups whose readers take more features than there is memory for."""
    fitting = []
    for group in groups:
        sizes = [len(each.columns) * Reader(each.operation, graph.tape.values).positions for each in group.readings]
        if max(sizes) > MOST_FEATURES:
            reason = f"its reader takes {max(sizes):,} features, more than {MOST_FEATURES:,}"
            left += [Left(name, group.units, reason) for name in group.names]
        else:
            fitting.append(group)
    return fitting, left


def _chosen(
    groups: list[Group], left: list[Left], layers: str | Iterable[str] | None
) -> tuple[list[Group], list[Left]]:
    if layers is None:
        return groups, left
    patterns = [layers] if isinstance(layers, str) else list(layers)
    if not patterns:
        raise RequestError("is empty; name layers, or leave it out", field="layers")
    known = [name for group in groups for name in group.names] + [each.name for each in left]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise RequestError(f"there is no layer {pattern!r}; {suggestion(pattern, known)}", field="layers")
    named = {name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)}
    chosen = [each for each in groups if not named.isdisjoint(each.names)]
    return chosen, [each for each in left if each.name in named]


def _check_any(groups: Sequence[Group], left: Sequence[Left]) -> None:
    if not groups:
        reasons = listed([f"{each.name}, since {each.reason}" for each in left[:3]])
        raise RequestError(f"there is nothing to make smaller: all units stay of {reasons or 'this network'}")
