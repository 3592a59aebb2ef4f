"""Which of a network's inputs hold examples, found by running parts of a batch.

The examples lie along the dimension that some of the inputs share and along which the output grows. If the outputs of
two parts of a batch, put together, are the output of the whole, batches can be cut and joined at will. Otherwise the
network computes something over its batch, or is written for one batch size, and is run on the batches as they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations

import torch
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.tracing.inputs import Inputs, Path, paths
from widthwise.tracing.tape import Tape

PROBE_EXAMPLES = 4
MOST_CANDIDATES = 64
"""Ways to cut the inputs that are tried: with more, a network that fails on every input would be run too often."""
TOLERANCE = 1e-4
TOLERANCE_STEPS = 16
"""For types with fewer digits, in distances between neighbouring numbers."""


@dataclass(frozen=True)
class Arrangement:
    """Where the examples lie in a network's inputs.

    dimensions: the dimension along which they lie, by the path of each tensor that holds examples.
    as_given: why batches must be run as they are, as a part of a sentence; empty if they can be cut and joined.
    others: the paths of the tensors without examples.
    """

    dimensions: dict[Path, int]
    as_given: str = ""
    others: frozenset[Path] = frozenset()

    def of(self, inputs: Inputs, number: int = 1) -> Inputs:
        """A batch with its examples found.

        A tensor of length 1 where others are longer belongs to all examples alike, such as positions of shape `1 T`.

        Raises:
            RequestError: its tensors hold different numbers of examples.
        """
        if inputs.along:
            return inputs
        tensors, places = inputs.tensors, paths(inputs)
        known = [self.dimensions.get(path) for path in places]
        lengths = {
            tensor.shape[at] if tensor.dim() > at else 1
            for tensor, at in zip(tensors, known, strict=True)
            if at is not None
        }
        examples = max(lengths, default=0)
        if not lengths or len(lengths - {1}) > 1:
            shapes = ", ".join(map(str, inputs.shapes))
            raise RequestError(f"the inputs of batch {number}, of shapes {shapes}, hold different numbers of examples")
        along = tuple(
            at if at is not None and tensor.dim() > at and tensor.shape[at] == examples else None
            for tensor, at in zip(tensors, known, strict=True)
        )
        foreign = any(path not in self.dimensions and path not in self.others for path in places)
        return replace(inputs, along=along, divisible=not self.as_given and not foreign)


@dataclass(frozen=True)
class Probe:
    """The first examples of a batch, and how a network ran on them.

    inputs, tape: the examples and the run.
    fewer: the run of fewer of them; None: the network cannot be run on fewer.

    Of the runs only the shapes of values are kept, besides the results.
    """

    arrangement: Arrangement
    inputs: Inputs
    tape: Tape
    fewer: Tape | None


def tolerance_of(precision: torch.dtype) -> float:
    """The share of the largest value by which outputs computed in this type may differ by rounding."""
    return max(TOLERANCE, TOLERANCE_STEPS * torch.finfo(precision).eps)


def find_arrangement(
    example: Inputs, record: Callable[[Inputs], Tape], tolerance: float, examples: int = PROBE_EXAMPLES
) -> Probe:
    """Find where the examples lie, by running parts of a batch.

    Args:
        example: the batch.
        record: runs the network; the first result on the tape is the scores, with the classes last, or the labels.
        tolerance: the share of the largest output by which equal outputs may differ.
        examples: the number of examples to run.

    Raises:
        RequestError: the network cannot be run, or its output grows along no dimension of its inputs.
        TrialError: there is not enough memory.
    """

    def run(inputs: Inputs) -> Tape:
        tape = record(inputs)
        tape.keep_shapes()
        return tape

    places = paths(example)
    search = _Search(run, tolerance, examples)
    coupled: Inputs | None = None
    for candidate in _candidates(example):
        kind = search.examine(candidate)
        if kind == "independent":
            assert search.probe is not None
            inputs, tape, fewer = search.probe
            return Probe(_arrangement(places, candidate, ""), replace(inputs, divisible=True), tape, fewer)
        if kind and coupled is None:
            coupled = candidate
        if kind == "compared":  # not a part of these tensors: each of them may hold the examples of a layer
            break
    if coupled is not None:
        tape = run(coupled)
        fewer = run(coupled.part(0, _half(coupled.examples))) if coupled.examples > 1 else None
        reason = "the network answers differently for a part of a batch"
        return Probe(_arrangement(places, coupled, reason), coupled, tape, fewer)
    tape = run(example)
    scores = tape.values[tape.results[0]]
    rows = scores.shape[:-1] if scores.is_floating_point() else scores.shape
    for candidate in _candidates(example):
        if candidate.examples in rows:
            reason = "the network cannot be run on a part of a batch"
            return Probe(_arrangement(places, candidate, reason), candidate, tape, None)
    shapes = ", ".join(map(str, example.shapes))
    raise RequestError(
        f"the output, of shape {tuple(scores.shape)}, does not grow with any of the inputs, of shapes {shapes}, so "
        "that its examples cannot be told apart; a network must have an output for each example"
    )


@dataclass
class _Search:
    """Tries candidates. probe: of the last one that could be run, its first examples and the two runs."""

    run: Callable[[Inputs], Tape]
    tolerance: float
    examples: int
    probe: tuple[Inputs, Tape, Tape] | None = field(default=None)

    def examine(self, candidate: Inputs) -> str:
        """`independent`, `coupled` or `compared` examples; an empty text: the inputs cannot be cut like this."""
        try:
            if candidate.examples == 1:
                whole = candidate.twice()
                parts = [candidate, candidate]
            else:
                whole = candidate.part(0, self.examples)
                half = _half(whole.examples)
                parts = [whole.part(0, half), whole.part(half, whole.examples)]
            tapes = [self.run(whole), self.run(parts[0])]
            tapes.append(tapes[1] if candidate.examples == 1 else self.run(parts[1]))
        except (RequestError, RuntimeError):  # RuntimeError: a tensor that cannot be cut
            return ""
        self.probe = whole, tapes[0], tapes[1]
        together, first, last = (tape.values[tape.results[0]] for tape in tapes)
        return _relation(together, first, last, self.tolerance)


def _relation(whole: Tensor, first: Tensor, last: Tensor, tolerance: float) -> str:
    """`independent` if the scores of two parts, put together, are those of the whole; `coupled` if only the shapes are.

    `compared` if there are also more classes for more examples, whose scores are for pairs of them. Empty if the scores
    do not grow with the parts.
    """
    if not whole.dim() == first.dim() == last.dim():
        return ""
    sizes = list(zip(whole.shape, first.shape, last.shape, strict=True))
    growing = [at for at, (all_, one, two) in enumerate(sizes) if all_ == one + two]
    if any(at not in growing and not all_ == one == two for at, (all_, one, two) in enumerate(sizes)):
        return ""
    rows = [at for at in growing if at < whole.dim() - whole.is_floating_point()]
    if not rows:
        return ""
    if len(growing) > 1:
        return "compared"
    return "independent" if alike(torch.cat([first, last], rows[0]), whole, tolerance) else "coupled"


def alike(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether two tensors are equal up to rounding: a share of the largest of their values."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    if not one.numel():
        return True
    scale = other.abs().nan_to_num(0, 0, 0).max().item()
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _candidates(example: Inputs) -> Iterator[Inputs]:
    """Ways in which the examples may lie in a batch, the most usual first.

    They lie along the first dimension of all tensors of one length; or along the second, as in sequences whose
    positions are first; or some of these tensors hold no examples and only happen to be as long.
    """
    shapes = example.shapes
    ways: list[dict[int, int]] = []

    def add(way: dict[int, int]) -> None:
        if way and way not in ways:
            ways.append(way)

    firsts = list(dict.fromkeys(shape[0] for shape in shapes if shape))
    seconds = list(dict.fromkeys(shape[1] for shape in shapes if len(shape) > 1))
    for length in filter(None, firsts):
        add({index: 0 for index, shape in enumerate(shapes) if shape[:1] == (length,)})
    alone = list(ways)
    for length in filter(None, seconds):
        second = {index: 1 for index, shape in enumerate(shapes) if shape[1:2] == (length,)}
        first = {index: 0 for index, shape in enumerate(shapes) if shape[:1] == (length,)}
        add({**first, **second})
        add({**second, **first})
    for way in [*alone, *ways]:
        for fewer in range(len(way) - 1, 0, -1):
            for chosen in combinations(way, fewer):
                if len(ways) < MOST_CANDIDATES:
                    add({index: way[index] for index in chosen})
    for way in ways[:MOST_CANDIDATES]:
        yield replace(example, along=tuple(way.get(index) for index in range(len(shapes))))


def _arrangement(places: list[Path], inputs: Inputs, as_given: str) -> Arrangement:
    pairs = list(zip(places, inputs.along, strict=True))
    dimensions = {path: at for path, at in pairs if at is not None}
    return Arrangement(dimensions, as_given, frozenset(path for path, at in pairs if at is None))


def _half(examples: int) -> int:
    return -(-examples // 2)
