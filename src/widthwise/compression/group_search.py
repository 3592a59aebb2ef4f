"""Finds the units that can go, by following them on a recorded run from what gives them to what reads them."""

import itertools
from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from widthwise.compression.couplings import Couplings
from widthwise.compression.groups import Codes, Cut, Group, Left, path_of
from widthwise.compression.head_sizes import head_sizes
from widthwise.compression.neighbour_norms import NeighbourNorm, neighbour_norms
from widthwise.compression.origins import GroupBuilding, Origin
from widthwise.compression.products import ARGUMENTS, Product, product_of, uses
from widthwise.compression.shortcuts import CHANNELS, Shortcut, shortcuts
from widthwise.tracing.functions import (
    ADDITIONS,
    ATTENTION,
    CELLWISE,
    COUPLING_NORMALIZATIONS,
    DROPOUTS,
    JOINS,
    MATRIX_PRODUCTS,
    MOVING,
    POOLINGS,
    SOFTMAXES,
)
from widthwise.tracing.graph import PRODUCTS, Graph
from widthwise.tracing.outgoing_weights import codes_along, moved_units
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation
from widthwise.tracing.unit_flow import Units
from widthwise.tracing.unit_labels import Labels, labelled

REDUCED = {"mean", "sum", "amax", "amin"}
PASSED = CELLWISE | DROPOUTS | POOLINGS | MOVING | JOINS | SOFTMAXES | REDUCED | {"pad", "batch_norm", "layer_norm"}
"""Functions past which units are followed."""
HEADS = -3
"""The dimension of the heads in what `scaled_dot_product_attention` takes and gives."""
Place = Units | Labels
Places = dict[int, Place]
"""Where the units of several layers lie in a value, by their numbers."""


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
        self._origins: list[Origin] = []
        self._couplings = Couplings()
        self._places: dict[Slot, Places] = {}
        self._uses = uses(self._tape, names)
        self._head_sizes = head_sizes(graph)
        self._shortcuts = shortcuts(model, graph) if stream else {}
        self._norms = neighbour_norms(model, graph)
        self._left: list[Left] = []
        self._paths: Counter[str] = Counter()

    def find(self) -> tuple[list[Group], list[Left]]:
        """The groups, in the order of their readers, and the layers whose units stay."""
        end = 0
        for index, operation in enumerate(self._tape.operations):
            if index < end:
                continue
            if index in self._shortcuts and self._live(self._shortcuts[index].given):
                end = self._cross(self._shortcuts[index])
                continue
            if index in self._norms:
                end = self._normalize(self._norms[index])
                continue
            product = product_of(self._graph, operation)
            if product is not None:
                self._product(product)
            elif operation.name in ATTENTION:
                self._attend(operation)
            elif operation.name in MATRIX_PRODUCTS and self._graph.weights.isdisjoint(operation.inputs):
                self._multiply(operation)
            else:
                if operation.name in PRODUCTS and not self._graph.weights.isdisjoint(operation.inputs):
                    units = self._tape.values[operation.outputs[0]].shape[-1]
                    left = Left(path_of(operation), units, f"its weight is used by {operation.name}")
                    self._left += [] if left in self._left else [left]
                self._pass(operation)
        return self._groups()

    def _name(self, slot: Slot) -> str:
        """The name of the parameter or buffer that a value is; empty if it is none."""
        return "" if slot in self._graph.producers else self._names.get(id(self._tape.values[slot]), "")

    def _product(self, product: Product) -> None:
        given, made = (
            self._tape.values[slot].shape[dimension]
            for slot, dimension in ((product.data, product.channels), (product.output, product.outputs))
        )
        if product.groups > 1 and product.groups == given == made and not product.is_transposed:
            self._depthwise(product)
            return
        path, weight = path_of(product.operation), self._name(product.weight)
        for number, units in self._live(product.data).items():
            origin = self._origins[number]
            codes = self._codes(product.data, number, units, product.channels)
            if product.is_transposed:
                origin.stay("a transposed convolution reads its units")
            elif product.operation.name not in ARGUMENTS:
                origin.stay(f"{product.operation.name} reads its units")
            elif product.groups > 1:
                origin.stay("a grouped convolution reads its units")
            elif codes is None:
                origin.stay(
                    f"{product.operation.name} reads its units along another dimension than that of its channels"
                )
            elif not weight:
                origin.stay(f"the weight of the layer that reads its units, {path}, is computed")
            elif self._uses[weight] > 1:
                origin.stay(f"{path}, which reads its units, is used several times")
            else:
                origin.readers.append((product, codes))
        self._new(product)

    def _live(self, slot: Slot) -> Places:
        """Where units lie in a value that may still go."""
        return {
            number: units for number, units in self._places.get(slot, {}).items() if not self._origins[number].reason
        }

    def _new(self, product: Product) -> None:
        """The outputs of a product as units of their own."""
        outputs = self._tape.values[product.output].shape[product.outputs]
        width = self._head_sizes.get(id(product.operation), 1)
        codes = torch.arange(outputs) // width + 1
        tensors = [(product.weight, product.written), *([] if product.bias is None else [(product.bias, 0)])]
        cuts = [Cut(self._name(slot), dimension, codes) for slot, dimension in tensors]
        path = path_of(product.operation)
        self._paths[path] += 1
        number = self._paths[path]
        name = path if number == 1 else f"{path}:{number}"
        origin = Origin(name, outputs // width, width, cuts, product.operation)
        sizes = [self._tape.values[slot].shape[dimension] for slot, dimension in tensors]
        if not all(cut.tensor for cut in cuts):
            origin.stay("its weight is computed")
        elif any(self._uses[cut.tensor] > 1 for cut in cuts):
            origin.stay("its weight is used several times")
        elif product.groups > 1:
            origin.stay("it is a grouped convolution")
        elif product.is_transposed:
            origin.stay("it is a transposed convolution")
        elif sizes != [outputs] * len(sizes):
            origin.stay("what is added to it has not one entry for each unit")
        self._place(product.output, {self._add(origin): Units(product.outputs, width=width)})

    def _add(self, origin: Origin) -> int:
        self._origins.append(origin)
        return self._couplings.add(origin.units)

    def _cross(self, shortcut: Shortcut) -> int:
        """Units end at a shortcut that brings them to other places, and what it gives are others; where it ends."""
        for number, units in self._live(shortcut.given).items():
            codes = self._codes(shortcut.given, number, units, CHANNELS)
            if codes is None:
                self._origins[number].stay(f"{shortcut.path} reads its units")
            else:
                self._origins[number].entries.append((shortcut, codes))
        given = self._tape.values[shortcut.returned].shape[CHANNELS]
        self._place(shortcut.returned, {self._add(Origin(shortcut.path, given, 1, [], exit=shortcut)): Units(CHANNELS)})
        return shortcut.operations.stop

    def _normalize(self, norm: NeighbourNorm) -> int:
        """Units stay where they are when they are normalized by those around them; where that ends."""
        for number, units in self._live(norm.given).items():
            codes = self._codes(norm.given, number, units, CHANNELS)
            if codes is None:
                self._origins[number].stay(f"{norm.path} normalizes them along another dimension")
            else:
                self._origins[number].norms.append((norm, codes))
        self._place(norm.returned, self._live(norm.given))
        return norm.operations.stop

    def _place(self, slot: Slot, places: Places) -> None:
        """Note where units lie in a value; those of what the network gives to its user stay."""
        self._places[slot] = places
        if slot in self._returned or self._graph.is_final(slot):
            for number in places:
                self._origins[number].stay("its units are the network's outputs")

    def _depthwise(self, product: Product) -> None:
        """A convolution of each channel by itself is part of the unit."""
        found = self._live(product.data)
        for number, units in found.items():
            codes = self._codes(product.data, number, units, product.channels)
            slots = [product.weight, *([] if product.bias is None else [product.bias])]
            names = [self._name(slot) for slot in slots]
            if codes is None or not all(names) or any(self._uses[name] > 1 for name in names):
                path = path_of(product.operation)
                self._origins[number].stay(f"the weight of {path}, which belongs to its units, is not its own")
            else:
                self._origins[number].cuts += [Cut(name, 0, codes) for name in names]
        self._place(product.output, dict(found))

    def _attend(self, operation: Operation) -> None:
        """Heads of queries, keys and values that belong together are one unit; the result has those of the queries."""
        slots = operation.inputs
        mask = slots[3] if len(slots) > 3 else None
        heads = [self._tape.values[slot].shape[HEADS] if self._dims(slot) > 2 else 0 for slot in slots[:3]]
        if min(heads) and mask is not None and self._dims(mask) > 2 and self._tape.values[mask].shape[HEADS] > 1:
            self._stay(slots, "something is added to the scores of each of its heads")
        elif not min(heads) or any(heads[0] % each for each in heads):
            self._stay(slots, f"{operation.name} reads its units")
        else:
            repeats = [heads[0] // each for each in heads]
            dimensions = [self._dims(slot) + HEADS for slot in slots[:3]]
            self._meet_all(operation, slots[:3], dimensions, repeats)

    def _multiply(self, operation: Operation) -> None:
        """A product of two values of the data, as in an attention that is written out; heads lie beside both."""
        slots = [slot for slot in operation.inputs if slot in self._places]
        factors = list(dict.fromkeys(operation.inputs))
        if not any(map(self._live, slots)):
            return
        sizes = {self._tape.values[slot].shape[:-2] for slot in factors}
        dimensions = {
            units.dimension
            for slot in factors
            for units in self._live(slot).values()
            if isinstance(units, Units) and units.dimension < self._dims(slot) - 2
        }
        if len(factors) != 2 or len(sizes) != 1 or len(dimensions) != 1:
            self._stay(slots, f"{operation.name} reads its units")
        else:
            self._meet_all(operation, factors, [*dimensions] * 2, [1, 1])

    def _meet_all(self, operation: Operation, slots: list[Slot], dimensions: list[int], repeats: list[int]) -> None:
        """Units that lie along a dimension of each of several values meet; each of the first value is in the result."""
        found: list[tuple[int, Codes]] = []
        whole = True
        for slot, dimension, repeat in zip(slots, dimensions, repeats, strict=True):
            live = self._live(slot)
            for number, units in live.items():
                codes = self._codes(slot, number, units, dimension) if isinstance(units, Units) else None
                if codes is None or not bool((codes > 0).all()):
                    self._origins[number].stay(f"{operation.name} reads its units")
                else:
                    found.append((number, codes.repeat_interleave(repeat)))
            whole &= bool(live)
        if not whole or not all(self._couplings.meet(found[0], each) for each in found[1:]):
            self._stay(slots, f"{operation.name} combines its units with others")
            return
        self._place(operation.outputs[0], self._live(slots[0]))

    def _stay(self, slots: list[Slot], reason: str) -> None:
        for number in {number for slot in slots for number in self._live(slot)}:
            self._origins[number].stay(reason)

    def _dims(self, slot: Slot) -> int:
        return self._tape.values[slot].dim()

    def _pass(self, operation: Operation) -> None:
        """Follow units past an operation that is no product."""
        outputs: dict[Slot, Places] = {}
        for slot in dict.fromkeys(operation.inputs):
            for number, units in self._live(slot).items():
                origin = self._origins[number]
                reason = self._obstacle(operation, slot, units)
                moved = [] if reason else moved_units(self._tape, operation, slot, units)
                if not moved:
                    origin.stay(reason or f"{operation.name} mixes its units")
                for output, found in moved:
                    place = self._simplified(output, found)
                    places = outputs.setdefault(output, {})
                    both = self._both(operation, output, number, places.get(number, place), place)
                    if both is None:
                        origin.stay(f"{operation.name} brings its own units together")
                    places[number] = both or place
                if not reason:
                    self._carry(operation, slot, number, units)
        for output, places in outputs.items():
            self._place(output, places)
            self._couple(operation, output, places)

    def _simplified(self, slot: Slot, units: Place) -> Place:
        """Where units lie in a value, along one dimension if they do in order."""
        value = self._tape.values[slot]
        if isinstance(units, Labels) and units.codes.dim() == value.dim():
            for dimension in range(value.dim()):
                codes = codes_along(value, units, dimension)
                found = None if codes is None else _in_a_row(codes, dimension)
                again = None if found is None else codes_along(value, found, dimension)
                if found is not None and codes is not None and again is not None and torch.equal(again, codes):
                    return found
        return units

    def _both(self, operation: Operation, slot: Slot, number: int, one: Place, other: Place) -> Place | None:
        """Where a layer's units lie in a value into which they come by two ways; those that meet go together.

        Returns: None if they can neither go together nor lie side by side.
        """
        if _alike(one, other):
            return one
        if operation.name in JOINS | MOVING:
            value = self._tape.values[slot]
            parts = [each if isinstance(each, Labels) else labelled(value, each) for each in (one, other)]
            mine, theirs = (each.codes for each in parts)
            if mine.shape != theirs.shape or bool(((mine > 0) & (theirs > 0)).any()):
                return None
            joined = Labels(torch.where(mine > 0, mine, theirs), max(each.count for each in parts))
            return self._simplified(slot, joined)
        found = [self._along(slot, number, units) for units in (one, other)]
        (here, mine), (there, theirs) = (each or (-1, None) for each in found)
        if mine is None or theirs is None or here != there:
            return None
        return one if self._couplings.meet((number, mine), (number, theirs)) else None

    def _obstacle(self, operation: Operation, slot: Slot, units: Place) -> str:
        name = operation.name
        if name == "layer_norm" and isinstance(units, Units):
            shape = next((each for each in operation.args[1:] if isinstance(each, (tuple, list))), ())
            if units.dimension < self._dims(slot) - len(shape):
                return ""
        if name in SOFTMAXES and not self._is_along_another(operation, slot, units):
            return f"{name} is taken over its units"
        if name in COUPLING_NORMALIZATIONS:
            return f"{name} is taken over its units"
        if name not in PASSED:
            return f"{name} reads its units"
        return ""

    def _is_along_another(self, operation: Operation, slot: Slot, units: Place) -> bool:
        """Whether a softmax is taken along another dimension than that of the units."""
        given = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim")
        if not isinstance(given, int) or not isinstance(units, Units):
            return False
        return given % self._dims(slot) != units.dimension

    def _codes(self, slot: Slot, number: int, units: Place, dimension: int) -> Codes | None:
        """Whose each index of a dimension is; None: the units do not lie along it."""
        value = self._tape.values[slot]
        if isinstance(units, Labels) and units.codes.dim() != value.dim():
            return None
        codes = codes_along(value, units, dimension)
        return None if codes is None else torch.where(codes > self._origins[number].units, 0, codes)

    def _carry(self, operation: Operation, slot: Slot, number: int, units: Place) -> None:
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
            codes = self._codes(slot, number, units, along)
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

    def _couple(self, operation: Operation, output: Slot, places: Places) -> None:
        """Units of several layers that meet in the same entries must go together, or stay."""
        if operation.name in JOINS | MOVING:
            return
        for one, other in itertools.combinations(places, 2):
            pair = [(number, self._along(output, number, places[number])) for number in (one, other)]
            codes = [(number, found[1]) for number, found in pair if found is not None]
            dimensions = {found[0] for _, found in pair if found is not None}
            together = len(codes) == 2 and len(dimensions) == 1
            if together and not bool(((codes[0][1] > 0) & (codes[1][1] > 0)).any()):
                continue
            added = operation.name in ADDITIONS
            may = self._stream or not added
            for number in (one, other):
                self._origins[number].is_added |= added
            if not (together and may and self._couplings.meet(codes[0], codes[1])):
                what = "added to" if added else "combined with"
                for mine, theirs in ((one, other), (other, one)):
                    self._origins[mine].stay(f"its units are {what} those of {self._origins[theirs].name}")

    def _along(self, slot: Slot, number: int, units: Place) -> tuple[int, Codes] | None:
        """The dimension along which units lie in a value, and their codes; None: they lie along none."""
        if not isinstance(units, Units):
            return None
        codes = self._codes(slot, number, units, units.dimension)
        return None if codes is None else (units.dimension, codes)

    def _groups(self) -> tuple[list[Group], list[Left]]:
        depth, building = self._graph.depth, GroupBuilding(self._graph, self._name)
        groups: list[Group] = []
        left = [*self._left, *self._not_run()]
        for family in self._couplings.families():
            found = building.of(family, self._origins)
            if isinstance(found, Group):
                groups.append(found)
            else:
                left += found
        return sorted(groups, key=lambda group: depth[id(group.readings[0].operation)]), left

    def _not_run(self) -> list[Left]:
        """Layers that the network did not run, such as those that it needs in training alone."""
        kinds = (nn.Linear, nn.modules.conv._ConvNd)  # pyright: ignore[reportPrivateUsage]
        layers = ((path, module) for path, module in self._model.named_modules() if isinstance(module, kinds))
        return [
            Left(path, module.weight.shape[0], "the network did not run it; it still takes as many inputs as before")
            for path, module in layers
            if isinstance(module.weight, nn.Parameter) and not self._uses[self._names.get(id(module.weight), "")]
        ]


def _in_a_row(codes: Codes, dimension: int) -> Units | None:
    """The place of units of which the first index holds one and that follow each other, all as wide as this one."""
    first = int(codes[0])
    width = int((codes == first).sum())
    return Units(dimension, -(first - 1) * width, width) if first else None


def _alike(one: Place, other: Place) -> bool:
    if isinstance(one, Units) or isinstance(other, Units):
        return one == other
    return one.count == other.count and torch.equal(one.codes, other.codes)
