"""The dimension of scores along which the classes lie, from the dense layer or convolution that they come from."""

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.tracing.functions import CONVOLUTIONS, DENSE, MATRIX_PRODUCTS, MOVING, UNIT_PRESERVING
from widthwise.tracing.structure import Slot, filled, slots_in, tensors_in
from widthwise.tracing.tape import Operation, Tape


def class_dimension(tape: Tape, scores: Slot, parameters: set[int]) -> int | None:
    """The dimension of a value along which the units of the last dense layer or convolution lie; None: unknown.

    Args:
        tape: the run that computed the value.
        scores: the value.
        parameters: the `id` of each of the model's parameters.
    """
    producers = tape.producers()
    steps: dict[Slot, tuple[Operation, Slot] | None] = {scores: None}
    waiting = [scores]
    while waiting:
        slot = waiting.pop()
        operation = producers.get(slot)
        if operation is None:
            continue
        dimension = _of_product(tape, producers, operation, slot, parameters)
        if dimension is not None:
            while (step := steps[slot]) is not None and dimension is not None:
                operation, after = step
                dimension = _dimension_after(tape, operation, slot, after, dimension)
                slot = after
            return dimension
        fresh = [each for each in operation.inputs if each not in steps and id(tape.values[each]) not in parameters]
        steps.update(dict.fromkeys(fresh, (operation, slot)))
        waiting += reversed(fresh)
    return None


def _of_product(
    tape: Tape, producers: dict[Slot, Operation], operation: Operation, slot: Slot, parameters: set[int]
) -> int | None:
    """The dimension of a dense layer's or convolution's value along which its units lie; None: it is neither."""
    name, value = operation.name, tape.values[slot]
    if name in CONVOLUTIONS:
        return value.dim() - int(name[-2]) - 1
    if name in DENSE:
        return value.dim() - 1
    if name not in MATRIX_PRODUCTS or name == "einsum" or len(operation.inputs) < 2:
        return None

    def is_weight(each: Slot) -> bool:
        if id(tape.values[each]) in parameters:
            return True
        made = producers.get(each)
        return made is not None and bool(made.inputs) and all(map(is_weight, made.inputs))

    left, right = (is_weight(each) for each in operation.inputs[-2:])
    if left == right:
        return None
    if name == "__rmatmul__":
        left, right = right, left
    return value.dim() - 1 if right else max(0, value.dim() - 2)


def _dimension_after(tape: Tape, operation: Operation, slot: Slot, after: Slot, dimension: int) -> int | None:
    """The dimension of an operation's value along which the entries along its argument's dimension lie."""
    before, then = tape.values[slot].shape, tape.values[after].shape
    name = operation.name
    if name in MATRIX_PRODUCTS:
        return None
    if name not in MOVING and before == then:
        return dimension
    if name in UNIT_PRESERVING and len(before) == len(then) and before[dimension] == then[dimension]:
        return dimension
    return _moved_to(tape, operation, slot, after, dimension)


def _moved_to(tape: Tape, operation: Operation, slot: Slot, after: Slot, dimension: int) -> int | None:
    """As `_dimension_after`, found by running the operation on values in which one entry is 1 and all others are 0."""
    length = tape.values[slot].shape[dimension]
    if length < 2 or operation.overwritten:
        return None
    for first in {0, length - 2}:  # a slice may leave out some
        one, two = (_entries_of(tape, operation, slot, after, dimension, index) for index in (first, first + 1))
        fitting = [
            at
            for at in range(tape.values[after].dim())
            if all(len(each) and (each[:, at] == each[0, at]).all() for each in (one, two))
            and two[0, at] == one[0, at] + 1
        ]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _entries_of(
    tape: Tape, operation: Operation, slot: Slot, after: Slot, dimension: int, index: int
) -> Int[Tensor, "entries dimensions"]:
    """The indices in an operation's value of what is at one index of its argument; none if it does more than move."""
    marked = torch.zeros_like(tape.values[slot])
    marked.select(dimension, index).fill_(1)

    def argument(each: Slot) -> Tensor:
        value = tape.values[each]
        if each == slot:
            return marked
        return torch.zeros_like(value) if value.is_floating_point() else value

    try:
        result = operation.function(*filled(operation.args, argument), **filled(operation.kwargs, argument))
    except Exception:  # a function that cannot be run on such values moves nothing
        return torch.zeros(0, tape.values[after].dim(), dtype=torch.long)
    return dict(zip(slots_in(operation.result), tensors_in(result), strict=True))[after].nonzero()
