"""Units that can go: where each is written, what carries it, and the layer that reads it; or why it has to stay."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from widthwise.compression.neighbour_norms import NeighbourNorm
from widthwise.compression.shortcuts import Shortcut
from widthwise.tracing.tape import Operation

Codes = Int[Tensor, " indices"]
"""For each index of a dimension its unit's index and 1, or 0 where it belongs to none."""


@dataclass(frozen=True)
class Cut:
    """A parameter or buffer that is cut with the units: its name, the dimension, and whose each index is."""

    tensor: str
    dimension: int
    codes: Codes


@dataclass(frozen=True)
class Reading:
    """A convolution or dense layer that takes a group's units.

    operation: its call. weight: the name of its weight, and dimension: that of its inputs in it.
    columns: whose each channel of its input is.
    """

    operation: Operation
    weight: str
    dimension: int
    columns: Codes


@dataclass(frozen=True)
class Passage:
    """A shortcut that takes a group's units, or gives entries that are added to them: whose each channel is."""

    shortcut: Shortcut
    columns: Codes


@dataclass(frozen=True)
class Normalized:
    """A normalization of a group's units by those around them: whose each channel is."""

    norm: NeighbourNorm
    columns: Codes


@dataclass(frozen=True)
class Group:
    """Units that can go.

    names: the paths of the layers that give them: of several, those some of whose outputs make up each unit.
    units: their number.
    widths: how many outputs of these layers belong to a unit: the size of a head, for example, and of a unit's heads.
    cuts: what is cut with them, except the readers' weights.
    readings: what takes them, in order.
    ahead: whether one of these follows from another, so that units are chosen before any of them is fitted.
    writers: where units of several layers are added, the calls of these.
    entries, exits: the shortcuts that take the units, and those whose results are added to them.
    normalized: the normalizations of units by those around them.
    scaled: attributes of modules, as `path.name`, that hold a number which is proportional to that of the units.
    """

    names: tuple[str, ...]
    units: int
    widths: tuple[int, ...]
    cuts: tuple[Cut, ...]
    readings: tuple[Reading, ...]
    ahead: bool
    writers: tuple[Operation, ...] = ()
    entries: tuple[Passage, ...] = ()
    exits: tuple[Passage, ...] = ()
    normalized: tuple[Normalized, ...] = ()
    scaled: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path of the first layer that gives them."""
        return self.names[0]

    @property
    def coupled(self) -> str:
        """The paths of the other layers that give them."""
        return ", ".join(self.names[1:])

    @property
    def readers(self) -> str:
        """The paths of what takes them."""
        return ", ".join(path_of(reading.operation) for reading in self.readings)


@dataclass(frozen=True)
class Left:
    """Units that all stay, and why."""

    name: str
    units: int
    reason: str


def path_of(operation: Operation) -> str:
    """The path of the module that an operation is called in; of the model itself, the function's name."""
    return operation.call_site.path or operation.call_site.function
