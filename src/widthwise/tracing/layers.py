"""Where the layers of a network are: the values whose units are measured."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from widthwise.tracing.functions import (
    CONVOLUTIONS,
    DENSE,
    DROPOUTS,
    KEEPING,
    MATRIX_PRODUCTS,
    MOVING,
    NONLINEARITIES,
    PASSED,
    plain,
)
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import ModuleCall, Operation, Place, Tape
from widthwise.tracing.unit_flow import Units, units_after


@dataclass(frozen=True)
class Layer:
    """A value in a network whose units are measured.

    name: the path of the module that gives it or, of a function, that of the module whose code calls it and the
        function's name; `NAME:2` is from its second call.
    place: where it is on the network's tape.
    units: how many, along dimension `unit_dimension` of the value.
    shape: of the value, without the examples.
    kind: the module's type or the function's name that gives it, or `attention head`.
    example_dimension: along which the value's examples lie.
    follows: the dense layer or convolution before it, as its module's path; empty where there is none.
    """

    name: str
    place: Place
    units: int
    unit_dimension: int
    shape: tuple[int, ...]
    kind: str
    follows: str
    example_dimension: int = 0


Selection = str | Iterable[str] | Callable[[Layer], bool]
HEAD = "attention head"
Located = tuple[int, Layer]
"""A layer and how deep it is: the number of operations before its value."""


def find_layers(model: nn.Module, tape: Tape, selection: Selection | None, attention_heads: bool) -> list[Layer]:
    """The layers to measure, in order of depth.

    Without a selection they are those that the model names in an attribute `measured_layers`, else every value right
    after a nonlinearity that follows a dense layer or a convolution.

    Raises:
        ValueError: there are none, or a name or pattern fits none.
    """
    finder = _Finder(model, tape)
    declared = getattr(model, "measured_layers", None)
    heads = finder.attention_heads() if attention_heads else []
    if selection is None:
        found = finder.after_nonlinearities() if declared is None else finder.named(declared, "measured_layers names")
        if not found + heads:
            raise ValueError(
                f"{type(model).__name__} has no nonlinearity after a dense layer or a convolution; name the modules "
                "whose values are to be measured in layers=, or in an attribute measured_layers of the model"
            )
        return _in_order(found + heads)
    candidates = finder.after_nonlinearities() + heads
    if declared is not None:
        candidates += finder.named(declared, "measured_layers names")
    return _in_order(_chosen(finder, selection, candidates))


def _chosen(finder: "_Finder", selection: Selection, candidates: list[Located]) -> list[Located]:
    if not callable(selection) and not isinstance(selection, Iterable):
        raise ValueError(f"layers= must be names, patterns or a function of a layer, not {type(selection).__name__}")
    if callable(selection):
        found = [each for each in candidates if selection(each[1])]
        if not found:
            raise ValueError(f"layers= accepts none of the network's {len(candidates)} layers")
        return found
    found = []
    for wanted in [selection] if isinstance(selection, str) else selection:
        if any(character in wanted for character in "*?["):
            fitting = [each for each in candidates if fnmatchcase(each[1].name, wanted)]
            if not fitting:
                names = ", ".join(layer.name for _, layer in candidates[:8]) or "none"
                raise ValueError(f"no layer fits the pattern {wanted!r}; the first layers are {names}")
            found += fitting
        else:
            known = [each for each in candidates if wanted in (each[1].name, each[1].name.partition(":")[0])]
            if not known and wanted.endswith(":1"):
                known = [each for each in candidates if each[1].name == wanted[:-2]]
            others = [layer.name for _, layer in candidates]
            found += known or finder.named([wanted], "layers= names", others)
    if not found:
        raise ValueError("layers= is empty; leave it out for every layer")
    return found


def _in_order(located: list[Located]) -> list[Layer]:
    unique = {layer.name: (depth, layer) for depth, layer in located}
    return [layer for _, layer in sorted(unique.values(), key=lambda each: each[0])]


class _Finder:
    """What can be said of a tape's values."""

    def __init__(self, model: nn.Module, tape: Tape):
        self._model = model
        self._modules = dict(model.named_modules())
        self._parameters = {id(parameter) for parameter in model.parameters()}
        self._tape = tape
        self._producers = tape.producers()
        self._depth = {id(operation): depth for depth, operation in enumerate(tape.operations)}
        self._elementwise = self._elementwise_modules()

    def after_nonlinearities(self) -> list[Located]:
        """Every value right after a nonlinearity that follows a dense layer or a convolution."""
        found: list[tuple[str, Place, Slot, str, Slot]] = []
        taken = set()
        for depth, operation in enumerate(self._tape.operations):
            name = plain(operation.place[1])
            if name not in NONLINEARITIES or not operation.inputs:
                continue
            call = self._elementwise.get(depth)
            if call is not None and call.output is not None:
                if (call.path, call.number) not in taken:
                    taken.add((call.path, call.number))
                    kind = type(self._modules[call.path]).__name__
                    start = self._tape.operations[call.operations[0]].inputs[0]
                    found.append((call.path, (call.path, "", call.number), call.output, kind, start))
            else:
                path = ".".join(filter(None, (operation.place[0], name)))
                if path in self._modules:  # a module and a function of one name
                    path += "()"
                found.append((path, operation.place, operation.outputs[0], name, operation.inputs[0]))
        return [
            self._layer(_numbered(name, place[2] + 1), place, slot, kind, product)
            for name, place, slot, kind, start in found
            if self._can_be_layer(slot) and (product := self._product_before(start)) is not None
        ]

    def attention_heads(self) -> list[Located]:
        """What each attention gives, `examples heads positions features`, before its heads are joined."""
        layers, calls = [], Counter()
        for operation in self._tape.operations:
            if self._is_attention(operation):
                name = ".".join(filter(None, (operation.place[0], "heads")))
                calls[name] += 1
                numbered = _numbered(name, calls[name])
                layers.append(self._layer(numbered, operation.place, operation.outputs[0], HEAD, None))
        return layers

    def named(self, names: Iterable[str], what: str, others: Iterable[str] = ()) -> list[Located]:
        """The values that modules return, by the modules' paths; every call of a module is a layer."""
        returned: dict[str, list[ModuleCall]] = {}
        for call in self._tape.calls:
            if call.output is not None and call.path:
                returned.setdefault(call.path, []).append(call)
        if isinstance(names, str):
            names = [names]
        layers = []
        for name in names:
            path, colon, number = name.rpartition(":")
            if not colon or not number.isdigit():
                path, number = name, ""
            calls = returned.get(path, [])
            if number:
                calls = [call for call in calls if call.number == int(number) - 1]
            if not calls:
                raise ValueError(self._unknown(name, what, {*returned, *others}))
            for call in calls:
                assert call.output is not None
                if not self._can_be_layer(call.output):
                    value = self._tape.values[call.output]
                    raise ValueError(
                        f"the value of {path} has shape {tuple(value.shape)} and type {value.dtype}; a layer's value "
                        "is of floating point, with examples along one dimension and units along another"
                    )
                product = self._product_before(call.output)
                kind = type(self._modules[path]).__name__
                name = _numbered(path, call.number + 1)
                layers.append(self._layer(name, (path, "", call.number), call.output, kind, product))
        return layers

    def _unknown(self, name: str, what: str, known: Iterable[str]) -> str:
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
        if name in self._modules:
            hint = "the network has such a module, but does not call it or it gives no tensor"
        elif near:
            hint = f"did you mean {near[0]!r}?"
        else:
            layers = [layer.name for _, layer in self.after_nonlinearities()]
            hint = f"the first of its layers are {', '.join(layers[:8])}" if layers else "it has no layer"
        return f"{what} {name!r}, which is no layer of the network; {hint}"

    def _can_be_layer(self, slot: Slot) -> bool:
        value = self._tape.values[slot]
        return value.dim() > 1 and value.is_floating_point()

    def _layer(
        self, name: str, place: Place, slot: Slot, kind: str, product: tuple[Operation, int | None] | None
    ) -> Located:
        value = self._tape.values[slot]
        operation, dimension = product or (None, None)
        if kind == HEAD:
            dimension = 1
        elif dimension is None:
            convolved = operation is not None and plain(operation.place[1]) in CONVOLUTIONS
            dimension = 1 if value.dim() > 2 and (convolved or (operation is None and value.dim() > 3)) else -1
        follows = ""
        if operation is not None:
            module, function, _ = operation.place
            leaf = module and not list(self._modules[module].children())
            follows = module if leaf else ".".join(filter(None, (module, function)))
        producer = self._producers.get(slot)
        depth = self._depth[id(producer)] if producer is not None else -1
        dimension %= value.dim()
        shape = tuple(value.shape[1:])
        return depth, Layer(name, place, value.shape[dimension], dimension, shape, kind, follows)

    def _elementwise_modules(self) -> dict[int, ModuleCall]:
        """For each operation inside a module that is an activation function, that module's call.

        It is a module without parts or, but for a single function's, parameters, whose value has its argument's shape.
        """
        found = {}
        for call in self._tape.calls:
            module = self._modules[call.path]
            if call.output is None or not call.path or not call.operations or list(module.children()):
                continue
            if len(call.operations) > 1 and list(module.parameters(recurse=False)):
                continue
            inputs = self._tape.operations[call.operations[0]].inputs
            if inputs and self._tape.values[inputs[0]].shape == self._tape.values[call.output].shape:
                found.update(dict.fromkeys(call.operations, call))
        return found

    def _product_before(self, start: Slot) -> tuple[Operation, int | None] | None:
        """The dense layer or convolution whose value this transforms, and along which dimension its units now lie.

        The dimension is missing where it cannot be told.
        """
        ways: dict[Slot, tuple[Operation, Slot] | None] = {start: None}
        waiting = [start]
        while waiting:
            slot = waiting.pop()
            operation = self._producers.get(slot)
            if operation is None:
                continue
            if self._is_product(operation):
                first = 1 if plain(operation.place[1]) in CONVOLUTIONS else self._tape.values[slot].dim() - 1
                return operation, self._followed(slot, Units(first), ways)
            name = plain(operation.place[1])
            inside = self._elementwise.get(self._depth[id(operation)])
            if name in PASSED or name in NONLINEARITIES or inside is not None:
                fresh = [each for each in operation.inputs if each not in ways]
                ways.update(dict.fromkeys(fresh, (operation, slot)))
                waiting += reversed(fresh)
        return None

    def _followed(self, slot: Slot, units: Units, ways: dict[Slot, tuple[Operation, Slot] | None]) -> int | None:
        """Along which dimension units lie at the end of a way."""
        while (step := ways[slot]) is not None:
            operation, after = step
            same = self._tape.values[slot].shape == self._tape.values[after].shape
            if not same or plain(operation.place[1]) in MOVING:
                moved = units_after(self._tape, operation, slot, units)
                if not moved:
                    return None
                units = moved[0]
            slot = after
        return units.dimension

    def _is_product(self, operation: Operation) -> bool:
        name = plain(operation.place[1])
        if name in CONVOLUTIONS or name in DENSE:
            return True
        return name in MATRIX_PRODUCTS and any(self._is_weight(slot) for slot in operation.inputs)

    def _is_weight(self, slot: Slot) -> bool:
        if id(self._tape.values[slot]) in self._parameters:
            return True
        operation = self._producers.get(slot)
        return operation is not None and bool(operation.inputs) and all(map(self._is_weight, operation.inputs))

    def _is_attention(self, operation: Operation) -> bool:
        name = operation.place[1]
        if not operation.outputs or self._tape.values[operation.outputs[0]].dim() != 4:
            return False
        if name == "scaled_dot_product_attention":
            return True
        return plain(name) in MATRIX_PRODUCTS and self._is_softmax(operation.inputs[0])

    def _is_softmax(self, slot: Slot) -> bool:
        operation = self._producers.get(slot)
        if operation is None:
            return False
        name = operation.place[1]
        return name == "softmax" or (name in DROPOUTS | KEEPING and self._is_softmax(operation.inputs[0]))


def _numbered(name: str, call: int) -> str:
    return name if call == 1 else f"{name}:{call}"


def slot_at(tape: Tape, layer: Layer) -> Slot:
    """Where a layer's value is on another tape of the same network.

    Raises:
        ValueError: that run did not come by.
    """
    path, function, number = layer.place
    if function:
        slots = [operation.outputs[0] for operation in tape.operations if operation.place == layer.place]
    else:
        slots = [call.output for call in tape.calls if (call.path, call.number) == (path, number)]
    if not slots or slots[0] is None:
        raise ValueError(f"the network did not come by its layer {layer.name} for every batch")
    return slots[0]
