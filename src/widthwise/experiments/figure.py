"""The form of a figure, and how figures of the paper are found by their numbers.

The kinds of charts are functions of `reporting`, which validates their arguments.
"""

import itertools
import re
import sys
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from widthwise.config import Config

NUMBER = re.compile(r"(B?\d+)([a-c]?)")
"""A figure of the paper, and the letter of its panel."""

AFTER_ALL = (True, sys.maxsize, "")
"""Sorts after all figures of the paper."""

FigureName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")]
"""The name of its files and its HTML id: for a figure of the paper its number, such as `6a`, otherwise a word."""


class SweepFigure(Config):
    """A figure that an experiment draws from its tables."""

    title: Annotated[str, Field(min_length=1)]
    """Its subject in a few words."""
    chart: dict[str, object]
    """The kind of chart by its name in the field `kind`, beside the chart's arguments."""
    series: tuple[str, ...] = ()
    """The series that it shows; empty: all of the experiment's."""


def figure_name(text: str) -> str:
    """The name of a figure from what a person typed, in capitals: `6A` from `6a` or `Fig. 6a`."""
    return text.strip().removeprefix("Figure ").removeprefix("Fig. ").upper()


def is_named(name: str, wanted: str) -> bool:
    """Compare a figure's name with what somebody typed, which may name a panel of it or a figure that it is part of."""
    shorter, longer = sorted((name.upper(), figure_name(wanted)), key=len)
    return longer == shorter or (longer.startswith(shorter) and longer[len(shorter) :] in ("A", "B", "C"))


def without_panels(names: Iterable[str]) -> list[str]:
    """Figures of the paper, several panels of one figure as one: `1c, 2` from `1c, 2a, 2b`."""
    numbers = [found for name in names if (found := NUMBER.fullmatch(name))]
    short = []
    for number, panels in itertools.groupby(numbers, key=lambda found: found[1]):
        together = [found[0] for found in panels]
        short += together if len(together) == 1 else [number]
    return short


def in_order_of_paper(names: Iterable[str]) -> list[str]:
    """Figures of the paper as it numbers them: the main text's before the appendix's."""
    return sorted(names, key=order_in_paper)


def order_in_paper(name: str) -> tuple[bool, int, str]:
    """A key that sorts figures of the paper as it numbers them, before those that it does not have."""
    found = NUMBER.fullmatch(name)
    return (name.startswith("B"), int(found[1].strip("B")), name) if found else AFTER_ALL
