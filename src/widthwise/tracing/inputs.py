"""What a model is given and what it answers: batches in every usual form, and the labels of an output."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.tracing.structure import mapped, tensors_in

Predict = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Inputs:
    """The arguments of one call of a model. Every tensor that has `examples` rows is about these examples."""

    args: tuple
    kwargs: dict[str, Any]

    @property
    def examples(self) -> int:
        """How many examples there are: the length of the first tensor."""
        first = next(tensors_in((self.args, self.kwargs)))
        return first.shape[0] if first.dim() else 1

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each tensor, without its examples."""
        return tuple(tuple(tensor.shape[1:]) for tensor in tensors_in((self.args, self.kwargs)))

    @property
    def divisible(self) -> bool:
        """Whether every tensor is about the examples, and nothing else can be, so that they can be cut and joined."""
        tensors = tensors_in((self.args, self.kwargs))
        return all(tensor.dim() and tensor.shape[0] == self.examples for tensor in tensors) and all(
            isinstance(other, (NoneType, bool, int, float, str)) for other in self._others
        )

    @property
    def _others(self) -> list[Any]:
        """What is not a tensor."""
        found: list[Any] = []

        def gather(structure: Any) -> None:
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
        """Whether examples of both can be given to the model in one call."""
        kinds = [
            mapped((each.args, each.kwargs), lambda tensor: (tensor.shape[1:], tensor.dtype, tensor.device))
            for each in (self, other)
        ]
        return kinds[0] == kinds[1]

    def part(self, first: int, last: int) -> "Inputs":
        """Some of the examples."""
        return self.each(lambda tensor: tensor[first:last])

    def each(self, function: Callable[[Tensor], Tensor]) -> "Inputs":
        """The same arguments with `function` applied to their tensors."""
        return Inputs(mapped(self.args, function), mapped(self.kwargs, function))

    def call(self, model: nn.Module) -> Any:
        """The model's output."""
        return model(*self.args, **self.kwargs)


def read(batches: Iterable) -> Iterator[Inputs]:
    """Batches as the arguments of a model.

    A batch is a tensor; a mapping of names to tensors, which become the model's arguments of these names; or a tuple or
    list whose first element is the inputs, in one of these two forms or as a tuple of several arguments.

    Raises:
        ValueError: a batch is of another kind, or has no examples first.
    """
    for number, batch in enumerate(_gone_through(batches), start=1):
        given = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if isinstance(given, Mapping):
            inputs = Inputs((), {name: given[name] for name in sorted(given, key=str)})
        elif isinstance(given, (tuple, list)):
            inputs = Inputs(tuple(given), {})
        else:
            inputs = Inputs((given,), {})
        if not any(True for _ in tensors_in((inputs.args, inputs.kwargs))):
            raise ValueError(
                f"batch {number} holds {type(given).__name__}, not tensors; a batch is a tensor (torch.from_numpy "
                "makes one of an array), a dictionary of tensors, or a tuple whose first element is the inputs"
            )
        if inputs.examples:
            yield inputs


def _gone_through(batches: Iterable) -> Iterator[Any]:
    iterator, number = iter(batches), 0
    while True:
        number += 1
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except ValueError:
            raise
        except Exception as error:  # whatever the user's own code raises
            raise ValueError(f"batch {number} cannot be read: {type(error).__name__}: {error}") from error
        yield batch


class NoLabelError(ValueError):
    """What a model answers gives no labels."""


class Batches:
    """The inputs of a measurement, which may be gone through several times.

    What can be gone through only once is held in memory.

    Raises:
        ValueError: it is one tensor, or empty.
    """

    def __init__(self, batches: Iterable):
        if isinstance(batches, Tensor):
            raise ValueError("batches must be an iterable of batches, not one tensor; for a single batch give [inputs]")
        if isinstance(batches, (Mapping, str)) or not isinstance(batches, Iterable):
            raise ValueError(
                f"batches must be an iterable of batches, not {type(batches).__name__}; give a list or a DataLoader"
            )
        once = isinstance(batches, Iterator)
        self._source: Iterable = list(_gone_through(batches)) if once else batches
        self.first = next(read(self._source), None)
        if self.first is None:
            raise ValueError("there are no inputs to measure: batches is empty")

    @property
    def examples(self) -> int:
        """How many examples there are; they are gone through to know."""
        return sum(inputs.examples for inputs in read(self._source))

    def of_size(self, size: int) -> Iterator[Inputs]:
        """The examples in their order, `size` at a time where they can be cut and joined, else as they came."""
        waiting: list[Inputs] = []
        for inputs in read(self._source):
            if not inputs.divisible:
                yield from _joined(waiting)
                waiting = []
                yield inputs
                continue
            if waiting and not waiting[0].joins(inputs):
                yield from _joined(waiting)
                waiting = []
            first = 0
            while first < inputs.examples:
                room = size - sum(part.examples for part in waiting)
                waiting.append(inputs.part(first, first + room))
                first += room
                if sum(part.examples for part in waiting) == size:
                    yield from _joined(waiting)
                    waiting = []
        yield from _joined(waiting)


def _joined(parts: list[Inputs]) -> Iterator[Inputs]:
    """One batch of several; none of none."""
    if len(parts) < 2:
        yield from parts
        return
    columns = zip(*(tensors_in((part.args, part.kwargs)) for part in parts), strict=True)
    together = iter([torch.cat(column) for column in columns])
    yield parts[0].each(lambda tensor: next(together))


def scores_of(output: Any, predict: Predict | None) -> Tensor:
    """The values whose argmax over the last axis is a label, or the labels themselves where they are integers.

    Raises:
        ValueError: there are none in the output.
    """
    if predict is not None:
        scores, what = predict(output), "predict= gives"
    else:
        found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
        scores, what = found, "the model returns"
    if not isinstance(scores, Tensor):
        kind = type(scores).__name__
        if isinstance(output, Mapping) and predict is None:
            kind = f"a dictionary with {', '.join(map(str, output)) or 'nothing'} and no logits"
        raise NoLabelError(
            f"{what} {kind}, of which no label can be formed; a label is the argmax over the last axis of a tensor or "
            "of an output's .logits: give such a tensor, in Python by predict=, a function of the output"
        )
    if scores.is_floating_point() and (scores.dim() < 2 or scores.shape[-1] < 2):
        remedy = "for a single output give two, in Python by predict=lambda output: output[:, 0] > 0"
        if predict is not None:
            remedy = "labels themselves must be whole numbers or truth values"
        raise NoLabelError(
            f"{what} a tensor of shape {tuple(scores.shape)}, of which no label can be formed: a label is the argmax "
            f"over several outputs; {remedy}"
        )
    return scores


def labels_of(scores: Tensor) -> Tensor:
    """The label of each row of scores; labels stay what they are."""
    return scores.argmax(-1) if scores.is_floating_point() else scores.long()
