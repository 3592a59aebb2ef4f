"""A layer: a value in a network whose units are measured."""

from dataclasses import dataclass

from torch import Tensor

from widthwise.errors import RequestError
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import CallSite, Tape

HEAD = "attention head"
"""The `kind` of a layer whose units are attention heads."""


@dataclass(frozen=True)
class Layer:
    """A value in a network whose units are measured.

    name: the path of the module that returns the value; if a function returns it, the path of the module whose code
        calls the function, followed by the function's name. `NAME:2` is from the second call, `NAME[1]` the second of
        several tensors.
    call_site: the call in the network that returns the value.
    units: the number of units, along dimension `unit_dimension` of the value.
    shape: the shape of the value without the examples.
    kind: the type of the module or the name of the function that returns the value, or `attention head`.
    follows: the path of the module that is the dense layer or convolution before it; empty if there is none.
    example_dimension: the dimension of the value along which the examples lie.
    split: a dimension that the units share with something else, and the sizes of the dimensions into which it is
        split, so that they have one of their own: (units, width) where a unit takes several entries in a row, such as
        the positions of a channel that are flattened; (-1, units) where all units are repeated, for the next position
        or the next example.
        None: they have one. `unit_dimension`, `example_dimension` and `shape` are those of the value after it is split.
    stream: the number on which the layer's random draws depend, besides the seed: its index among the layers that are
        measured if none are chosen; for any other layer a number that is derived from its name.
    """

    name: str
    call_site: CallSite
    units: int
    unit_dimension: int
    shape: tuple[int, ...]
    kind: str
    follows: str
    example_dimension: int = 0
    split: tuple[int, tuple[int, int]] | None = None
    stream: int = 0

    def opened(self, value: Tensor) -> Tensor:
        """The value with the units along a dimension of their own; a view of it."""
        return value if self.split is None else value.unflatten(*self.split)

    def closed(self, value: Tensor) -> Tensor:
        """The opposite of `opened`: the value as the network has it."""
        return value if self.split is None else value.flatten(self.split[0], self.split[0] + 1)


@dataclass(frozen=True)
class LeftOut:
    """A nonlinearity that is not measured.

    name, kind: as of a `Layer`.
    reason: why it is not, in a few words.
    """

    name: str
    kind: str
    reason: str


def slot_at(tape: Tape, layer: Layer) -> Slot:
    """The slot of a layer's value on another tape of the same network.

    Raises:
        RequestError: that run did not reach the layer.
    """
    site = layer.call_site
    if site.function:
        sites = ((operation.call_site[:3], operation.outputs) for operation in tape.operations)
    else:
        sites = (((call.path, "", call.number), call.outputs) for call in tape.calls)
    outputs = next((outputs for found, outputs in sites if found == site[:3]), ())
    if len(outputs) <= site.output:
        raise RequestError(f"the network does not reach its layer {layer.name} for every batch")
    return outputs[site.output]
