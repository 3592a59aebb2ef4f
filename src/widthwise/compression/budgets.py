"""How small a network is to be: a share of its units, parameters, operations or labels."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from torch import nn

from widthwise.compression.comparison import labels_kept
from widthwise.compression.preparation import Counts, Preparation, Size
from widthwise.compression.refitting import Refitted
from widthwise.compression.shares import OwnShares, same_share
from widthwise.errors import RequestError
from widthwise.progress import OnProgress
from widthwise.tracing.untouched import untouched
from widthwise.wording import listed

HALF = 0.5
STEPS = 8
"""Halvings of the range of sizes in which the smallest network that keeps enough labels lies; each takes a fit."""
Within = Callable[[float, int], Counts]
"""The units that stay within a share of a size, with what comes to it besides."""


@dataclass(frozen=True)
class Budget:
    """What a smaller network may have, or has to keep.

    name: of what it is a share. share: the share. same_width: whether it is spent evenly on all layers.
    """

    name: Literal["keep", "labels", "parameters", "flops"]
    share: float
    same_width: bool

    @classmethod
    def of(
        cls, keep: float | None, labels: float | None, parameters: float | None, flops: float | None, same_width: bool
    ) -> "Budget":
        """The budget that is given; without any, half of the units.

        Raises:
            RequestError: there are several, or it is no share.
        """
        given = {"keep": keep, "labels": labels, "parameters": parameters, "flops": flops}
        named = [name for name, share in given.items() if share is not None]
        if len(named) > 1:
            raise RequestError(f"give one of {listed(named, 'or')}, not several", field=named[-1])
        for name in named:
            check_share(name, given[name])
        if labels is not None:
            return cls("labels", labels, same_width)
        if parameters is not None:
            return cls("parameters", parameters, same_width)
        if flops is not None:
            return cls("flops", flops, same_width)
        return cls("keep", HALF if keep is None else keep, same_width)

    def counts(self, prepared: Preparation, on_progress: OnProgress) -> Counts:
        """How many units stay of each layer, before anything is fitted.

        Raises:
            RequestError: it is of labels, which are not known then; or the least network is larger.
        """
        if self.name == "keep":
            return prepared.uniform(self.share)
        if self.name == "labels":
            raise RequestError("how many labels stay is known only of networks that are fitted", field="labels")
        return self._within(prepared, self.name, on_progress)(self.share, 0)

    def network(self, prepared: Preparation, on_progress: OnProgress) -> tuple[Refitted, nn.Module]:
        """The smaller network, and what was chosen and fitted for it.

        Raises:
            RequestError: the least network is larger, or it cannot be fitted.
        """
        if self.name == "keep":
            return prepared.at(prepared.uniform(self.share), on_progress)
        if self.name == "labels":
            return self._smallest(prepared, on_progress)
        return self._largest(prepared, self.name, on_progress)

    def _within(self, prepared: Preparation, size: Size, on_progress: OnProgress) -> Within:
        if self.same_width:
            return lambda budget, extra: same_share(prepared, budget, size, extra)
        return OwnShares(prepared, prepared.curves(on_progress), size).within

    def _largest(self, prepared: Preparation, size: Size, on_progress: OnProgress) -> tuple[Refitted, nn.Module]:
        """The network with as many units as the budget allows."""
        within = self._within(prepared, size, on_progress)
        extra, most = 0, self.share * prepared.size(prepared.uniform(1.0), size)
        while True:
            counts = within(self.share, extra)
            foreseen = prepared.size(counts, size)
            found, result = prepared.at(counts, on_progress)
            used = prepared.size_of(result, size)
            if used <= most:
                return found, result
            extra = max(used - foreseen, extra + 1)  # biases where there were none, or a layer that has to stay

    def _smallest(self, prepared: Preparation, on_progress: OnProgress) -> tuple[Refitted, nn.Module]:
        """The network with the fewest parameters that keeps the share of labels.

        The range of sizes is halved in proportion and not in number: the result is as exact, in proportion, whether
        it is most of the network or a thousandth of it.
        """
        within = self._within(prepared, "parameters", on_progress)
        whole = prepared.size(prepared.uniform(1.0), "parameters")
        low, high = 0.0, 1.0
        best: tuple[Refitted, nn.Module] | None = None
        for _ in range(STEPS):
            least = prepared.size(prepared.uniform(0.0), "parameters") / whole  # more once a layer turns out to stay
            low = max(low, least)
            middle = math.sqrt(low * high)
            tried = prepared.at(within(middle, 0), on_progress)
            with untouched(tried[1]):
                enough = labels_kept(prepared.model, tried[1], prepared.chosen_by, prepared.predict) >= self.share
            low, high, best = (low, middle, tried) if enough else (middle, high, best)
        return best or prepared.at(prepared.uniform(1.0), on_progress)


def check_share(name: str, share: float | None) -> None:
    """Raise a `RequestError` if an argument is not above 0 and at most 1."""
    if not isinstance(share, Real) or not 0 < float(share) <= 1:
        raise RequestError(f"must be above 0 and at most 1, got {share}", field=name)
