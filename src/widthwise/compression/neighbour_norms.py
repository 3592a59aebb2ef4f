"""Modules that normalize each channel by those around it: of fewer channels, each has others around it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from widthwise.compression.shortcuts import CHANNELS
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot


@dataclass(frozen=True)
class NeighbourNorm:
    """A call of a local response normalization.

    path: of the module. operations: the indices of those that it makes. given, returned: the values before and after.
    """

    path: str
    operations: range
    given: Slot
    returned: Slot


def neighbour_norms(model: nn.Module, graph: Graph) -> dict[int, NeighbourNorm]:
    """The local response normalizations of a run, by the index of their first operation."""
    found: dict[int, NeighbourNorm] = {}
    for call in graph.tape.calls:
        if call.output is None or not isinstance(model.get_submodule(call.path), nn.LocalResponseNorm):
            continue
        inside = [graph.tape.operations[index] for index in call.operations]
        made = {output for operation in inside for output in operation.outputs}
        given = {slot for operation in inside for slot in operation.inputs if slot not in made} - graph.constants
        if len(given) == 1 and inside:
            found[call.operations.start] = NeighbourNorm(call.path, call.operations, given.pop(), call.output)
    return found


def among(module: Callable[[Tensor], Tensor], kept: Int[Tensor, " kept"]) -> Callable[[Tensor], Tensor]:
    """What a module gives where only some channels are there, in their places among zeros."""

    def normalized(value: Tensor) -> Tensor:
        indices = kept.to(value.device)
        part = module(value.index_select(CHANNELS, indices))
        return torch.zeros_like(value).index_copy(CHANNELS, indices, part)

    return normalized
