"""A network as a graph: where its layers are, and what has to run again when one of them changes.

Everything a layer's value does not reach is computed once a batch; an ablation runs only what is downstream of it.
"""

import inspect
import operator
from collections import ChainMap, Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

Values = dict[fx.Node, object]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
PRODUCTS = (nn.Linear, *CONVOLUTIONS)
NORMALIZATIONS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm2d,
    nn.Dropout,
    nn.Identity,
)
NONLINEARITIES = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
)
NONLINEAR_FUNCTIONS = {
    *(torch.relu, torch.relu_, torch.sigmoid, torch.sigmoid_, torch.tanh, torch.tanh_),
    *(F.relu, F.relu_, F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.hardswish, F.softplus),
}
NONLINEAR_METHODS = {"relu", "relu_", "sigmoid", "sigmoid_", "tanh", "tanh_"}


@dataclass(frozen=True)
class Layer:
    """A place in a network whose units are measured: the value of `node`, units along `unit_dimension`."""

    name: str
    node: fx.Node
    unit_dimension: int


class _Tracer(fx.Tracer):
    """Traces as `torch.fx` does, and remembers the value that each submodule returned at each of its calls."""

    def __init__(self):
        super().__init__()
        self.returned: dict[str, list[fx.Node]] = {}

    def call_module(self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict):
        path = self.path_of_module(m)
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            self.returned.setdefault(path, []).append(result.node)
        return result


class Network:
    """A traced network.

    Raises:
        ValueError: `torch.fx` cannot trace the model, it has no measurable layer, or it declares one that it lacks.
    """

    def __init__(self, model: nn.Module):
        tracer = _Tracer()
        try:
            self.graph = tracer.trace(model, concrete_args=_defaults(model))
        except Exception as error:  # whatever the model's own code raises at stand-ins for tensors
            raise ValueError(f"torch.fx cannot trace {type(model).__name__}: {error}") from error
        self._modules = dict(model.named_modules())
        self._in_place = self._separate_in_place()
        self._interpreter = fx.Interpreter(model, graph=self.graph)
        self._order = list(self.graph.nodes)
        self.layers = self._find_layers(tracer.returned, getattr(model, "measured_layers", None))
        if not self.layers:
            raise ValueError(
                f"{type(model).__name__} has no nonlinearity after a dense layer or a convolution; "
                "name its layers in an attribute measured_layers"
            )
        self._downstream = {layer.node: self._find_downstream(layer.node) for layer in self.layers}

    def run(self, *inputs: object) -> tuple[Tensor, Values]:
        """The network's output for a batch, and the value of every node on the way."""
        values: Values = {}
        given = iter(inputs)
        for node in self._order:
            if node.op == "placeholder":
                values[node] = next(given, node.args[0] if node.args else None)
            else:
                values[node] = self._compute(node, values)
        return self.output(values), values

    def rerun(self, layer: Layer, value: Tensor, values: Values) -> Tensor:
        """The network's output if the layer's value were `value`; what does not depend on it is taken from `values`."""
        changed: Values = {layer.node: value}
        for node in self._downstream[layer.node]:
            changed[node] = self._compute(node, ChainMap(changed, values))
        return self.output(changed)

    def _find_downstream(self, start: fx.Node) -> list[fx.Node]:
        reached = {start}
        for node in self._order:
            if not reached.isdisjoint(node.all_input_nodes):
                reached.add(node)
        return [node for node in self._order if node in reached and node is not start]

    def _compute(self, node: fx.Node, values: Mapping[fx.Node, object]) -> object:
        args, kwargs = cast(tuple, fx.map_arg((node.args, node.kwargs), cast(Callable, values.__getitem__)))
        if node in self._in_place:
            args = (args[0].clone(), *args[1:])
        return getattr(self._interpreter, node.op)(node.target, args, kwargs)

    def output(self, values: Values) -> Tensor:
        output = values[self._order[-1]]
        if not isinstance(output, Tensor):
            raise ValueError(
                f"the model returns {type(output).__name__}; a label is the argmax over a tensor's last axis"
            )
        return output

    def _separate_in_place(self) -> set[fx.Node]:
        """The operations that overwrite their first argument; what comes after them is made to read their result.

        Values of one run are used in many, so none may be overwritten: these operations work on a copy. A view of
        what they overwrite is not followed.
        """
        order = {node: place for place, node in enumerate(self.graph.nodes)}
        found = {node for node in order if self._overwrites(node)}
        for node in found:
            overwritten = node.args[0]
            if isinstance(overwritten, fx.Node):
                overwritten.replace_all_uses_with(node, lambda user, node=node: order[user] > order[node])
        return found

    def _overwrites(self, node: fx.Node) -> bool:
        if not node.args or not isinstance(node.args[0], fx.Node):
            return False
        if node.op == "call_module":
            return bool(getattr(self._module(node), "inplace", False))
        if node.op == "call_function":
            name = getattr(node.target, "__name__", "")
            inside = node.target in NONLINEAR_FUNCTIONS and any(argument is True for argument in node.args[1:])
            return inside or bool(node.kwargs.get("inplace")) or (name.endswith("_") and not name.endswith("__"))
        return node.op == "call_method" and str(node.target).endswith("_") and not str(node.target).endswith("__")

    def _find_layers(self, returned: dict[str, list[fx.Node]], declared: tuple[str, ...] | None) -> list[Layer]:
        if declared is not None:
            missing = [name for name in declared if name not in returned]
            if missing:
                raise ValueError(f"measured_layers names {missing[0]!r}, which is no module that the model calls")
            places = [(name, node) for name in declared for node in returned[name]]
        else:
            places = [
                (str(node.target) if node.op == "call_module" else node.name, node)
                for node in self._order
                if self._is_nonlinear(node) and self._product_before(node) is not None
            ]
        calls = Counter()
        layers = []
        for name, node in places:
            calls[name] += 1
            layers.append(self._layer(name if calls[name] == 1 else f"{name}:{calls[name]}", node))
        return layers

    def _layer(self, name: str, node: fx.Node) -> Layer:
        """Units lie along the channels after a convolution, along the last dimension after a dense layer."""
        product = self._product_before(node)
        convolutional = product is not None and isinstance(self._module(product), CONVOLUTIONS)
        return Layer(name, node, 1 if convolutional else -1)

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self._modules.get(str(node.target)) if node.op == "call_module" else None

    def _is_nonlinear(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self._module(node), NONLINEARITIES)
        if node.op == "call_method":
            return node.target in NONLINEAR_METHODS
        return node.op == "call_function" and node.target in NONLINEAR_FUNCTIONS

    def _product_before(self, node: fx.Node) -> fx.Node | None:
        """The dense layer or convolution whose value `node` transforms, past normalizations and residual sums."""
        module = self._module(node)
        if isinstance(module, PRODUCTS) or node.target is F.linear:
            return node
        passes = (
            self._is_nonlinear(node)
            or isinstance(module, NORMALIZATIONS)
            or node.target in (operator.add, torch.add, "add", "add_")
        )
        sources = node.all_input_nodes if passes else []
        return next((found for source in sources if (found := self._product_before(source)) is not None), None)


def _defaults(model: nn.Module) -> dict[str, object]:
    """The optional arguments of a model; it is traced and run with their defaults."""
    parameters = inspect.signature(model.forward).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
