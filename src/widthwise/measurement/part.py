"""A part of the data, measured by itself; profiles of all parts merge into that of the whole."""

from collections.abc import Iterator
from dataclasses import dataclass

from widthwise.errors import RequestError
from widthwise.measurement.settings import Measurement
from widthwise.tracing.batches import Batches
from widthwise.tracing.inputs import Inputs


@dataclass(frozen=True)
class Part:
    """Part `number` of `parts` equal ones, counted from 1: consecutive examples of the whole."""

    number: int
    parts: int

    def batches(self, source: Batches, size: int, examples: int) -> Iterator[tuple[int, Inputs]]:
        """The part's batches, each with the index of its first example among all.

        A batch that cannot be cut belongs to the part in which its first example lies.
        """
        begin, end = examples * (self.number - 1) // self.parts, examples * self.number // self.parts
        first = 0
        for inputs in source.of_size(size):
            last = first + inputs.examples
            if inputs.divisible:
                if first < end and last > begin:
                    yield max(begin, first), inputs.part(max(begin - first, 0), min(end, last) - first)
            elif begin <= first < end:
                yield first, inputs
            first = last


def as_part(given: object) -> Part:
    """The part that an argument stands for.

    Raises:
        RequestError: it stands for none.
    """
    if isinstance(given, (tuple, list)) and len(given) == 2:
        number, parts = given
        whole = all(isinstance(each, int) and not isinstance(each, bool) for each in given)
        if whole and 1 <= number <= parts:
            return Part(number, parts)
    problem = f"must be two whole numbers such as (1, 4), the first of four parts, got {given!r}"
    raise RequestError(problem, field="part")


def check_divisible(settings: Measurement) -> None:
    """See that a part can be measured without the others.

    Raises:
        RequestError: something is asked for that needs all examples at once.
    """
    needs = {
        "replacement='mean'": settings.replacement == "mean",
        "single_units=True": settings.single_units,
        "a precision": settings.precision is not None,
    }
    for name, asked in needs.items():
        if asked:
            raise RequestError(f"{name} needs all examples at once, so no part of them can be measured", field="part")
