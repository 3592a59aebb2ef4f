"""The search for a network's layers on the tape of a run."""

from collections import Counter
from collections.abc import Iterable

from torch import nn

from widthwise.errors import RequestError
from widthwise.tracing.functions import (
    CONVOLUTIONS,
    DENSE,
    DROPOUTS,
    IDENTITIES,
    MATRIX_PRODUCTS,
    MOVING,
    NONLINEARITIES,
    TRANSPARENT,
)
from widthwise.tracing.layer import HEAD, Layer
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import CallSite, ModuleCall, Operation, Tape
from widthwise.tracing.unit_flow import Units, units_after
from widthwise.wording import did_you_mean

Located = tuple[int, Layer]
"""A layer's depth, which is the number of operations before its value, and the layer."""
Product = tuple[Operation, int | None]
"""A dense layer or convolution, and the dimension of a later value along which its units lie; None if unknown."""
Step = tuple[Operation, Slot]
"""An operation on the way from a product to a nonlinearity, and its value."""


class LayerSearch:
    """Finds layers on the tape of a model's run."""

    def __init__(self, model: nn.Module, tape: Tape):
        self._modules = dict(model.named_modules())
        self._parameters = {id(parameter) for parameter in model.parameters()}
        self._tape = tape
        self._producers = tape.producers()
        self._depth = {id(operation): depth for depth, operation in enumerate(tape.operations)}
        self._elementwise = self._elementwise_modules()

    def after_nonlinearities(self) -> list[Located]:
        """Every value right after a nonlinearity that follows a dense layer or a convolution."""
        found: list[tuple[str, CallSite, Slot, str, Slot]] = []
        taken = set()
        for depth, operation in enumerate(self._tape.operations):
            name = operation.name
            if name not in NONLINEARITIES or not operation.inputs:
                continue
            call = self._elementwise.get(depth)
            if call is not None and call.output is not None:
                if (call.path, call.number) not in taken:
                    taken.add((call.path, call.number))
                    kind = type(self._modules[call.path]).__name__
                    start = self._tape.operations[call.operations[0]].inputs[0]
                    found.append((call.path, CallSite(call.path, "", call.number), call.output, kind, start))
            else:
                path = ".".join(filter(None, (operation.call_site.path, name)))
                if path in self._modules:  # a module and a function of one name
                    path += "()"
                found.append((path, operation.call_site, operation.outputs[0], name, operation.inputs[0]))
        return [
            self._layer(_numbered(name, site.number + 1), site, slot, kind, product)
            for name, site, slot, kind, start in found
            if self._can_be_layer(slot) and (product := self._product_before(start)) is not None
        ]

    def attention_heads(self) -> list[Located]:
        """The value of each attention, `examples heads positions features`, before its heads are joined."""
        layers, calls = [], Counter[str]()
        for operation in self._tape.operations:
            if self._is_attention(operation):
                name = ".".join(filter(None, (operation.call_site.path, "heads")))
                calls[name] += 1
                numbered = _numbered(name, calls[name])
                layers.append(self._layer(numbered, operation.call_site, operation.outputs[0], HEAD, None))
        return layers

    def named(self, names: Iterable[str], others: Iterable[str] = ()) -> list[Located]:
        """The values that modules return, by the modules' paths; every call of a module is a layer.

        Args:
            names: paths of modules; `PATH:2` is a module's second call alone.
            others: further names of layers, for hints.

        Raises:
            RequestError: a module is not there, is not called, or returns no value that has units.
        """
        returned: dict[str, list[ModuleCall]] = {}
        for call in self._tape.calls:
            if call.output is not None and call.path:
                returned.setdefault(call.path, []).append(call)
        layers = []
        for name in names:
            path, colon, number = name.rpartition(":")
            if not colon or not number.isdigit():
                path, number = name, ""
            calls = returned.get(path, [])
            if number:
                calls = [call for call in calls if call.number == int(number) - 1]
            if not calls:
                raise RequestError(f"{name!r} is no layer of the network; {self._hint(name, {*returned, *others})}")
            for call in calls:
                assert call.output is not None
                if not self._can_be_layer(call.output):
                    value = self._tape.values[call.output]
                    raise RequestError(
                        f"the value of {path} has shape {tuple(value.shape)} and type {value.dtype}; a layer's value "
                        "is of floating point, with examples along one dimension and units along another"
                    )
                product = self._product_before(call.output)
                kind = type(self._modules[path]).__name__
                site = CallSite(path, "", call.number)
                layers.append(self._layer(_numbered(path, call.number + 1), site, call.output, kind, product))
        return layers

    def _hint(self, name: str, known: Iterable[str]) -> str:
        if name in self._modules:
            return "the network has such a module, but does not call it or it gives no tensor"
        if hint := did_you_mean(name, known, likeness=0.4):
            return hint
        layers = [layer.name for _, layer in self.after_nonlinearities()]
        return f"the first of its layers are {', '.join(layers[:8])}" if layers else "it has no layer"

    def _can_be_layer(self, slot: Slot) -> bool:
        value = self._tape.values[slot]
        return value.dim() > 1 and value.is_floating_point()

    def _layer(self, name: str, site: CallSite, slot: Slot, kind: str, product: Product | None) -> Located:
        value = self._tape.values[slot]
        operation, dimension = product or (None, None)
        if kind == HEAD:
            dimension = 1
        elif dimension is None:
            convolved = operation is not None and operation.name in CONVOLUTIONS
            dimension = 1 if value.dim() > 2 and (convolved or (operation is None and value.dim() > 3)) else -1
        follows = ""
        if operation is not None:
            module, function, _ = operation.call_site
            leaf = module and not list(self._modules[module].children())
            follows = module if leaf else ".".join(filter(None, (module, function)))
        producer = self._producers.get(slot)
        depth = self._depth[id(producer)] if producer is not None else -1
        dimension %= value.dim()
        shape = tuple(value.shape[1:])
        return depth, Layer(name, site, value.shape[dimension], dimension, shape, kind, follows)

    def _elementwise_modules(self) -> dict[int, ModuleCall]:
        """For the index of each operation inside a module that is an activation function, that module's call.

        Such a module has no submodules, its value has its argument's shape, and it has parameters only if it calls a
        single function.
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

    def _product_before(self, start: Slot) -> Product | None:
        """The dense layer or convolution whose transformed value is `start`; None: there is none."""
        steps: dict[Slot, Step | None] = {start: None}
        waiting = [start]
        while waiting:
            slot = waiting.pop()
            operation = self._producers.get(slot)
            if operation is None:
                continue
            if self._is_product(operation):
                first = 1 if operation.name in CONVOLUTIONS else self._tape.values[slot].dim() - 1
                return operation, self._dimension_after(slot, Units(first), steps)
            name = operation.name
            inside = self._elementwise.get(self._depth[id(operation)])
            if name in TRANSPARENT or name in NONLINEARITIES or inside is not None:
                fresh = [each for each in operation.inputs if each not in steps]
                steps.update(dict.fromkeys(fresh, (operation, slot)))
                waiting += reversed(fresh)
        return None

    def _dimension_after(self, slot: Slot, units: Units, steps: dict[Slot, Step | None]) -> int | None:
        """The dimension along which units lie after all steps from `slot` on; None: it cannot be determined."""
        while (step := steps[slot]) is not None:
            operation, after = step
            same = self._tape.values[slot].shape == self._tape.values[after].shape
            if not same or operation.name in MOVING:
                moved = units_after(self._tape, operation, slot, units)
                if not moved:
                    return None
                units = moved[0]
            slot = after
        return units.dimension

    def _is_product(self, operation: Operation) -> bool:
        name = operation.name
        if name in CONVOLUTIONS or name in DENSE:
            return True
        return name in MATRIX_PRODUCTS and any(self._is_weight(slot) for slot in operation.inputs)

    def _is_weight(self, slot: Slot) -> bool:
        if id(self._tape.values[slot]) in self._parameters:
            return True
        operation = self._producers.get(slot)
        return operation is not None and bool(operation.inputs) and all(map(self._is_weight, operation.inputs))

    def _is_attention(self, operation: Operation) -> bool:
        name = operation.call_site.function
        if not operation.outputs or self._tape.values[operation.outputs[0]].dim() != 4:
            return False
        if name == "scaled_dot_product_attention":
            return True
        return operation.name in MATRIX_PRODUCTS and self._is_softmax(operation.inputs[0])

    def _is_softmax(self, slot: Slot) -> bool:
        operation = self._producers.get(slot)
        if operation is None:
            return False
        name = operation.call_site.function
        return name == "softmax" or (name in DROPOUTS | IDENTITIES and self._is_softmax(operation.inputs[0]))


def _numbered(name: str, call: int) -> str:
    return name if call == 1 else f"{name}:{call}"
