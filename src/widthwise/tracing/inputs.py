"""The arguments of one call of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType

from torch import Tensor, nn

from widthwise.tracing.structure import mapped, tensors_in


@dataclass(frozen=True)
class Inputs:
    """The arguments of one call of a model. Every tensor with one row per example counts as data of the examples."""

    args: tuple[object, ...]
    kwargs: dict[str, object]

    @property
    def examples(self) -> int:
        """The number of examples, which is the length of the first tensor."""
        first = next(tensors_in((self.args, self.kwargs)))
        return first.shape[0] if first.dim() else 1

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each tensor without the examples."""
        return tuple(tuple(tensor.shape[1:]) for tensor in tensors_in((self.args, self.kwargs)))

    @property
    def divisible(self) -> bool:
        """Whether batches can be cut and joined: every tensor has one row per example, and all else is plain data."""
        tensors = tensors_in((self.args, self.kwargs))
        return all(tensor.dim() and tensor.shape[0] == self.examples for tensor in tensors) and all(
            isinstance(other, (NoneType, bool, int, float, str)) for other in self._others
        )

    @property
    def _others(self) -> list[object]:
        """The leaves that are not tensors."""
        found: list[object] = []

        def gather(structure: object) -> None:
            if isinstance(structure, dict):
                structure = list(structure.values())
            if isinstance(structure, (tuple, list)):
                for part in structure:
                    gather(part)
            elif not isinstance(structure, Tensor):
                found.append(structure)

        gather((self.args, self.kwargs))
        return found

    def joins(self, other: "Inputs") -> bool:
        """Whether examples of both can be passed to the model in one call."""
        kinds = [
            mapped((each.args, each.kwargs), lambda tensor: (tensor.shape[1:], tensor.dtype, tensor.device))
            for each in (self, other)
        ]
        return kinds[0] == kinds[1]

    def part(self, first: int, last: int) -> "Inputs":
        """The examples from index `first` up to but without `last`."""
        return self.each(lambda tensor: tensor[first:last])

    def each(self, function: Callable[[Tensor], Tensor]) -> "Inputs":
        """The same arguments with `function` applied to their tensors."""
        return Inputs(mapped(self.args, function), mapped(self.kwargs, function))

    def call(self, model: nn.Module) -> object:
        """The model's output."""
        return model(*self.args, **self.kwargs)
