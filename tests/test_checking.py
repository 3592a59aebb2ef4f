"""The tests run with every type and shape of a signature checked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from tests.checking import checked
from widthwise.measurement.correlation import RunningCorrelation
from widthwise.wording import counted

ONE, OTHER = torch.zeros(2, 3), torch.zeros(2, 4)


@checked
def summed(one: Float[Tensor, "rows columns"], other: Float[Tensor, "rows columns"]) -> Float[Tensor, " rows"]:
    return one.sum(1) + other.sum(1)


@checked
def wrong(one: Float[Tensor, "rows columns"]) -> Float[Tensor, " rows"]:
    return one.sum(0)


@checked
def rows(
    one: Float[Tensor, "rows columns"], other: Float[Tensor, "rows columns"]
) -> Iterator[Float[Tensor, " columns"]]:
    yield from one + other


@checked
@dataclass
class Pair:
    one: Float[Tensor, "rows columns"]
    other: Float[Tensor, "rows columns"]


def inner(kind: str) -> Callable[[object], object]:
    """A function that is defined anew at each call."""

    @checked
    def function(value: int) -> int:
        return value if kind == "right" else str(value)  # type: ignore[return-value]

    return function


def test_a_dimensions_name_has_one_size_within_a_call():
    assert summed(ONE, ONE).shape == (2,)
    assert summed(OTHER, OTHER).shape == (2,), "and may have another in the next"
    assert len(list(rows(ONE, ONE))) == 2
    for call in (summed, rows, Pair):
        with pytest.raises((BeartypeCallHintViolation, TypeCheckError)):
            call(ONE, OTHER)
        with pytest.raises((BeartypeCallHintViolation, TypeCheckError)):
            call(ONE.long(), ONE.long())
    with pytest.raises(BeartypeCallHintViolation):
        wrong(ONE)


def test_inner_functions_are_checked_each_for_itself():
    assert [inner("right")(value) for value in (1, 2)] == [1, 2]
    for _ in range(2):
        with pytest.raises(BeartypeCallHintViolation):
            inner("right")("1")
        with pytest.raises(BeartypeCallHintViolation):
            inner("wrong")(1)


@checked
def quoted(pair: "Pair", late: "list[nn.Module] | None" = None) -> "Pair":
    return pair


def test_a_quoted_type_is_checked_where_its_name_is_known():
    pair = Pair(ONE, ONE)
    assert quoted(pair, None) is quoted(pair) is pair  # type: ignore[arg-type]
    with pytest.raises(BeartypeCallHintViolation):
        quoted("pair")  # type: ignore[arg-type]


def test_widthwise_is_checked():
    with pytest.raises(BeartypeCallHintViolation):
        counted("3", "unit")  # type: ignore[arg-type]
    with pytest.raises(BeartypeCallHintViolation):
        RunningCorrelation(2, torch.device("cpu")).update(torch.zeros(2, 3, 4))
