"""Where the layers of a network are: the values whose units are measured."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from torch import nn

from widthwise.measurement.structure import Slot
from widthwise.measurement.tape import ModuleCall, Operation, Place, Tape

CONVOLUTIONS = {*(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3))}
DENSE = {"linear", "bilinear"}
MATRIX_PRODUCTS = {"addmm", "baddbmm", "matmul", "mm", "bmm", "__matmul__", "__rmatmul__", "einsum"}
"""Dense layers where one factor is a weight; between two values of the data, attention."""
NONLINEARITIES = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
    *("sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "logsigmoid", "softsign", "tanhshrink", "threshold"),
    *("hardshrink", "softshrink", "glu", "clamp", "clamp_min", "clip", "erf"),
}
NORMALIZATIONS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm"}
DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
POOLINGS = {
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg", "lp") for n in (1, 2, 3)),
    "interpolate",
}
SUMS = {"add", "__add__", "__radd__", "__iadd__"}
JOINS = {"cat", "concat", "concatenate"}
KEEPING = {"contiguous", "to", "float", "type_as", "clone", "detach", "pad", "chunk", "split"}
MOVING = {
    *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "swapaxes", "movedim", "squeeze", "unsqueeze"),
    *("mean", "__getitem__", "moveaxis", "t"),
}
"""Functions after which the units may lie along another dimension."""
PASSED = NORMALIZATIONS | DROPOUTS | POOLINGS | SUMS | JOINS | KEEPING | MOVING


@dataclass(frozen=True)
class Layer:
    """A value in a network whose units are measured.

    name: the path of the module that gives it or, of a function, that of the module whose code calls it and the
        function's name; `NAME:2` is its second call.
    place: where it is on the network's tape.
    units: how many, along dimension `unit_dimension` of the value.
    shape: of the value for one example.
    kind: the nonlinearity that gives it, `attention head`, or `module` for another module's value.
    follows: the dense layer or convolution before it, as its module's path; empty where there is none.
    """

    name: str
    place: Place
    units: int
    unit_dimension: int
    shape: tuple[int, ...]
    kind: str
    follows: str


Selection = str | Iterable[str] | Callable[[Layer], bool]
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
            known = [each for each in candidates if each[1].name == wanted]
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
                found.append((path, operation.place, operation.outputs[0], name, operation.inputs[0]))
        followed = [(*each, self._product_before(each[-1])) for each in found]
        calls = Counter()
        layers = []
        for name, place, slot, kind, _, product in followed:
            if product is not None:
                calls[name] += 1
                numbered = name if calls[name] == 1 else f"{name}:{calls[name]}"
                layers.append(self._layer(numbered, place, slot, kind, *product))
        return layers

    def attention_heads(self) -> list[Located]:
        """What each attention gives, `examples heads positions features`, before its heads are joined."""
        layers = []
        calls = Counter()
        for operation in self._tape.operations:
            if not self._is_attention(operation):
                continue
            path = operation.place[0]
            calls[path] += 1
            name = f"{path}.heads" if calls[path] == 1 else f"{path}.heads:{calls[path]}"
            located = self._layer(
                name.lstrip("."), operation.place, operation.outputs[0], "attention head", None, False
            )
            depth, layer = located
            value = self._tape.values[operation.outputs[0]]
            layers.append((depth, replace(layer, units=value.shape[1], unit_dimension=1)))
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
                numbered = path if call.number == 0 else f"{path}:{call.number + 1}"
                product = self._product_before(call.output) or (None, False)
                kind = type(self._modules[path]).__name__
                layers.append(self._layer(numbered, (path, "", call.number), call.output, kind, *product))
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

    def _layer(self, name: str, place: Place, slot: Slot, kind: str, product: Operation | None, moved: bool) -> Located:
        value = self._tape.values[slot]
        if value.dim() < 2 or not value.is_floating_point():
            raise ValueError(
                f"the value of {name} has shape {tuple(value.shape)} and type {value.dtype}; "
                "a layer's value is of floating point, examples first and units along another dimension"
            )
        convolutional = product is not None and plain(product.place[1]) in CONVOLUTIONS and not moved
        if product is None:
            convolutional = value.dim() > 3
        dimension = 1 if convolutional else value.dim() - 1
        follows = ""
        if product is not None:
            module, function, _ = product.place
            leaf = module and not list(self._modules[module].children())
            follows = module if leaf else ".".join(filter(None, (module, function)))
        producer = self._producers.get(slot)
        depth = self._depth[id(producer)] if producer is not None else -1
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

    def _product_before(self, slot: Slot) -> tuple[Operation, bool] | None:
        """The dense layer or convolution whose value this transforms, and whether its dimensions were moved since."""
        seen: set[Slot] = set()
        waiting = [(slot, False)]
        while waiting:
            slot, moved = waiting.pop()
            operation = self._producers.get(slot)
            if slot in seen or operation is None:
                continue
            seen.add(slot)
            name = plain(operation.place[1])
            if self._is_product(operation):
                return operation, moved
            inside = self._elementwise.get(self._depth[id(operation)])
            if name in PASSED or name in NONLINEARITIES or inside is not None:
                waiting += [(each, moved or name in MOVING) for each in reversed(operation.inputs)]
        return None

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


def plain(name: str) -> str:
    """A function's name without the mark that it writes in place."""
    return name if name.startswith("__") else name.rstrip("_")


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
