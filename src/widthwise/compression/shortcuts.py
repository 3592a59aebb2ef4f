"""Shortcuts without parameters that change the number of channels, as where a ResNet pads with channels of zeros.

What such a module does to the channels is written into it. In the smaller network another module stands around it,
which spreads the channels that are left over all that there were, and takes those that are wanted of what it returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from widthwise.tracing.functions import DROPOUTS, IDENTITIES, JOINS, MOVING, POOLINGS
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot

CHANNELS = 1
"""The dimension of the channels."""
MOVES = MOVING | JOINS | POOLINGS | IDENTITIES | DROPOUTS | {"pad", "zeros_like", "new_zeros", "zeros"}
"""What a shortcut does, each to a channel by itself, except that it brings some to other places."""


@dataclass(frozen=True)
class Shortcut:
    """A call of a module that is a shortcut.

    path: of the module. operations: the indices of those that it makes.
    given, returned: the values before and after.
    whole: the channels that it takes and gives.
    """

    path: str
    operations: range
    given: Slot
    returned: Slot
    whole: "Rearrangement"


@dataclass(frozen=True)
class Rearrangement:
    """Which channels a shortcut takes and gives in the smaller network.

    taken: the indices of the channels that it is given, among those that it was given.
    channels: how many it was given.
    wanted: the indices of the channels that it gives, among those that it gave.
    """

    taken: Sequence[int]
    channels: int
    wanted: Sequence[int]


class Rearranged(nn.Module):
    """A shortcut in the smaller network.

    Args:
        shortcut: the module as it was.
        taken, channels, wanted: as in `Rearrangement`.
    """

    taken: Int[Tensor, " taken"]
    wanted: Int[Tensor, " wanted"]

    def __init__(self, shortcut: nn.Module, rearrangement: Rearrangement):
        super().__init__()
        self.shortcut, self.channels = shortcut, rearrangement.channels
        self.register_buffer("taken", torch.tensor(list(rearrangement.taken)))
        self.register_buffer("wanted", torch.tensor(list(rearrangement.wanted)))

    def forward(self, value: Tensor) -> Tensor:
        """What the module gives, of its channels those that are wanted."""
        whole = value.new_zeros(value.shape[0], self.channels, *value.shape[2:])
        return self.shortcut(whole.index_copy(CHANNELS, self.taken, value)).index_select(CHANNELS, self.wanted)


def shortcuts(model: nn.Module, graph: Graph) -> dict[int, Shortcut]:
    """The shortcuts of a run, by the index of their first operation: of those in each other the outermost."""
    found: dict[int, Shortcut] = {}
    calls = [call for call in graph.tape.calls if call.path and len(call.operations)]
    for call in sorted(calls, key=lambda call: len(call.operations)):
        shortcut = _shortcut(model, graph, call.path, call.operations, call.output)
        if shortcut is not None and sum(other.path == call.path for other in calls) == 1:
            found[call.operations.start] = shortcut
    return found


def rearranged(model: nn.Module, rearrangements: Mapping[str, Rearrangement]) -> None:
    """Put modules of a model into others that bring their channels where they belong."""
    for path, rearrangement in rearrangements.items():
        parent, _, name = path.rpartition(".")
        around = Rearranged(model.get_submodule(path), rearrangement)
        around.train(around.shortcut.training)
        setattr(model.get_submodule(parent), name, around)


def _shortcut(model: nn.Module, graph: Graph, path: str, operations: range, returned: Slot | None) -> Shortcut | None:
    module, values = model.get_submodule(path), graph.tape.values
    if returned is None or any(True for _ in module.parameters()) or any(True for _ in module.buffers()):
        return None
    inside = [graph.tape.operations[index] for index in operations]
    made = {output for operation in inside for output in operation.outputs}
    given = {slot for operation in inside for slot in operation.inputs if slot not in made} - graph.constants
    if len(given) != 1 or any(operation.name not in MOVES for operation in inside):
        return None
    (slot,) = given
    before, after = values[slot], values[returned]
    if min(before.dim(), after.dim()) <= CHANNELS or before.shape[CHANNELS] == after.shape[CHANNELS]:
        return None
    channels, others = before.shape[CHANNELS], after.shape[CHANNELS]
    return Shortcut(
        path, operations, slot, returned, Rearrangement(tuple(range(channels)), channels, tuple(range(others)))
    )
