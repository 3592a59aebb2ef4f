"""How many units of each group stay: the same share everywhere, or those by which the outputs lose least."""

import math
from collections.abc import Mapping

from widthwise.compression.error_curves import Curve
from widthwise.compression.groups import Group
from widthwise.compression.preparation import Counts, Preparation, Size
from widthwise.errors import RequestError

STEPS = 24
"""Halvings of an interval of shares or prices, none of which takes a fit."""


def same_share(prepared: Preparation, budget: float, size: Size, extra: int = 0) -> Counts:
    """The largest share of each layer's units whose network has at most `budget`, a share of a size of the network.

    Args:
        extra: what comes to the size besides.

    Raises:
        RequestError: even the least is too much.
    """
    most = _most(prepared, budget, size, extra)
    low, high = 0.0, 1.0
    if prepared.size(prepared.uniform(high), size) <= most:
        return prepared.uniform(high)
    for _ in range(STEPS // 2):
        middle = (low + high) / 2
        low, high = (middle, high) if prepared.size(prepared.uniform(middle), size) <= most else (low, middle)
    return prepared.uniform(low)


class OwnShares:
    """Shares of each layer's own, by what the outputs lose with its units and what these cost.

    At each price of a parameter or an operation, each group keeps as many units as make the sum of the outputs' error
    and of the price of what is kept the least.

    Args:
        prepared: the network.
        curves: the error curve of each group, by its name.
        size: what is paid for.
    """

    def __init__(self, prepared: Preparation, curves: Mapping[str, Curve], size: Size):
        self._prepared, self._curves = prepared, curves
        self._size: Size = size
        whole = prepared.uniform(1.0)
        self._whole = prepared.size(whole, size)
        self._costs = {group.name: self._cost(group, whole) for group in prepared.groups}

    def within(self, budget: float, extra: int = 0) -> Counts:
        """The units that stay with at most `budget`, a share of the network's size.

        Args:
            extra: what comes to the size besides.

        Raises:
            RequestError: even the least is too much.
        """
        most = _most(self._prepared, budget, self._size, extra)
        free = self._at(0.0)
        if self._prepared.size(free, self._size) <= most:
            return free
        low, high = self._prices()
        for _ in range(STEPS):
            middle = math.sqrt(low * high)
            enough = self._prepared.size(self._at(middle), self._size) <= most
            low, high = (low, middle) if enough else (middle, high)
        return self._filled(self._at(high), self._at(low), most)

    def _filled(self, counts: Counts, more: Counts, most: float) -> Counts:
        """Further units, while there is room, where a slightly lower price would have kept them."""
        groups = [each for each in self._prepared.groups if more[each.name] > counts[each.name]]
        for group in sorted(groups, key=lambda each: -self._gain(each.name, counts[each.name], more[each.name])):
            name, steps = group.name, self._prepared.steps(group)
            room = (most - self._prepared.size(counts, self._size)) / self._costs[name]
            fitting = [each for each in steps if counts[name] < each <= min(more[name], counts[name] + room)]
            tried = {**counts, name: max(fitting, default=counts[name])}
            if fitting and self._prepared.size(tried, self._size) <= most:
                counts = tried
        return counts

    def _gain(self, name: str, count: int, more: int) -> float:
        """The error that further units of a group take away, for what each costs."""
        curve = [0.0, *self._curves[name]]
        units = len(curve)
        return (curve[units - count] - curve[units - more]) / (self._costs[name] * max(more - count, 1))

    def _cost(self, group: Group, whole: Counts) -> float:
        """What a unit of a group costs, while all of the others stay."""
        least = self._prepared.steps(group)[0]
        part = self._prepared.size({**whole, group.name: least}, self._size)
        return max(self._whole - part, 1) / max(group.units - least, 1)

    def _at(self, price: float) -> Counts:
        return {group.name: self._count(group, price) for group in self._prepared.groups}

    def _count(self, group: Group, price: float) -> int:
        curve, cost = [0.0, *self._curves[group.name]], self._costs[group.name]
        return min(self._prepared.steps(group), key=lambda count: curve[group.units - count] + price * cost * count)

    def _prices(self) -> tuple[float, float]:
        """A price at which hardly any unit goes, and one at which all go that can."""
        most = max(max(curve, default=0.0) / self._costs[name] for name, curve in self._curves.items()) or 1.0
        return most * 1e-15, most * 2


def _most(prepared: Preparation, budget: float, size: Size, extra: int) -> float:
    """The largest size within a budget.

    Raises:
        RequestError: the smallest network is larger.
    """
    whole = prepared.size(prepared.uniform(1.0), size)
    least = prepared.size(prepared.uniform(0.0), size) + extra
    if least > budget * whole:
        raise RequestError(
            f"with one unit in each layer that can be made smaller, {least / whole:.1%} are left, more than "
            f"{budget:.1%}",
            field=size,
        )
    return budget * whole - extra
