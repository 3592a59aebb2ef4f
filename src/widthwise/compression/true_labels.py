"""The true labels of the examples that networks are compared on."""

from collections.abc import Iterable
from operator import index
from typing import SupportsIndex

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.wording import counted


def read(given: Iterable[SupportsIndex] | Tensor) -> Int[Tensor, " labels"]:
    """Labels as one tensor.

    Raises:
        RequestError: they are not whole numbers.
    """
    try:
        values = given.flatten().tolist() if isinstance(given, Tensor) else given
        return torch.tensor([index(label) for label in values], dtype=torch.long)
    except (TypeError, ValueError, RuntimeError):
        raise RequestError("must be whole numbers, one for each label", field="check_labels") from None


def check_count(labels: Int[Tensor, " labels"], compared: int) -> None:
    """Refuse labels that cannot be those of the examples, since there are not as many.

    Raises:
        RequestError: their number is another one.
    """
    if len(labels) != compared:
        given = counted(len(labels), "label")
        raise RequestError(
            f"must hold one label for each that is compared, {compared:,}, not {given}", field="check_labels"
        )
