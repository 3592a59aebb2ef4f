"""Layers whose outputs are units, with what was found of them, and the groups that they make up."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from widthwise.compression.couplings import Family
from widthwise.compression.groups import Codes, Cut, Group, Left, Normalized, Passage, Reading
from widthwise.compression.neighbour_norms import NeighbourNorm
from widthwise.compression.products import Product
from widthwise.compression.reader import depends
from widthwise.compression.shortcuts import Shortcut
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation


@dataclass
class Origin:
    """A layer whose outputs are units, or several together, as those of a head are.

    name: its path. units: their number, each of `width` outputs.
    cuts: what is cut with them. writer: the call of the layer.
    readers: what takes them, and whose each channel of its input is.
    entries: the shortcuts that take them; exit: the shortcut that gives them, if that is no layer.
    norms: the normalizations by neighbours that they pass.
    is_added: whether they are added to those of other layers.
    reason: why they all stay; empty if they need not.
    """

    name: str
    units: int
    width: int
    cuts: list[Cut]
    writer: Operation | None = None
    readers: list[tuple[Product, Codes]] = field(default_factory=list)
    entries: list[tuple[Shortcut, Codes]] = field(default_factory=list)
    exit: Shortcut | None = None
    norms: list[tuple[NeighbourNorm, Codes]] = field(default_factory=list)
    is_added: bool = False
    reason: str = ""

    def stay(self, reason: str) -> None:
        """Keep all of them, for the first reason that is found."""
        self.reason = self.reason or reason


class GroupBuilding:
    """Makes groups of layers whose units go together.

    Args:
        graph: the run. name_of: gives the name of the parameter that a value is.
    """

    def __init__(self, graph: Graph, name_of: Callable[[Slot], str]):
        self._graph, self._name = graph, name_of

    def of(self, family: Family, known: Sequence[Origin]) -> Group | list[Left]:
        """The group of a family of layers; or why these have to stay.

        Args:
            family: the layers. known: all layers, by their numbers.
        """
        origins = {number: known[number] for number in family.members}
        members = [each for each in origins.values() if each.exit is None]
        readings = self._readings(family, origins)
        reason = next((each.reason for each in origins.values() if each.reason), "")
        reason = reason or family.problem or _problem(readings, family.units)
        if reason:
            return [Left(each.name, each.units, each.reason or reason) for each in members]
        cuts = {
            (cut.tensor, cut.dimension): Cut(cut.tensor, cut.dimension, family.codes(number, cut.codes))
            for number, each in origins.items()
            for cut in each.cuts
        }
        entries = tuple(
            Passage(shortcut, family.codes(number, codes))
            for number, each in origins.items()
            for shortcut, codes in each.entries
        )
        normalized = tuple(
            Normalized(norm, family.codes(number, codes))
            for number, each in origins.items()
            for norm, codes in each.norms
        )
        return Group(
            names=tuple(each.name for each in members),
            units=family.units,
            widths=_widths(members, family.units),
            cuts=tuple(cuts.values()),
            readings=tuple(readings),
            ahead=bool(entries or normalized) or self._follow(readings),
            writers=tuple(each.writer for each in members if each.writer is not None and each.is_added),
            entries=entries,
            exits=tuple(
                Passage(each.exit, family.unit_of[number] + 1)
                for number, each in origins.items()
                if each.exit is not None
            ),
            normalized=normalized,
        )

    def _readings(self, family: Family, origins: dict[int, Origin]) -> list[Reading]:
        """What reads a family's units, and whose each channel of its input is."""
        found: dict[int, tuple[Product, Codes]] = {}
        for number, origin in origins.items():
            for product, own in origin.readers:
                codes = family.codes(number, own)
                before = found.setdefault(id(product.operation), (product, codes))[1]
                found[id(product.operation)] = product, torch.where(before > 0, before, codes)
        return [
            Reading(product.operation, self._name(product.weight), product.read, codes)
            for product, codes in found.values()
        ]

    def _follow(self, readings: list[Reading]) -> bool:
        """Whether what one layer reads depends on what another gives."""
        return any(
            depends(self._graph, other.operation.inputs[0], one.operation)
            for one, other in itertools.permutations(readings, 2)
        )


def _widths(members: Sequence[Origin], units: int) -> tuple[int, ...]:
    """How many outputs of layers belong to a unit, and to a unit's heads together, and how many heads that are."""
    found: set[int] = set()
    for each in members:
        count = each.units // units
        found |= {each.width, count, each.width * count}
    return tuple(sorted(found))


def _problem(readings: list[Reading], units: int) -> str:
    """Why nothing that reads some units can be fitted; empty if it can."""
    if not readings:
        return "no layer reads its units"
    return next(filter(None, (_unevenness(reading.columns, units) for reading in readings)), "")


def _unevenness(columns: Tensor, units: int) -> str:
    counts = torch.bincount(columns, minlength=units + 1)[1:]
    if len(counts) == units and bool((counts == counts[0]).all()) and int(counts[0]):
        return ""
    return "the layer that reads its units does not take equally much of each"
