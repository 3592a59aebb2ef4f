"""A layer: a value in a network whose units are measured."""

from dataclasses import dataclass

from widthwise.errors import RequestError
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import CallSite, Tape

HEAD = "attention head"
"""The `kind` of a layer whose units are attention heads."""


@dataclass(frozen=True)
class Layer:
    """A value in a network whose units are measured.

    name: the path of the module that returns the value; if a function returns it, the path of the module whose code
        calls the function, followed by the function's name. `NAME:2` is from the second call.
    call_site: the call in the network that returns the value.
    units: the number of units, along dimension `unit_dimension` of the value.
    shape: the shape of the value without the examples.
    kind: the type of the module or the name of the function that returns the value, or `attention head`.
    follows: the path of the module that is the dense layer or convolution before it; empty if there is none.
    example_dimension: the dimension of the value along which the examples lie.
    stream: what the layer's random draws depend on, beside the seed.
    """

    name: str
    call_site: CallSite
    units: int
    unit_dimension: int
    shape: tuple[int, ...]
    kind: str
    follows: str
    example_dimension: int = 0
    stream: int = 0


def slot_at(tape: Tape, layer: Layer) -> Slot:
    """The slot of a layer's value on another tape of the same network.

    Raises:
        RequestError: that run did not reach the layer.
    """
    site = layer.call_site
    if site.function:
        slots = [operation.outputs[0] for operation in tape.operations if operation.call_site == site]
    else:
        slots = [call.output for call in tape.calls if (call.path, call.number) == (site.path, site.number)]
    if not slots or slots[0] is None:
        raise RequestError(f"the network does not reach its layer {layer.name} for every batch")
    return slots[0]
