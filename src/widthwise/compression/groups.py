"""Units that can go: where each is written, what carries it, and the layer that reads it; or why it has to stay."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor, nn

from widthwise.compression.reader import depends
from widthwise.tracing.functions import (
    ADDITIONS,
    CELLWISE,
    CONVOLUTIONS,
    COUPLING_NORMALIZATIONS,
    DROPOUTS,
    JOINS,
    MATRIX_PRODUCTS,
    MOVING,
    POOLINGS,
    RECURRENT,
    SOFTMAXES,
)
from widthwise.tracing.graph import Graph
from widthwise.tracing.outgoing_weights import codes_along, moved_units
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape
from widthwise.tracing.unit_flow import Units
from widthwise.tracing.unit_labels import Labels

REDUCED = {"mean", "sum", "amax", "amin"}
PASSED = CELLWISE | DROPOUTS | POOLINGS | MOVING | JOINS | SOFTMAXES | REDUCED | {"pad", "batch_norm", "layer_norm"}
"""Functions past which units are followed."""
READING = {"linear", *(f"conv{n}d" for n in (1, 2, 3))}
"""Functions of layers that read units, and whose weights are fitted anew."""
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

    operation: its call. weight: the name of its weight. columns: whose each channel of its input is.
    """

    operation: Operation
    weight: str
    columns: Codes


@dataclass(frozen=True)
class Group:
    """Units that can go.

    names: the paths of the layers that give them: of several, those whose units of one index meet.
    units: their number.
    cuts: what is cut with them, except the readers' weights.
    readings: what takes them, in order.
    ahead: whether one of these follows from another, so that units are chosen before any of them is fitted.
    """

    names: tuple[str, ...]
    units: int
    cuts: tuple[Cut, ...]
    readings: tuple[Reading, ...]
    ahead: bool

    @property
    def name(self) -> str:
        """The path of the first layer that gives them."""
        return self.names[0]

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


@dataclass
class _Origin:
    """A layer whose outputs are units."""

    name: str
    units: int
    cuts: list[Cut]
    readers: list[tuple[Operation, Codes]] = field(default_factory=list)
    reason: str = ""

    def stay(self, reason: str) -> None:
        self.reason = self.reason or reason


class GroupSearch:
    """Follows the units of every dense layer and convolution of a run to what reads them.

    Args:
        model: the network.
        graph: the run, with all its values.
        names: the names of parameters and buffers, by their `id`.
        stream: whether units of layers that are added to each other, as in a residual stream, can go together.
    """

    def __init__(self, model: nn.Module, graph: Graph, names: Mapping[int, str], stream: bool = False):
        self._model, self._graph, self._tape, self._names, self._stream = model, graph, graph.tape, names, stream
        returned = next((call.outputs for call in reversed(graph.tape.calls) if not call.path), ())
        self._returned = {*returned, *graph.tape.results}
        self._origins: list[_Origin] = []
        self._places: dict[Slot, dict[int, Units | Labels]] = {}
        self._same: list[int] = []
        self._uses = uses(self._tape, names)
        self._left: list[Left] = []
        self._paths: Counter[str] = Counter()

    def find(self) -> tuple[list[Group], list[Left]]:
        """The groups, in the order of their readers, and the layers whose units stay."""
        for operation in self._tape.operations:
            if operation.name in CONVOLUTIONS | {"linear"} and len(operation.inputs) > 1:
                self._product(operation)
                continue
            if operation.name in MATRIX_PRODUCTS | RECURRENT and any(map(self._name, operation.inputs)):
                units = self._tape.values[operation.outputs[0]].shape[-1]
                self._left.append(Left(path_of(operation), units, f"its weight is used by {operation.name}"))
            self._pass(operation)
        return self._groups()

    def _name(self, slot: Slot) -> str:
        """The name of the parameter or buffer that a value is; empty if it is none."""
        return "" if slot in self._graph.producers else self._names.get(id(self._tape.values[slot]), "")

    def _product(self, operation: Operation) -> None:
        data, weight, *rest = operation.inputs
        value, kernel = self._tape.values[data], self._tape.values[weight]
        channels = value.dim() - 1 if operation.name == "linear" else value.dim() - 1 - int(operation.name[-2])
        written = 1 if operation.name.startswith("conv_transpose") else 0
        groups = 1 if operation.name == "linear" else value.shape[channels] // kernel.shape[1 - written]
        output = operation.outputs[0]
        outputs = self._tape.values[output].dim() - (value.dim() - channels)
        if groups > 1 and groups == value.shape[channels] == self._tape.values[output].shape[channels] and not written:
            self._depthwise(operation, channels)
            return
        for number, units in self._live(data).items():
            origin = self._origins[number]
            codes = self._codes(value, number, units, channels)
            if operation.name not in READING:
                origin.stay("a transposed convolution reads its units")
            elif groups > 1:
                origin.stay("a grouped convolution reads its units")
            elif codes is None:
                origin.stay(f"{operation.name} reads its units along another dimension than that of its channels")
            elif not self._name(weight):
                origin.stay(f"the weight of the layer that reads its units, {path_of(operation)}, is computed")
            elif self._uses[self._name(weight)] > 1:
                origin.stay(f"{path_of(operation)}, which reads its units, is used several times")
            else:
                origin.readers.append((operation, codes))
        self._new(operation, output, outputs, weight, rest, written, groups)

    def _live(self, slot: Slot) -> dict[int, Units | Labels]:
        """Where units lie in a value that may still go."""
        return {
            number: units for number, units in self._places.get(slot, {}).items() if not self._origins[number].reason
        }

    def _new(
        self,
        operation: Operation,
        output: Slot,
        channels: int,
        weight: Slot,
        rest: list[Slot],
        written: int,
        groups: int,
    ) -> None:
        """The outputs of a product as units of their own."""
        units = self._tape.values[output].shape[channels]
        codes = torch.arange(1, units + 1)
        tensors = [(weight, written), *((slot, 0) for slot in rest)]
        cuts = [Cut(self._name(slot), dimension, codes) for slot, dimension in tensors]
        path = path_of(operation)
        self._paths[path] += 1
        number = self._paths[path]
        origin = _Origin(path if number == 1 else f"{path}:{number}", units, cuts)
        if not all(cut.tensor for cut in cuts):
            origin.stay("its weight is computed")
        elif any(self._uses[cut.tensor] > 1 for cut in cuts):
            origin.stay("its weight is used several times")
        elif groups > 1:
            origin.stay("it is a grouped convolution")
        elif written:
            origin.stay("it is a transposed convolution")
        self._place(output, {self._add(origin): Units(channels)})

    def _place(self, slot: Slot, places: dict[int, Units | Labels]) -> None:
        """Note where units lie in a value; those of what the network gives to its user stay."""
        self._places[slot] = places
        if slot in self._returned or self._graph.is_final(slot):
            for number in places:
                self._origins[number].stay("its units are the network's outputs")

    def _add(self, origin: _Origin) -> int:
        self._origins.append(origin)
        self._same.append(len(self._origins) - 1)
        return len(self._origins) - 1

    def _depthwise(self, operation: Operation, channels: int) -> None:
        """A convolution of each channel by itself is part of the unit."""
        data, *tensors = operation.inputs
        found = self._live(data)
        for number, units in found.items():
            codes = self._codes(self._tape.values[data], number, units, channels)
            names = [self._name(slot) for slot in tensors]
            if codes is None or not all(names) or any(self._uses[name] > 1 for name in names):
                self._origins[number].stay(
                    f"the weight of {path_of(operation)}, which belongs to its units, is not its own"
                )
            else:
                self._origins[number].cuts += [Cut(name, 0, codes) for name in names]
        self._place(operation.outputs[0], dict(found))

    def _pass(self, operation: Operation) -> None:
        """Follow units past an operation that is no product with a weight."""
        outputs: dict[Slot, dict[int, Units | Labels]] = {}
        for slot in dict.fromkeys(operation.inputs):
            for number, units in self._live(slot).items():
                origin = self._origins[number]
                reason = self._obstacle(operation, slot, units)
                moved = [] if reason else moved_units(self._tape, operation, slot, units)
                if not moved:
                    origin.stay(reason or f"{operation.name} mixes its units")
                for output, found in moved:
                    place = self._simplified(output, found, origin.units)
                    before = outputs.setdefault(output, {}).setdefault(number, place)
                    if not _alike(before, place):
                        origin.stay(f"{operation.name} brings its own units together")
                if not reason:
                    self._carry(operation, slot, number, units)
        for output, places in outputs.items():
            self._place(output, places)
            self._couple(operation, output, places)

    def _simplified(self, slot: Slot, units: Units | Labels, count: int) -> Units | Labels:
        """Where units lie in a value, along one dimension if they do in order."""
        value = self._tape.values[slot]
        if isinstance(units, Labels) and units.codes.dim() == value.dim():
            for dimension in range(value.dim()):
                codes = codes_along(value, units, dimension)
                if codes is not None and torch.equal(codes, torch.arange(1, count + 1)):
                    return Units(dimension)
        return units

    def _obstacle(self, operation: Operation, slot: Slot, units: Units | Labels) -> str:
        name = operation.name
        if name == "layer_norm" and isinstance(units, Units):
            shape = next((each for each in operation.args[1:] if isinstance(each, (tuple, list))), ())
            if units.dimension < self._tape.values[slot].dim() - len(shape):
                return ""
        if name in SOFTMAXES and not self._is_along_another(operation, slot, units):
            return f"{name} is taken over its units"
        if name in COUPLING_NORMALIZATIONS:
            return f"{name} is taken over its units"
        if name not in PASSED:
            return f"{name} reads its units"
        return ""

    def _is_along_another(self, operation: Operation, slot: Slot, units: Units | Labels) -> bool:
        """Whether a softmax is taken along another dimension than that of the units."""
        given = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim")
        if not isinstance(given, int) or not isinstance(units, Units):
            return False
        return given % self._tape.values[slot].dim() != units.dimension

    def _codes(self, value: Tensor, number: int, units: Units | Labels, dimension: int) -> Codes | None:
        """Whose each index of a dimension is; None: the units do not lie along it."""
        if isinstance(units, Labels) and units.codes.dim() != value.dim():
            return None
        codes = codes_along(value, units, dimension)
        return None if codes is None else torch.where(codes > self._origins[number].units, 0, codes)

    def _carry(self, operation: Operation, slot: Slot, number: int, units: Units | Labels) -> None:
        """Cut what an operation combines with each unit; units stay if that is neither a parameter nor a buffer."""
        if operation.name in JOINS | MOVING | POOLINGS:
            return
        value, origin = self._tape.values[slot], self._origins[number]
        for other in dict.fromkeys(operation.inputs):
            if other == slot or self._live(other):
                continue
            there = self._tape.values[other]
            if operation.name in ("batch_norm", "prelu"):
                along, dimension = 1, 0
            else:
                if not isinstance(units, Units):
                    origin.stay(f"{operation.name} combines its units, which lie along no dimension, with other values")
                    return
                along, dimension = units.dimension, units.dimension - value.dim() + there.dim()
            if dimension < 0 or there.dim() <= dimension or there.shape[dimension] == 1:
                continue
            codes = self._codes(value, number, units, along)
            name = self._name(other)
            if codes is None or len(codes) != there.shape[dimension]:
                origin.stay(f"{operation.name} combines its units with other values")
            elif not name:
                what = "added to" if operation.name in ADDITIONS else "combined with"
                origin.stay(f"its units are {what} a value that keeps all of its own")
            elif self._uses[name] > 1:
                origin.stay(f"{name}, which belongs to its units, is used several times")
            else:
                origin.cuts.append(Cut(name, dimension, codes))

    def _couple(self, operation: Operation, output: Slot, places: Mapping[int, Units | Labels]) -> None:
        """Units of several layers that meet in the same entries must go together, or stay."""
        if operation.name in JOINS | MOVING:
            return
        for one, other in itertools.combinations(places, 2):
            first, second = self._origins[one], self._origins[other]
            meeting = self._meeting(output, (one, places[one]), (other, places[other]))
            if meeting is None:
                continue
            if meeting and (self._stream or operation.name not in ADDITIONS):
                self._same[self._root(other)] = self._root(one)
            else:
                what = "added to" if operation.name in ADDITIONS else "combined with"
                first.stay(f"its units are {what} those of {second.name}")
                second.stay(f"its units are {what} those of {first.name}")

    def _meeting(self, slot: Slot, one: tuple[int, Units | Labels], other: tuple[int, Units | Labels]) -> bool | None:
        """Whether each unit of a layer meets that of the same index of another in a value; None: none meets any."""
        value = self._tape.values[slot]
        codes = []
        for number, units in (one, other):
            if not isinstance(units, Units):
                return False
            found = self._codes(value, number, units, units.dimension)
            if found is None:
                return False
            codes.append((units.dimension, found))
        (here, mine), (there, theirs) = codes
        if here != there:
            return False
        both = (mine > 0) & (theirs > 0)
        if not both.any():
            return None
        return bool((mine == theirs).all()) and self._origins[one[0]].units == self._origins[other[0]].units

    def _root(self, number: int) -> int:
        while self._same[number] != number:
            number = self._same[number]
        return number

    def _groups(self) -> tuple[list[Group], list[Left]]:
        depth = self._graph.depth
        groups: list[Group] = []
        left = [*self._left, *self._not_run()]
        for members in self._members():
            readers = {id(reader): (reader, codes) for each in members for reader, codes in each.readers}
            reason = next((each.reason for each in members if each.reason), "")
            readings = [Reading(each, self._name(each.inputs[1]), columns) for each, columns in readers.values()]
            reason = reason or self._problem(readings, members[0].units)
            if reason:
                left += [Left(each.name, each.units, each.reason or reason) for each in members]
                continue
            cuts = {(cut.tensor, cut.dimension): cut for each in members for cut in each.cuts}
            names = tuple(each.name for each in members)
            groups.append(Group(names, members[0].units, tuple(cuts.values()), tuple(readings), self._follow(readings)))
        return sorted(groups, key=lambda group: depth[id(group.readings[0].operation)]), left

    def _problem(self, readings: list[Reading], units: int) -> str:
        """Why nothing that reads some units can be fitted; empty if it can."""
        if not readings:
            return "no layer reads its units"
        return next(filter(None, (_unevenness(reading.columns, units) for reading in readings)), "")

    def _not_run(self) -> list[Left]:
        """Layers that the network did not run, such as those that it needs in training alone."""
        kinds = (nn.Linear, nn.modules.conv._ConvNd)  # pyright: ignore[reportPrivateUsage]
        layers = ((path, module) for path, module in self._model.named_modules() if isinstance(module, kinds))
        return [
            Left(path, module.weight.shape[0], "the network did not run it; it still takes as many inputs as before")
            for path, module in layers
            if isinstance(module.weight, nn.Parameter) and not self._uses[self._names.get(id(module.weight), "")]
        ]

    def _follow(self, readings: list[Reading]) -> bool:
        """Whether what one layer reads depends on what another gives."""
        return any(
            depends(self._graph, other.operation.inputs[0], one.operation)
            for one, other in itertools.permutations(readings, 2)
        )

    def _members(self) -> Iterator[list[_Origin]]:
        found: dict[int, list[_Origin]] = {}
        for number, origin in enumerate(self._origins):
            found.setdefault(self._root(number), []).append(origin)
        yield from found.values()


def _alike(one: Units | Labels, other: Units | Labels) -> bool:
    if isinstance(one, Units) or isinstance(other, Units):
        return one == other
    return one.count == other.count and torch.equal(one.codes, other.codes)


def _unevenness(columns: Codes, units: int) -> str:
    counts = torch.bincount(columns, minlength=units + 1)[1:]
    if len(counts) == units and bool((counts == counts[0]).all()) and int(counts[0]):
        return ""
    return "the layer that reads its units does not take equally much of each"


def uses(tape: Tape, names: Mapping[int, str]) -> Counter[str]:
    """How many operations of a run read each parameter and buffer."""
    given = {output for operation in tape.operations for output in operation.outputs}
    found: Counter[str] = Counter()
    for operation in tape.operations:
        slots = {slot for slot in operation.inputs if slot not in given}
        found.update({name for slot in slots if (name := names.get(id(tape.values[slot])))})
    return found


def path_of(operation: Operation) -> str:
    return operation.call_site.path or operation.call_site.function
