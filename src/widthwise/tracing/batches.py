"""Batches in every usual form, read as the arguments of a model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import TypeGuard

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from widthwise.errors import RequestError, TrialError
from widthwise.tracing.arrangement import Arrangement
from widthwise.tracing.digest import digest
from widthwise.tracing.failures import failure
from widthwise.tracing.in_place import storage
from widthwise.tracing.inputs import Inputs, joined
from widthwise.wording import counted, one_line

HELD = 1 << 30
"""Bytes of batches that are held in memory, so that they are read once."""
SAME = (
    "batches must give the same examples each time, without shuffling or random changes; or give them as a list, which "
    "is held in memory"
)


class Batches:
    """The inputs of a measurement, which can be read several times.

    Those that fit are held in memory, and so is an iterator, which can be read only once. All others are read anew for
    each pass; by a digest of each batch it is noticed if they are not the same.

    Args:
        batches: an iterable of batches.
        memory: bytes of batches to hold.

    Raises:
        RequestError: it is one tensor, is not an iterable of batches, or is empty.
    """

    def __init__(self, batches: object, memory: int = HELD):
        if isinstance(batches, Tensor):
            raise RequestError(
                "batches must be an iterable of batches, not one tensor; for a single batch give [inputs]"
            )
        if isinstance(batches, (Mapping, str)) or not isinstance(batches, Iterable):
            raise RequestError(
                f"batches must be an iterable of batches, not {type(batches).__name__}; give a list or a DataLoader"
            )
        self._source: Iterable[object] = batches
        self._once = isinstance(batches, Iterator)
        self._memory = memory
        self._held: list[Inputs] | None = None
        self._digests: list[bytes] = []
        self._examples = 0
        self._arrangement: Arrangement | None = None
        self._reading = _read(batches)
        first = next(self._reading, None)
        if first is None:
            raise RequestError("there are no inputs to measure: batches is empty")
        self.first = first

    def arrange(self, arrangement: Arrangement) -> None:
        """Read all batches with their examples where they are found to be."""
        self._arrangement = arrangement

    @property
    def examples(self) -> int:
        """The number of examples, found by reading all of them once."""
        if not self._examples:
            self._read_first()
        return self._examples

    def of_size(self, size: int) -> Iterator[Inputs]:
        """The examples in order, `size` at a time if batches can be cut and joined, otherwise as they come."""
        waiting: list[Inputs] = []
        for inputs in self._again():
            if not inputs.divisible:
                if waiting:
                    yield joined(waiting)
                waiting = []
                yield inputs
                continue
            if waiting and not waiting[0].joins(inputs):
                yield joined(waiting)
                waiting = []
            first = 0
            while first < inputs.examples:
                room = size - sum(part.examples for part in waiting)
                waiting.append(inputs.part(first, first + room))
                first += room
                if sum(part.examples for part in waiting) == size:
                    yield joined(waiting)
                    waiting = []
            if waiting and self._held is None:  # the next batch may be put into the same memory
                waiting[-1] = waiting[-1].each(Tensor.clone)
        if waiting:
            yield joined(waiting)

    def _read_first(self) -> None:
        """Read all batches, count their examples, and hold them or, if they are too large, their digests."""
        unlimited = self._once or type(self._source) in (list, tuple)  # which holds its batches itself
        held: list[Inputs] = []
        size, places = 0, set[tuple[object, ...]]()
        for inputs in chain([self.first], self._reading):
            here = {_place(tensor) for tensor in inputs.tensors}
            size += _bytes(inputs)
            if not unlimited and (size > self._memory or places & here):
                break
            places |= here
            held.append(inputs.each(Tensor.clone) if self._once else inputs)
        else:
            self._held = held
            self._examples = sum(self._arranged(inputs, number).examples for number, inputs in enumerate(held, start=1))
            return
        del held
        self._read_carefully()

    def _read_carefully(self) -> None:
        """Read all batches anew with their digests, and hold them if they fit and stay what they are.

        They do not if each of them is put into the memory of the one before.
        """
        held: list[Inputs] | None = []
        size = 0
        for number, inputs in enumerate(_read(self._source), start=1):
            self._digests.append(digest(inputs))
            self._examples += self._arranged(inputs, number).examples
            size += _bytes(inputs)
            if size > self._memory:
                held = None
            elif held is not None:
                held.append(inputs)
        if held is not None and [digest(inputs) for inputs in held] == self._digests:
            self._held = held

    def _again(self) -> Iterator[Inputs]:
        """All batches once more, with their examples found.

        Raises:
            RequestError: they are not those that were read first.
        """
        if not self._examples:
            self._read_first()
        if self._held is not None:
            for number, inputs in enumerate(self._held, start=1):
                yield self._arranged(inputs, number)
            return
        number = 0
        for number, inputs in enumerate(_read(self._source), start=1):
            if number > len(self._digests):
                found = counted(number - 1, "batch", "batches")
                raise RequestError(f"batches gives more than {found} when it is read again; {SAME}")
            if digest(inputs) != self._digests[number - 1]:
                raise RequestError(f"batch {number} holds other examples when it is read again; {SAME}")
            yield self._arranged(inputs, number)
        if number < len(self._digests):
            found = counted(number, "batch", "batches")
            raise RequestError(f"batches gives {found} when it is read again, and not {len(self._digests)}; {SAME}")

    def _arranged(self, inputs: Inputs, number: int) -> Inputs:
        return inputs if self._arrangement is None else self._arrangement.of(inputs, number)


def _bytes(inputs: Inputs) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in inputs.tensors)


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Where a tensor lies in memory."""
    offset = tensor.storage_offset() if tensor.layout == torch.strided and not tensor.is_nested else 0
    return storage(tensor), offset, *tensor.shape


def _read(batches: Iterable[object]) -> Iterator[Inputs]:
    """Batches as the arguments of a model; those without examples are left out.

    A batch is a tensor; a mapping of names to tensors, which become the model's arguments of these names; or a tuple or
    list whose first element is the inputs, in one of these two forms or as a tuple of several arguments.
    """
    for number, batch in enumerate(_iterated(batches), start=1):
        inputs = _arguments(batch)
        if not inputs.tensors:
            raise RequestError(
                f"batch {number} holds {_kind(batch)}, not tensors; a batch is a tensor (torch.from_numpy "
                "makes one of an array), a dictionary of tensors, or a tuple whose first element is the inputs"
            )
        if any(tensor.is_nested for tensor in inputs.tensors):
            raise RequestError(
                f"batch {number} holds a nested tensor, which cannot be cut or measured; pad its parts to one length"
            )
        if not any(0 in shape[:1] for shape in inputs.shapes):
            yield inputs


def _kind(batch: object) -> str:
    """The type of the inputs that a batch holds."""
    return type(batch[0] if _is_several(batch) else batch).__name__


def _arguments(batch: object) -> Inputs:
    """The arguments that a batch holds."""
    given = batch[0] if _is_several(batch) else batch
    if isinstance(given, Mapping):
        return Inputs((), {str(name): given[name] for name in sorted(given, key=str)})
    return Inputs(tuple(given) if _is_several(given) else (given,), {})


def _is_several(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value holds several parts of a batch; a packed sequence is a tuple, but one argument."""
    return isinstance(value, (tuple, list)) and not isinstance(value, PackedSequence) and len(value) > 0


def _iterated(batches: Iterable[object]) -> Iterator[object]:
    iterator: Iterator[object] | None = None
    for number in count(1):
        try:
            iterator = iter(batches) if iterator is None else iterator
            batch = next(iterator)
        except StopIteration:
            return
        except (RequestError, TrialError):
            raise
        except Exception as error:  # whatever the user's own code raises
            raise failure(f"batch {number} cannot be read: {one_line(error)}", error) from error
        yield batch
