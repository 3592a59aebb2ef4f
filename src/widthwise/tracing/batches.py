"""Batches in every usual form, read as the arguments of a model."""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from widthwise.errors import RequestError, TrialError
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.structure import tensors_in
from widthwise.wording import one_line


class Batches:
    """The inputs of a measurement, which can be read several times.

    An iterator, which can be read only once, is held in memory.

    Raises:
        RequestError: it is one tensor, is not an iterable of batches, or is empty.
    """

    def __init__(self, batches: object):
        if isinstance(batches, Tensor):
            raise RequestError(
                "batches must be an iterable of batches, not one tensor; for a single batch give [inputs]"
            )
        if isinstance(batches, (Mapping, str)) or not isinstance(batches, Iterable):
            raise RequestError(
                f"batches must be an iterable of batches, not {type(batches).__name__}; give a list or a DataLoader"
            )
        once = isinstance(batches, Iterator)
        self._source: Iterable[object] = list(_iterated(batches)) if once else batches
        first = next(_read(self._source), None)
        if first is None:
            raise RequestError("there are no inputs to measure: batches is empty")
        self.first = first

    @property
    def examples(self) -> int:
        """The number of examples, found by reading all of them."""
        return sum(inputs.examples for inputs in _read(self._source))

    def of_size(self, size: int) -> Iterator[Inputs]:
        """The examples in order, `size` at a time if batches can be cut and joined, otherwise as they come."""
        waiting: list[Inputs] = []
        for inputs in _read(self._source):
            if not inputs.divisible:
                yield from joined(waiting)
                waiting = []
                yield inputs
                continue
            if waiting and not waiting[0].joins(inputs):
                yield from joined(waiting)
                waiting = []
            first = 0
            while first < inputs.examples:
                room = size - sum(part.examples for part in waiting)
                waiting.append(inputs.part(first, first + room))
                first += room
                if sum(part.examples for part in waiting) == size:
                    yield from joined(waiting)
                    waiting = []
        yield from joined(waiting)


def joined(parts: list[Inputs]) -> Iterator[Inputs]:
    """The parts as one batch; nothing if there are none."""
    if len(parts) < 2:
        yield from parts
        return
    columns = zip(*(tensors_in((part.args, part.kwargs)) for part in parts), strict=True)
    together = iter([torch.cat(column) for column in columns])
    yield parts[0].each(lambda tensor: next(together))


def _read(batches: Iterable[object]) -> Iterator[Inputs]:
    """Batches as the arguments of a model; those without examples are left out.

    A batch is a tensor; a mapping of names to tensors, which become the model's arguments of these names; or a tuple or
    list whose first element is the inputs, in one of these two forms or as a tuple of several arguments.
    """
    for number, batch in enumerate(_iterated(batches), start=1):
        given = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if isinstance(given, Mapping):
            inputs = Inputs((), {str(name): given[name] for name in sorted(given, key=str)})
        elif isinstance(given, (tuple, list)):
            inputs = Inputs(tuple(given), {})
        else:
            inputs = Inputs((given,), {})
        if not any(True for _ in tensors_in((inputs.args, inputs.kwargs))):
            raise RequestError(
                f"batch {number} holds {type(given).__name__}, not tensors; a batch is a tensor (torch.from_numpy "
                "makes one of an array), a dictionary of tensors, or a tuple whose first element is the inputs"
            )
        if inputs.examples:
            yield inputs


def _iterated(batches: Iterable[object]) -> Iterator[object]:
    iterator, number = iter(batches), 0
    while True:
        number += 1
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except (RequestError, TrialError):
            raise
        except Exception as error:  # whatever the user's own code raises
            raise RequestError(f"batch {number} cannot be read: {one_line(error)}") from error
        yield batch
