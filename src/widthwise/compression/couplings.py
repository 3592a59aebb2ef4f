"""Units that must go together: those that meet in the same entry of a value, as where two layers are multiplied."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from widthwise.compression.groups import Codes


@dataclass(frozen=True)
class Family:
    """Layers whose units go together.

    members: the layers' numbers, in order.
    units: the number of units, each made up of some of every member's.
    unit_of: for each member, the index of the unit that each of its own belongs to.
    problem: why they all have to stay; empty if they need not.
    """

    members: list[int]
    units: int
    unit_of: dict[int, Codes]
    problem: str

    def codes(self, member: int, own: Codes) -> Codes:
        """Whose each index of a dimension is, from which of a member's units it is."""
        whole = torch.cat([torch.zeros(1, dtype=torch.long), self.unit_of[member] + 1])
        return whole[own]


class Couplings:
    """Notes which units of which layers meet."""

    def __init__(self) -> None:
        self._starts = [0]
        self._pairs: list[Tensor] = []

    def add(self, units: int) -> int:
        """Add a layer with this many units, and return its number."""
        self._starts.append(self._starts[-1] + units)
        return len(self._starts) - 2

    def meet(self, one: tuple[int, Codes], other: tuple[int, Codes]) -> bool:
        """Two layers' units lie along the same dimension of a value, as their codes say.

        Returns: whether wherever there is a unit of one there is one of the other; nothing is noted if not.
        """
        (here, mine), (there, theirs) = one, other
        both = mine > 0
        if not torch.equal(both, theirs > 0):
            return False
        places = (self._starts[here] + mine[both] - 1, self._starts[there] + theirs[both] - 1)
        self._pairs.append(torch.stack(places).unique(dim=1))
        return True

    def families(self) -> list[Family]:
        """All layers, those that meet together, in the order of their first."""
        count = self._starts[-1]
        rows, columns = torch.cat([torch.zeros(2, 0, dtype=torch.long), *self._pairs], 1).numpy()
        graph = csr_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
        found = torch.from_numpy(connected_components(graph, directed=False)[1]).long()
        parts = [found[start:stop] for start, stop in zip(self._starts, self._starts[1:], strict=False)]
        layers = range(len(parts))
        owner: dict[int, int] = {}
        root = list(layers)

        def first(layer: int) -> int:
            while root[layer] != layer:
                layer = root[layer]
            return layer

        for layer, part in enumerate(parts):
            for component in part.unique().tolist():
                one, other = sorted((first(owner.setdefault(component, layer)), first(layer)))
                root[other] = one
        members: dict[int, list[int]] = {}
        for layer in layers:
            members.setdefault(first(layer), []).append(layer)
        return [_family(each, parts) for each in members.values()]


def _family(members: list[int], parts: list[Tensor]) -> Family:
    """The units that layers make up together, in the order of the first layer's."""
    order = list(dict.fromkeys(component for each in members for component in parts[each].tolist()))
    place = {component: index for index, component in enumerate(order)}
    unit_of = {each: torch.tensor([place[component] for component in parts[each].tolist()]) for each in members}
    counts = [torch.bincount(unit_of[each], minlength=len(order)) for each in members]
    uneven = any(bool((each != each[0]).any()) for each in counts)
    problem = "not all of its units meet equally many of the others" if uneven else ""
    if len(order) == 1:
        problem = "all of it is one unit"
    return Family(members, len(order), unit_of, problem)
