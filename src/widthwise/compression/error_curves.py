"""What the outputs lose with each unit that goes, by which units of one layer can be weighed against those of another.

What a reader gives without some of its units is wrong by a vector e. What that does to the outputs is told, to first
order, by their gradient there: with z the outputs, ε random signs and g = ∂(εᵀz)/∂(sum), the outputs' squared change
is expected to be eᵀMe, where M is the mean over examples of the sum over positions of ggᵀ. It takes one backward pass
over each batch, and no labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from widthwise.compression.elimination import Moments, MomentSums, eliminate
from widthwise.compression.groups import Group
from widthwise.compression.reader import Reader, destination
from widthwise.compression.reader_problem import ReaderProblem, unit_features
from widthwise.compression.run import Run
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, Progress
from widthwise.randomness import generator
from widthwise.tracing.graph import Graph
from widthwise.tracing.tape import Tape

Curve = list[float]
"""The outputs' squared error once 1, 2, … units have gone, all but the last."""
MOST_BYTES = 2**30
"""What the moments of the readers of one pass over the batches take at most, if they are more than one."""


def error_curves(
    graph: Graph,
    groups: Sequence[Group],
    tapes: Sequence[Tape],
    names: Mapping[int, str],
    seed: int,
    on_progress: OnProgress,
) -> dict[str, Curve]:
    """The error curve of each group, by its name, while the units of all others stay.

    Args:
        graph, groups, tapes, names, seed: as for `Refitting`.
        on_progress: called after each batch.

    Raises:
        RequestError: the outputs have no gradient.
    """
    readers = {id(reading.operation): reading for group in groups for reading in group.readings}
    problems: dict[int, ReaderProblem] = {}
    for key, reading in readers.items():
        reader = Reader(reading.operation, graph.tape.values)
        index = graph.depth[key]
        problems[key] = ReaderProblem(reader, destination(graph, reading.operation), index, reading.weight, "")
    moments: dict[int, Moments] = {}
    passes = list(_passes(problems, graph))
    for done, keys in enumerate(passes):
        some = {key: problems[key] for key in keys}
        moments |= _weighed(
            graph, some, tapes, names, seed, Progress("measuring", done, len(passes), "passes"), on_progress
        )
    return {group.name: _curve(group, problems, moments) for group in groups}


def _passes(problems: Mapping[int, ReaderProblem], graph: Graph) -> Iterator[list[int]]:
    """The readers, as many at a time as there is memory for their moments."""
    some, used = list[int](), 0
    for key, problem in problems.items():
        weight = graph.tape.values[problem.reader.weight]
        size = 8 * (weight.numel() // problem.reader.outputs + 1) ** 2
        if some and used + size > MOST_BYTES:
            yield some
            some, used = [], 0
        some.append(key)
        used += size
    yield some


def _weighed(
    graph: Graph,
    problems: Mapping[int, ReaderProblem],
    tapes: Sequence[Tape],
    names: Mapping[int, str],
    seed: int,
    progress: Progress,
    on_progress: OnProgress,
) -> dict[int, Moments]:
    """The moments of some readers in the intact network, with errors weighed by the outputs' gradient."""
    ends = [problem.arrival.end for problem in problems.values()]
    watched = {graph.depth[id(graph.producers[end])] for end in ends}
    kept = {slot for each in problems.values() for slot in (each.reader.data, each.arrival.added) if slot is not None}
    sums: dict[int, MomentSums] = {}
    squares: dict[int, Tensor] = {}
    for number, tape in enumerate(tapes):
        on_progress(progress)
        run = Run(tape, names, {*ends, *kept}, watched)
        with torch.enable_grad():
            scores = run.value(tape.results[0])
            gradients = _gradients(scores, [run.value(end) for end in ends], seed, number)
        for (key, problem), gradient in zip(problems.items(), gradients, strict=True):
            if not number:
                problem.look_at(run)
                outputs = problem.reader.outputs
                sums[key] = MomentSums(problem.present.detach())
                squares[key] = torch.zeros(outputs, outputs, dtype=torch.float64, device=problem.present.device)
            rows = problem.rows(run, run, seed, number, len(tapes))
            sums[key].add(*(each.detach() for each in rows))
            whole = problem.reader.targets(gradient, torch.arange(gradient.numel() // problem.reader.outputs)).double()
            squares[key] += whole.T @ whole
    return {key: problems[key].finite(sums[key].moments().weighed(squares[key])) for key in problems}


def _gradients(scores: Tensor, values: list[Tensor], seed: int, number: int) -> list[Tensor]:
    """The gradient, at each of some values, of the sum of the scores with random signs."""
    if not scores.requires_grad:
        raise RequestError(
            "the outputs have no gradient, by which units of one layer are weighed against those of another; give "
            "same_width, or a share to keep"
        )
    draws = generator(seed, "signs", number)
    signs = torch.randint(0, 2, scores.shape, generator=draws).to(scores) * 2 - 1
    finite = torch.where(scores.isfinite(), scores, 0)
    found = torch.autograd.grad((finite * signs).sum(), values, allow_unused=True)
    return [torch.zeros_like(value) if each is None else each for value, each in zip(values, found, strict=True)]


def _curve(group: Group, problems: Mapping[int, ReaderProblem], moments: Mapping[int, Moments]) -> Curve:
    """The error curve of a group: the sum over its readers."""
    power = sum(moments[id(reading.operation)].power for reading in group.readings) or 1.0
    found = []
    for reading in group.readings:
        key = id(reading.operation)
        features = unit_features(reading.columns, group.units, problems[key].reader)
        found.append((replace(moments[key], power=power), features.to(moments[key].gram.device)))
    errors = eliminate(found, 1).errors[: group.units - 1]
    return [error * power * len(found) for error in errors]
