"""A layer: a value in a network whose units are measured."""

from dataclasses import dataclass, replace

from torch import Tensor

from widthwise.errors import RequestError
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import CallSite, Tape

HEAD = "attention head"
"""The `kind` of a layer whose units are attention heads."""
NO_TOKEN = "no token of the data reached it"


@dataclass(frozen=True)
class Part:
    """One expert's part of a value that holds several experts.

    index: the expert's index.
    dimension: the dimension of the value along which the experts lie or, with `ends`, all experts' rows.
    ends: the call whose last argument holds the index after the last row of each expert, where the experts' rows follow
        each other. None: each expert has one index along the dimension.
    rows: the first of the expert's rows in one run, and their number, where they follow each other.
    """

    index: int
    dimension: int
    ends: CallSite | None = None
    rows: tuple[int, int] = (0, 0)

    def of(self, value: Tensor) -> Tensor:
        """The expert's part of a value; a view of it."""
        if self.ends is None:
            return value.select(self.dimension, self.index)
        return value.narrow(self.dimension, *self.rows)

    def put(self, part: Tensor, value: Tensor) -> Tensor:
        """A copy of a value with another part of the expert."""
        if self.ends is None:
            return value.select_scatter(part, self.dimension, self.index)
        first, count = self.rows
        return value.slice_scatter(part, self.dimension, first, first + count)


@dataclass(frozen=True)
class Product:
    """A dense layer or convolution in a network.

    call_site: its call.
    weight, bias: the indices of these among the values that it reads; None: it has no bias.
    """

    call_site: CallSite
    weight: int
    bias: int | None


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
    part: the expert whose units they are, where the value holds several; `unit_dimension`, `example_dimension` and
        `shape` are those of its part. None: it does not.
    routed: whether the value has a row for each token that a router chose, not for each example, or is not computed at
        all in a run in which it chooses none.
    product: the dense layer or convolution whose outputs are the units, one each and in order; None: that is not known,
        or several are added, joined or gate each other.
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
    part: Part | None = None
    routed: bool = False
    stream: int = 0
    product: Product | None = None

    def opened(self, value: Tensor) -> Tensor:
        """The value with the units along a dimension of their own, of an expert its part alone; a view of it."""
        value = value if self.part is None else self.part.of(value)
        return value if self.split is None else value.unflatten(*self.split)

    def closed(self, value: Tensor, whole: Tensor) -> Tensor:
        """The opposite of `opened`: the value as the network has it.

        Args:
            value: as `opened` gives it.
            whole: the network's own value, of which that of an expert is a part.
        """
        value = value if self.split is None else value.flatten(self.split[0], self.split[0] + 1)
        return value if self.part is None else self.part.put(value, whole)

    def rows(self, value: Tensor, examples: int) -> int:
        """The number of rows of a value, as `opened` gives it: one for each example or, if it is routed, each token."""
        return value.shape[self.example_dimension] if self.routed else examples


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
    slot = _slot_of(tape, layer.call_site)
    if slot is None:
        raise RequestError(f"the network does not reach its layer {layer.name} for every batch")
    return slot


def reached(tape: Tape, layer: Layer) -> tuple[Slot, Layer] | None:
    """The slot of a layer's value in a run, and the layer with the rows that an expert has there.

    None: it is routed, and the router chose no token for it.

    Raises:
        RequestError: the run did not reach a layer that is not routed, or called an expert several times.
    """
    if not layer.routed:
        return slot_at(tape, layer), layer
    site = layer.call_site
    if layer.part is None and _slot_of(tape, site._replace(number=site.number + 1)) is not None:
        raise RequestError(
            f"the network calls {layer.name} several times for a batch, for tokens that a router chose, so that its "
            "calls cannot be told apart; choose other layers",
            field="layers",
        )
    slot = _slot_of(tape, site)
    if slot is None:
        return None
    if layer.part is not None and layer.part.ends is not None:
        layer = replace(layer, part=replace(layer.part, rows=_rows(tape, layer.part.index, layer.part.ends)))
    return (slot, layer) if layer.opened(tape.values[slot]).numel() else None


def _rows(tape: Tape, index: int, ends: CallSite) -> tuple[int, int]:
    """The first of an expert's rows and their number."""
    operation = next(operation for operation in tape.operations if operation.call_site == ends)
    bounds = [0, *tape.values[operation.inputs[2]].tolist()]
    return bounds[index], bounds[index + 1] - bounds[index]


def _slot_of(tape: Tape, site: CallSite) -> Slot | None:
    """The value that a call returns in a run; None: there is no such call."""
    if site.function:
        sites = ((operation.call_site[:3], operation.outputs) for operation in tape.operations)
    else:
        sites = (((call.path, "", call.number), call.outputs) for call in tape.calls)
    outputs = next((outputs for found, outputs in sites if found == site[:3]), ())
    return outputs[site.output] if len(outputs) > site.output else None
