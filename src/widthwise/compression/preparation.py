"""What compressing a network needs before it is known how small it is to be: its groups and the runs of its batches."""

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from widthwise.compression.groups import Codes, Group, GroupSearch, Left
from widthwise.compression.reader import Reader
from widthwise.compression.refitting import MOST_FEATURES, Refitted, Refitting
from widthwise.compression.surgery import Kept, smaller
from widthwise.errors import RequestError
from widthwise.progress import OnProgress
from widthwise.tracing.batches import Batches
from widthwise.tracing.graph import Graph
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.model_runs import ModelRuns
from widthwise.tracing.network import Network
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.tape import Tape
from widthwise.wording import listed, one_line, suggestion

HELD_BACK = 0.2
"""The share of the examples on which both networks are compared, if none are given for that."""
BATCH = 64
FEWEST_EXAMPLES = 10
CLOSE = 1e-3
"""The most by which the smaller network's outputs may differ from what its fit foresaw, as a share of the largest."""


class Preparation:
    """A network whose groups are known, with the runs of the batches that it is fitted on.

    model, predict: the network, and what finds the labels in its output.
    groups: what can be made smaller; left: what stays, and why.
    held_back: the examples on which networks are compared.

    Args:
        model, batches, layers, check, predict, stream, batch_size, seed: as for `compress`.

    Raises:
        RequestError, TrialError: as `compress` does.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[object],
        layers: str | Iterable[str] | None,
        check: Iterable[object] | None,
        predict: Predict | None,
        stream: bool,
        batch_size: int,
        seed: int,
    ):
        source = Batches(batches)
        network = Network(model, source.first, predict=predict, replay=False)
        source.arrange(network.arrangement)
        inputs = list(source.of_size(batch_size))
        if check is None:
            inputs, self.held_back = _parted(inputs)
        else:
            others = Batches(check)
            others.arrange(network.arrangement)
            self.held_back = list(others.of_size(batch_size))
        self.model, self.predict = model, predict
        self._inputs, self._seed = inputs, seed
        self._names = _names(model)
        self._graph = Graph(model, network.probe, map(id, network.probe.sources), whole=True)
        groups, left = _possible(model, network, self._graph, self._names, stream)
        self.groups, self.left = _chosen(groups, left, layers)
        self._tapes = [_run(network, batch) for batch in inputs]

    def at(self, keep: float, on_progress: OnProgress) -> tuple[Refitted, nn.Module]:
        """The network with a share of each group's units, at least one, and what was chosen and fitted for it."""
        counts = {group.name: max(1, round(keep * group.units)) for group in self.groups}
        refitting = Refitting(self.model, self._graph, self.groups, counts, self._tapes, self._names, self._seed)
        foreseen = refitting.run(on_progress)
        found = refitting.result
        result = smaller(self.model, _kept(self.groups, found.kept), found.changed, found.biases)
        _check_surgery(result, self._inputs, foreseen, self.predict)
        return found, result


def _names(model: nn.Module) -> dict[int, str]:
    """The names of parameters and buffers, by their `id`."""
    return {id(tensor): name for name, tensor in (*model.named_buffers(), *model.named_parameters())}


def _parted(inputs: Sequence[Inputs]) -> tuple[list[Inputs], list[Inputs]]:
    """The examples to fit on, and those that are held back."""
    examples = sum(batch.examples for batch in inputs)
    if all(batch.divisible for batch in inputs) and examples >= FEWEST_EXAMPLES:
        wanted, fit, held_back = examples - math.ceil(HELD_BACK * examples), [], []
        for batch in inputs:
            here = min(max(wanted, 0), batch.examples)
            wanted -= here
            fit += [batch.part(0, here)] if here else []
            held_back += [batch.part(here, batch.examples)] if here < batch.examples else []
        return fit, held_back
    if len(inputs) < 2:
        raise RequestError(
            f"there are {examples} examples, too few to hold some back: give more, or others in check", field="batches"
        )
    return list(inputs[:-1]), [inputs[-1]]


def _run(network: Network, batch: Inputs) -> Tape:
    tape = network.recorded(batch)
    given = tape.producers()
    tape.keep({slot for slot in tape.values if slot not in given})
    return tape


def _possible(
    model: nn.Module, network: Network, graph: Graph, names: dict[int, str], stream: bool
) -> tuple[list[Group], list[Left]]:
    """The groups that can be made smaller: the network runs without some of their units."""
    groups, left = GroupSearch(graph, names, stream).find()
    fitting = []
    for group in groups:
        features = max(
            len(reading.columns) * Reader(reading.operation, graph.tape.values).positions for reading in group.readings
        )
        if features > MOST_FEATURES:
            left.append(
                Left(group.name, group.units, f"its reader takes {features:,} features, more than {MOST_FEATURES:,}")
            )
        else:
            fitting.append(group)
    tried = network.probe_inputs
    if not _problem(model, fitting, names, tried):
        return fitting, left
    working = []
    for group in fitting:
        if problem := _problem(model, [group], names, tried):
            left.append(Left(group.name, group.units, f"without some of its units the network fails: {problem}"))
        else:
            working.append(group)
    return working, left


def _problem(model: nn.Module, groups: Sequence[Group], names: dict[int, str], inputs: Inputs) -> str:
    """Why a network does not run without half of the units of some groups; empty if it does."""
    kept = {group.name: list(range(-(-group.units // 2))) for group in groups}
    try:
        inputs.call(smaller(model, _kept(groups, kept), {}, {}))
    except Exception as error:  # whatever the model's own code raises
        return one_line(error)
    return ""


def _chosen(
    groups: list[Group], left: list[Left], layers: str | Iterable[str] | None
) -> tuple[list[Group], list[Left]]:
    if layers is not None:
        patterns = [layers] if isinstance(layers, str) else list(layers)
        known = [each.name for each in (*groups, *left)]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise RequestError(f"there is no layer {pattern!r}; {suggestion(pattern, known)}", field="layers")
        named = {name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)}
        groups, left = [each for each in groups if each.name in named], [each for each in left if each.name in named]
    if not groups:
        reasons = listed([f"{each.name}, since {each.reason}" for each in left[:3]])
        raise RequestError(f"there is nothing to make smaller: all units stay of {reasons or 'this network'}")
    return groups, left


def _kept(groups: Sequence[Group], kept: dict[str, list[int]]) -> Kept:
    """The indices that stay of every parameter and buffer that is cut."""
    staying: dict[tuple[str, int], Tensor] = {}

    def cut(tensor: str, dimension: int, codes: Codes, units: Tensor) -> None:
        codes = codes.cpu()
        stays = (codes == 0) | torch.isin(codes - 1, units)
        before = staying.get((tensor, dimension))
        staying[tensor, dimension] = stays if before is None else before & stays

    for group in groups:
        units = torch.tensor(kept[group.name], dtype=torch.long)
        for each in group.cuts:
            cut(each.tensor, each.dimension, each.codes, units)
        for reading in group.readings:
            cut(reading.weight, 1, reading.columns, units)
    return {place: torch.nonzero(stays).flatten() for place, stays in staying.items()}


def _check_surgery(
    model: nn.Module, inputs: Sequence[Inputs], foreseen: Sequence[Tensor], predict: Predict | None
) -> None:
    """See that the smaller network gives what its fit foresaw.

    Raises:
        RuntimeError: it does not.
    """
    runs = ModelRuns(model, predict)
    scores = runs.record_first(inputs[0])
    scores = runs.with_changes(inputs[0], {}, "")[0].double()
    expected = foreseen[0].double()
    most = float(expected.abs().max()) or 1.0
    if scores.shape != expected.shape or float((scores - expected).abs().max()) > CLOSE * most:
        raise RuntimeError("the smaller network does not give what was fitted")
