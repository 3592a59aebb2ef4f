"""Dense layers and convolutions as they are called: what each multiplies by which weight, along which dimensions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from widthwise.tracing.functions import CONVOLUTIONS, MATRIX_PRODUCTS
from widthwise.tracing.graph import Graph
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape

INPUTS_FIRST = {"matmul", "mm", "__matmul__", "linalg_matmul", "addmm"}
"""Functions whose weight has its inputs in the first dimension."""
ARGUMENTS = {
    "linear": ("input", "weight", "bias"),
    **{f"conv{n}d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups") for n in (1, 2, 3)},
    **dict.fromkeys(INPUTS_FIRST, ("input", "weight")),
    "addmm": ("bias", "input", "weight"),
}
"""The arguments of the functions whose weights can be fitted anew, in their order."""
BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
OTHER_NAMES = {"mat1": "input", "mat2": "weight", "other": "weight", "self": "input"}
FACTORED = {"beta", "alpha"}
"""Arguments by which `addmm` multiplies its parts."""


def arguments(operation: Operation, names: tuple[str, ...]) -> dict[str, object]:
    """An operation's arguments by their names."""
    given = {**dict(zip(names, operation.args, strict=False)), **operation.kwargs}
    if operation.name in MATRIX_PRODUCTS:
        if operation.name == "addmm" and "input" in operation.kwargs:  # so it calls what is added
            given["bias"] = given.pop("input")
        given = {OTHER_NAMES.get(name, name): each for name, each in given.items()}
    return given


@dataclass(frozen=True)
class Product:
    """A product of data with a weight.

    data, weight, bias: its values; no bias if nothing is added.
    channels: the dimension of the data that is summed over, and outputs: that of the result's units.
    read, written: the dimensions of the weight that belong to them.
    groups: the groups of a convolution.
    """

    operation: Operation
    data: Slot
    weight: Slot
    bias: Slot | None
    channels: int
    outputs: int
    read: int
    written: int
    groups: int

    @property
    def output(self) -> Slot:
        """Its result."""
        return self.operation.outputs[0]

    @property
    def is_transposed(self) -> bool:
        """Whether it is a transposed convolution."""
        return self.operation.name.startswith("conv_transpose")


def product_of(graph: Graph, operation: Operation) -> Product | None:
    """An operation as a product of data with a weight; None: it is none, or one of another kind."""
    values, name = graph.tape.values, operation.name
    if name in CONVOLUTIONS:
        data, weight, *rest = operation.inputs
        channels = values[data].dim() - 1 - int(name[-2])
        written = 1 if name.startswith("conv_transpose") else 0
        groups = _groups_of(operation) if written else values[data].shape[channels] // values[weight].shape[1]
        outputs = values[operation.outputs[0]].dim() - (values[data].dim() - channels)
        return Product(operation, data, weight, next(iter(rest), None), channels, outputs, 1 - written, written, groups)
    if name not in ARGUMENTS:
        return None
    given = arguments(operation, ARGUMENTS[name])
    data, weight, bias = given.get("input"), given.get("weight"), given.get("bias")
    if not isinstance(data, Slot) or not isinstance(weight, Slot) or not FACTORED.isdisjoint(given):
        return None
    if name in INPUTS_FIRST and (weight not in graph.weights or data in graph.constants or values[weight].dim() != 2):
        return None
    written = int(name in INPUTS_FIRST)
    last, outputs = values[data].dim() - 1, values[operation.outputs[0]].dim() - 1
    plain = bias if isinstance(bias, Slot) else None
    return Product(operation, data, weight, plain, last, outputs, 1 - written, written, 1)


def _groups_of(operation: Operation) -> int:
    given = operation.args[6] if len(operation.args) > 6 else operation.kwargs.get("groups", 1)
    assert isinstance(given, int)
    return given


def uses(tape: Tape, names: Mapping[int, str]) -> Counter[str]:
    """How many operations of a run read each parameter and buffer."""
    given = {output for operation in tape.operations for output in operation.outputs}
    found: Counter[str] = Counter()
    for operation in tape.operations:
        slots = {slot for slot in operation.inputs if slot not in given}
        found.update({name for slot in slots if (name := names.get(id(tape.values[slot])))})
    return found
