"""A convolution or dense layer that reads units: its features by row, its weights as a matrix, and what it feeds."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from widthwise.compression.products import ARGUMENTS, BATCH_NORM, INPUTS_FIRST, arguments
from widthwise.tracing.functions import ADDITIONS, DROPOUTS, IDENTITIES, RESHAPES
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation

STAYING = DROPOUTS | IDENTITIES | RESHAPES
"""Functions that leave the numbers of a sum as they are."""
ADDED = {"add", "__add__", "__radd__", "__iadd__"}


@dataclass(frozen=True)
class Destination:
    """What a reader's sum becomes before anything else is done with it.

    norm: the batch normalization that it passes; None: there is none.
    end: the value that the reader should give: after the normalization, and after something else is added.
    added: what is added; None: nothing.
    """

    norm: Operation | None
    end: Slot
    added: Slot | None


class Reader:
    """A reader of a run.

    Args:
        operation: the convolution or dense layer.
        values: the values of the run, for their shapes.
    """

    def __init__(self, operation: Operation, values: Mapping[Slot, Tensor]):
        self.operation = operation
        given = arguments(operation, ARGUMENTS[operation.name])
        data, weight, bias = given["input"], given["weight"], given.get("bias")
        assert isinstance(data, Slot)
        assert isinstance(weight, Slot)
        self.data, self.weight, self.bias = data, weight, bias if isinstance(bias, Slot) else None
        self.output = operation.outputs[0]
        self._inputs_first = operation.name in INPUTS_FIRST
        self.outputs = values[weight].shape[1 if self._inputs_first else 0]
        self.kernel = () if self._inputs_first else tuple(values[weight].shape[2:])
        self.positions = math.prod(self.kernel)
        """Number of features that a channel of the input has."""
        count = len(self.kernel)
        self._stride = _each(given.get("stride", 1), count)
        self._dilation = _each(given.get("dilation", 1), count)
        self._padding = given.get("padding", 0)

    def matrix(self, weight: Tensor, bias: Tensor | None) -> Float[Tensor, "features outputs"]:
        """A weight and a bias as the matrix that the features, and a 1, are multiplied by."""
        columns = weight.double() if self._inputs_first else weight.flatten(1).double().T
        last = torch.zeros(self.outputs, dtype=torch.float64, device=weight.device) if bias is None else bias.double()
        return torch.cat([columns, last[None]])

    def weight_of(self, matrix: Float[Tensor, "features outputs"], like: Tensor) -> Tensor:
        """The weight of a matrix without its last row."""
        columns = matrix[:-1] if self._inputs_first else matrix[:-1].T
        return columns.reshape(like.shape).to(like.dtype)

    def sampled(self, value: Tensor, count: int, generator: torch.Generator) -> Int[Tensor, " rows"]:
        """Indices of `count` rows of the reader's output, an example and a position each; all, if there are fewer."""
        rows = self._rows_of(value)
        if rows <= count:
            return torch.arange(rows, device=value.device)
        return torch.randperm(rows, generator=generator)[:count].sort().values.to(value.device)

    def targets(self, value: Tensor, rows: Int[Tensor, " rows"]) -> Float[Tensor, "rows outputs"]:
        """Some rows of a value of the shape of the reader's output."""
        if not self.kernel:
            return value.reshape(-1, value.shape[-1])[rows]
        return self._channels_last(value)[rows]

    def features(self, value: Tensor, rows: Int[Tensor, " rows"], shape: torch.Size) -> Float[Tensor, "rows columns"]:
        """The features of some rows: every channel's entries under the kernel.

        Args:
            value: the reader's input.
            rows: the rows.
            shape: the shape of the reader's output.
        """
        if not self.kernel:
            return value.reshape(-1, value.shape[-1])[rows]
        count = len(self.kernel)
        batched = value if value.dim() == count + 2 else value[None]
        padded = self._padded(batched)
        places = shape[-count:]
        example = torch.div(rows, math.prod(places), rounding_mode="floor")
        at = torch.unravel_index(rows % math.prod(places), places)
        size = padded.shape[2:]
        offsets = list(itertools.product(*map(range, self.kernel)))
        columns = []
        flat = padded.flatten(2)
        for offset in offsets:
            index = torch.zeros_like(rows)
            for axis in range(count):
                index = index * size[axis] + at[axis] * self._stride[axis] + offset[axis] * self._dilation[axis]
            columns.append(flat[example, :, index])
        return torch.stack(columns, 2).flatten(1)

    def _rows_of(self, value: Tensor) -> int:
        return value.numel() // self.outputs

    def _channels_last(self, value: Tensor) -> Float[Tensor, "rows outputs"]:
        along = value.dim() - 1 - len(self.kernel)
        return value.movedim(along, -1).reshape(-1, self.outputs)

    def _padded(self, value: Tensor) -> Tensor:
        if self._padding == "valid":
            return value
        if self._padding == "same":
            whole = [dilation * (size - 1) for dilation, size in zip(self._dilation, self.kernel, strict=True)]
            sides = [(each // 2, each - each // 2) for each in whole]
        else:
            sides = [(each, each) for each in _each(self._padding, len(self.kernel))]
        return functional.pad(value, [each for pair in reversed(sides) for each in pair])


def destination(graph: Graph, reader: Operation, sums: bool = True) -> Destination:
    """What follows a reader, up to the sum that it is a part of or, without `sums`, up to that."""
    tape = graph.tape
    slot, norm = reader.outputs[0], None
    rows = not reader.name.startswith("conv")  # the outputs are last, so that the rows may be arranged anew
    while True:
        readers = graph.consumers.get(slot, [])
        if len(readers) != 1 or graph.is_final(slot):
            return Destination(norm, slot, None)
        (following,) = readers
        name = following.name
        given = tape.values[slot]
        if name == "batch_norm" and norm is None and not arguments(following, BATCH_NORM).get("training"):
            norm, slot = following, following.outputs[0]
        elif name in STAYING and following.outputs and _is_as_before(given, tape.values[following.outputs[0]], rows):
            slot = following.outputs[0]
        elif name in ADDED & ADDITIONS and len(following.inputs) == 2 and len(set(following.inputs)) == 2:
            other = next(each for each in following.inputs if each != slot)
            same = tape.values[other].shape == tape.values[slot].shape
            plain = not {"alpha"} & following.kwargs.keys()
            if sums and same and plain and other not in graph.constants and not depends(graph, other, reader):
                return Destination(norm, following.outputs[0], other)
            return Destination(norm, slot, None)
        else:
            return Destination(norm, slot, None)


def _is_as_before(one: Tensor, other: Tensor, rows: bool) -> bool:
    """Whether a value has the shape of another, or at least its outputs in the last dimension."""
    return one.shape == other.shape or (rows and one.shape[-1] == other.shape[-1])


def depends(graph: Graph, slot: Slot, operation: Operation) -> bool:
    """Whether a value is computed from what an operation gives."""
    waiting, seen = [slot], set[Slot]()
    while waiting:
        producer = graph.producers.get(waiting.pop())
        if producer is operation:
            return True
        if producer is not None:
            waiting += [each for each in producer.inputs if each not in seen]
            seen.update(producer.inputs)
    return False


def _each(given: object, count: int) -> tuple[int, ...]:
    if isinstance(given, int):
        return (given,) * count
    assert isinstance(given, (tuple, list))
    numbers = [each for each in given if isinstance(each, int)]
    return tuple(numbers) if len(numbers) == count else (numbers[0],) * count
