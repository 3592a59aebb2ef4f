"""The splits for training, validation and testing, if a user's files or function do not have all of them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.randomness import generator

HELD_OUT = 10
"""If no number is given, one example in ten is for validation and one in ten for testing."""
FEWEST_LABELS = 1000
"""A largest label below this is taken as it is, however few the examples are."""

Chosen = tuple[str, Int[Tensor, " examples"]]
"""The name of a split as it was given, and the indices of its examples."""


def divided(given: Mapping[str, int], wanted: Mapping[str, int | None], seed: int, where: str) -> dict[str, Chosen]:
    """The examples of the splits `train`, `validation` and `test`.

    A missing split is drawn from the examples of `train` with `seed`: first the test examples, then the validation
    examples; the others are for training. From a split that is given, `wanted` draws a number. Indices are ascending.

    Args:
        given: the number of examples of `train` and, if they are given, of `validation` and `test`.
        wanted: the number of examples in each split; None: all that are given, or for a drawn split a tenth
            of the examples.
        seed: the seed of the draws.
        where: the source of the examples, for messages.

    Raises:
        RequestError: there are fewer examples than that.
    """
    available = given["train"]
    held_out = sum(name not in given and wanted.get(name) is None for name in ("test", "validation"))
    if available <= held_out:
        problem = f"{where} returns {available:,} training examples, of which others are drawn to validate and to test"
        raise RequestError(f"{problem}; at least {held_out + 1} are needed", field="data.train_examples")
    left = torch.randperm(available, generator=generator(seed, "splits"))
    splits: dict[str, Chosen] = {}
    for name in ("test", "validation"):
        number = wanted.get(name)
        if name in given:
            splits[name] = name, drawn(given[name], number, seed, name, where)
            continue
        count = max(1, available // HELD_OUT) if number is None else number
        check_enough(name, count, len(left) - 1, where)
        splits[name], left = ("train", left[:count].sort().values), left[count:]
    left = left.sort().values
    splits["train"] = "train", left[drawn(len(left), wanted.get("train"), seed, "train", where)]
    return splits


def check_largest(label: int, examples: int, what: str) -> None:
    """See that the number of classes, where nobody says it, is not taken from a label that is none.

    Raises:
        RequestError: there are fewer examples than the largest label says classes.
    """
    if label >= max(examples, FEWEST_LABELS):
        problem = f"{what} the label {label:,} and only {examples:,} examples; labels count from 0"
        raise RequestError(f"{problem}; number them anew, or say how many classes there are", field="data.classes")


def drawn(
    available: int, wanted: int | None, seed: int, split: str, where: str | Path, noun: str = "examples"
) -> Int[Tensor, " examples"]:
    """The indices of a split's examples that are used, in order; they depend on `seed` and the name of the split.

    Raises:
        RequestError: fewer are available than wanted.
    """
    if wanted is None or wanted == available:
        return torch.arange(available)
    check_enough(split, wanted, available, where, noun)
    return torch.randperm(available, generator=generator(seed, "examples", split))[:wanted].sort().values


def check_enough(split: str, wanted: int, available: int, where: str | Path, noun: str = "examples") -> None:
    """Check that there are enough examples for a split.

    Raises:
        RequestError: there are not.
    """
    if wanted > available:
        problem = f"it is {wanted:,} and {where} has only {max(available, 0):,} {noun} for it"
        raise RequestError(f"{problem}; set it to less", field=f"data.{split}_examples")
