"""`compress`: a smaller network that answers alike, from a few hundred inputs, without labels or gradients."""

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import pandas as pd
import torch
from torch import Tensor, nn

from widthwise.compression.comparison import compared
from widthwise.compression.compressed import Compressed
from widthwise.compression.groups import Codes, Group, GroupSearch, Left
from widthwise.compression.reader import Reader
from widthwise.compression.refitting import MOST_FEATURES, Refitted, Refitting
from widthwise.compression.surgery import Kept, smaller
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, unseen
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

HELD_BACK = 0.2
"""The share of the examples on which both networks are compared, if none are given for that."""
BATCH = 64
FEWEST_EXAMPLES = 10
CLOSE = 1e-3
"""The most by which the smaller network's outputs may differ from what its fit foresaw, as a share of the largest."""


def compress(
    model: nn.Module,
    batches: Iterable[object],
    *,
    keep: float = 0.5,
    layers: str | Iterable[str] | None = None,
    check: Iterable[object] | None = None,
    predict: Predict | None = None,
    batch_size: int = BATCH,
    seed: int = 0,
    on_progress: OnProgress = unseen,
) -> Compressed:
    """A smaller network that gives the same labels, as far as it can: no labels, gradients or training are needed.

    From each layer whose units one convolution or dense layer reads, the units go that this layer can do best without,
    and it gets new weights for those that stay. The model is left as it was.

    Args:
        model: any network that `profile` measures.
        batches: inputs as `profile` takes them; a few hundred examples will do.
        keep: the share of each layer's units that stay, above 0 and at most 1.
        layers: the layers to make smaller, by name or by a pattern with `*`. None: all that can be.
        check: inputs on which both networks are compared. None: a fifth of the examples in `batches` is held back.
        predict: as for `profile`.
        batch_size: the number of examples to run at a time.
        seed: the seed of the draws of rows over which the moments are means.
        on_progress: called after each layer.

    Returns: the smaller network, and tables that say what went, what stayed and why, and how alike they are.

    Raises:
        RequestError: the model, its inputs or an argument cannot be used, or nothing can go.
        TrialError: there is not enough memory.
    """
    if not 0 < keep <= 1:
        raise RequestError(f"must be above 0 and at most 1, got {keep}", field="keep")
    if batch_size < 1:
        raise RequestError(f"must be at least 1, got {batch_size}", field="batch_size")
    if not isinstance(model, nn.Module):
        raise RequestError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
    check_model(model)
    with in_one_sentence(model), untouched(model):
        source = Batches(batches)
        network = Network(model, source.first, predict=predict, replay=False)
        source.arrange(network.arrangement)
        inputs = list(source.of_size(batch_size))
        if check is None:
            inputs, held_back = _parted(inputs)
        else:
            others = Batches(check)
            others.arrange(network.arrangement)
            held_back = list(others.of_size(batch_size))
        names = _names(model)
        graph = Graph(model, network.probe, map(id, network.probe.sources), whole=True)
        groups, left = _possible(model, network, graph, names)
        groups, left = _chosen(groups, left, layers)
        counts = {group.name: max(1, round(keep * group.units)) for group in groups}
        tapes = [_run(network, batch) for batch in inputs]
        refitting = Refitting(model, graph, groups, counts, tapes, names, seed)
        foreseen = refitting.run(on_progress)
        found = refitting.result
        result = smaller(model, _kept(groups, found.kept, names), found.changed, found.biases)
        _check_surgery(result, inputs, foreseen, predict)
        with untouched(result):
            comparison = compared(model, result, held_back, predict)
    for mine, theirs in zip(model.modules(), result.modules(), strict=True):
        theirs.training = mine.training
    return Compressed(
        result, _layer_table(groups, found, counts), _unit_table(groups, found), _left_table(left), comparison
    )


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
    model: nn.Module, network: Network, graph: Graph, names: dict[int, str]
) -> tuple[list[Group], list[Left]]:
    """The groups that can be made smaller: the network runs without some of their units."""
    groups, left = GroupSearch(graph, names).find()
    fitting = []
    for group in groups:
        features = len(group.columns) * Reader(group.reader, graph.tape.values).positions
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
        inputs.call(smaller(model, _kept(groups, kept, names), {}, {}))
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


def _kept(groups: Sequence[Group], kept: dict[str, list[int]], names: dict[int, str]) -> Kept:
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
        cut(group.reads, 1, group.columns, units)
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


def _layer_table(groups: Sequence[Group], found: Refitted, counts: dict[str, int]) -> pd.DataFrame:
    rows = [
        (
            *(group.name, group.units, counts[group.name], found.fits[group.name]),
            *(group.reader.call_site.path, *found.sizes[group.name]),
        )
        for group in groups
    ]
    return pd.DataFrame(rows, columns=["layer", "units", "kept", "error", "reader", "rows", "features"])


def _unit_table(groups: Sequence[Group], found: Refitted) -> pd.DataFrame:
    rows = []
    for group in groups:
        kept = set(found.kept[group.name])
        tried = zip(found.orders[group.name], found.errors[group.name], strict=True)
        places = {unit: (place, error) for place, (unit, error) in enumerate(tried) if unit not in kept}
        rows += [(group.name, unit, unit in kept, *places.get(unit, (pd.NA, math.nan))) for unit in range(group.units)]
    table = pd.DataFrame(rows, columns=["layer", "unit", "kept", "position", "error"])
    return table.astype({"position": "Int64"})


def _left_table(left: Sequence[Left]) -> pd.DataFrame:
    return pd.DataFrame([(each.name, each.units, each.reason) for each in left], columns=["layer", "units", "reason"])
