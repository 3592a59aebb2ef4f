"""The arguments of one call of a model, and the examples in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from widthwise.tracing.structure import mapped, tensors_in

PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device)
"""Types of arguments that hold no data and can be compared."""
Path = tuple[str | int, ...]
"""The position of a tensor in a call's arguments: the index or name of the argument, and indices and keys inside."""


@dataclass(frozen=True)
class Inputs:
    """The arguments of one call of a model.

    args, kwargs: the arguments.
    along: for each tensor, in order, the dimension along which its examples lie; None: it holds no examples, such as a
        table, a scalar or a vector with a value for each class. Empty: not known; then examples lie along the first
        dimension of the first tensor and of those as long as it.
    divisible: whether the examples can be run in batches of any size.
    """

    args: tuple[object, ...]
    kwargs: dict[str, object]
    along: tuple[int | None, ...] = ()
    divisible: bool = False

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors in order."""
        return list(tensors_in((self.args, self.kwargs)))

    @property
    def given(self) -> object:
        """The inputs in the form in which a batch gives them: one tensor, a tuple, or a dictionary."""
        if self.kwargs:
            return self.kwargs
        return self.args[0] if len(self.args) == 1 else self.args

    @property
    def examples(self) -> int:
        """The number of examples."""
        pairs = zip(self.tensors, self.dimensions, strict=True)
        return max((tensor.shape[at] for tensor, at in pairs if at is not None), default=1)

    @property
    def dimensions(self) -> tuple[int | None, ...]:
        """`along`; where that is not known, what it is taken to be."""
        if self.along:
            return self.along
        tensors = self.tensors
        length = next((tensor.shape[0] for tensor in tensors if tensor.dim()), None)
        return tuple(0 if tensor.dim() and tensor.shape[0] == length else None for tensor in tensors)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each tensor."""
        return [tuple(tensor.shape) for tensor in self.tensors]

    def joins(self, other: "Inputs") -> bool:
        """Whether examples of both can be passed to the model in one call: all but their examples are equal."""
        if self.along != other.along or not _alike((self.args, self.kwargs), (other.args, other.kwargs)):
            return False
        for one, two, at in zip(self.tensors, other.tensors, self.dimensions, strict=True):
            if (one.dtype, one.device) != (two.dtype, two.device) or one.dim() != two.dim():
                return False
            if at is None:
                if one is not two and not torch.equal(one, two):
                    return False
            elif [*one.shape[:at], *one.shape[at + 1 :]] != [*two.shape[:at], *two.shape[at + 1 :]]:
                return False
        return True

    def part(self, first: int, last: int) -> "Inputs":
        """The examples from index `first` up to but without `last`."""

        def cut(tensor: Tensor, at: int) -> Tensor:
            end = min(last, tensor.shape[at])
            return tensor.narrow(at, first, end - first)

        return self._of_examples(cut)

    def copied(self) -> "Inputs":
        """The same with tensors of examples copied, which no longer share the memory of a larger batch."""
        return self._of_examples(lambda tensor, at: tensor.clone())

    def twice(self) -> "Inputs":
        """Every example two times, one copy of all after the other."""
        return self._of_examples(lambda tensor, at: torch.cat([tensor, tensor], at))

    def each(self, function: Callable[[Tensor], Tensor]) -> "Inputs":
        """The same arguments with `function` applied to their tensors."""
        return replace(self, args=mapped(self.args, function), kwargs=mapped(self.kwargs, function))

    def call(self, model: nn.Module) -> object:
        """The model's output."""
        return model(*self.args, **self.kwargs)

    def _of_examples(self, function: Callable[[Tensor, int], Tensor]) -> "Inputs":
        """The same arguments with `function` applied to each tensor of examples and the dimension of its examples."""
        dimensions = iter(self.dimensions)

        def apply(tensor: Tensor) -> Tensor:
            at = next(dimensions)
            return tensor if at is None else function(tensor, at)

        return self.each(apply)


def joined(parts: Sequence[Inputs]) -> Inputs:
    """The examples of parts that can be joined, in one call's arguments."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part.tensors for part in parts), strict=True)
    dimensions = parts[0].dimensions
    tensors = iter(
        [column[0] if at is None else _joined(column, at) for column, at in zip(columns, dimensions, strict=True)]
    )
    return parts[0].each(lambda tensor: next(tensors))


def _joined(tensors: Sequence[Tensor], at: int) -> Tensor:
    """Tensors joined along a dimension, in a memory layout like that of the first."""
    first = tensors[0]
    if first.is_contiguous():
        return torch.cat(list(tensors), at)
    order = sorted(range(first.dim()), key=lambda dimension: -first.stride(dimension))  # of equal ones the first first
    together = torch.cat([tensor.permute(order) for tensor in tensors], order.index(at))
    return together.permute([order.index(dimension) for dimension in range(first.dim())])


def _alike(one: object, other: object) -> bool:
    """Whether two structures have tensors at the same positions and are equal otherwise."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(_alike, one.values(), other.values()))
    return one is other or (isinstance(one, PLAIN) and type(one) is type(other) and one == other)


def paths(inputs: Inputs) -> list[Path]:
    """The position of each tensor in the arguments, in the order of `tensors`."""
    found: list[Path] = []

    def visit(structure: object, path: Path) -> None:
        if isinstance(structure, Tensor):
            found.append(path)
        elif isinstance(structure, (tuple, list)):
            for index, part in enumerate(structure):
                visit(part, (*path, index))
        elif isinstance(structure, dict):
            for key, part in structure.items():
                visit(part, (*path, str(key)))
        elif isinstance(structure, slice):
            visit((structure.start, structure.stop, structure.step), path)

    visit(inputs.args, ())
    visit(inputs.kwargs, ())
    return found


def copied(tensor: Tensor) -> Tensor:
    """A copy with the tensor's own strides, so that a model whose code depends on them runs as on the original."""
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized:
        return tensor.clone()
    copy = tensor.clone()
    if copy.stride() == tensor.stride() or not tensor.numel():
        return copy
    repeated = [at for at, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)) if not stride]
    for at in repeated:
        copy = copy.narrow(at, 0, 1)
    own = torch.empty_strided(copy.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
    try:
        return own.copy_(copy).expand(tensor.shape)
    except RuntimeError:  # entries of it share memory in a way of their own
        return tensor.clone()
