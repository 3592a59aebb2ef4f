"""The weights by which a layer's units read what comes before it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.tracing.functions import CONVOLUTIONS
from widthwise.tracing.graph import Graph
from widthwise.tracing.layer import Layer, Product
from widthwise.tracing.products import PLAIN_PRODUCTS
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Operation, Tape

ENTRIES_AT_A_TIME = 1 << 24


@dataclass(frozen=True)
class IncomingWeights:
    """The weights and the bias of the dense layer or convolution whose outputs are a layer's units.

    weights: the weights of each unit, from the inputs that it reads.
    bias: the bias of each unit; None: there is none.
    groups: the number of groups of consecutive units that read different inputs, as in a grouped convolution.
    """

    weights: Float[Tensor, "units inputs"]
    bias: Float[Tensor, " units"] | None
    groups: int = 1

    @property
    def norms(self) -> Float[Tensor, " units"]:
        """The Euclidean norm of each unit's weights and bias together, in double precision."""
        norms = torch.linalg.vector_norm(self.weights, dim=1, dtype=torch.float64)
        return norms if self.bias is None else torch.hypot(norms, self.bias.double())

    def without_bias(self) -> "IncomingWeights":
        """The same without the bias."""
        return IncomingWeights(self.weights, None, self.groups)

    def largest_cosines(self, threshold: float) -> tuple[Float[Tensor, " units"], Float[Tensor, " units"]]:
        """For each unit, its largest |cosine| with another unit, and the number of others with at least `threshold`.

        The cosine is that of weights and bias together. Units of different groups read different inputs, so that only
        their biases can make them alike. Both numbers are NaN for a unit whose weights and bias are all 0, and if there
        is no other unit.
        """
        norms, units = self.norms, len(self.weights)
        dtype = torch.promote_types(self.weights.dtype, torch.float32)
        scale = torch.where(norms > 0, norms, 1).to(dtype)
        weights = (self.weights / scale[:, None]).to(dtype)
        bias = torch.zeros_like(scale) if self.bias is None else (self.bias / scale).to(dtype)
        largest, alike = torch.zeros_like(norms), torch.zeros_like(norms)
        size = units // self.groups
        rows = max(1, ENTRIES_AT_A_TIME // units)
        for begin in range(0, units, size):
            for first in range(begin, begin + size, rows):
                last = min(first + rows, begin + size)
                cosines = bias[first:last, None] * bias
                cosines[:, begin : begin + size] += weights[first:last] @ weights[begin : begin + size].T
                cosines = cosines.abs_().clamp_max_(1)
                cosines[:, first:last].fill_diagonal_(-1)
                largest[first:last] = cosines.amax(1)
                alike[first:last] = (cosines >= threshold).sum(1)
        missing = norms == 0 if units > 1 else torch.ones_like(norms, dtype=torch.bool)
        return largest.masked_fill(missing, torch.nan), alike.masked_fill(missing, torch.nan)

    def change_from(self, initial: "IncomingWeights") -> Float[Tensor, " units"]:
        """‖w - w₀‖ / ‖w₀‖ of each unit, of its weights without the bias; NaN where the initial weights are all 0."""
        difference = torch.linalg.vector_norm(self.weights.double() - initial.weights.double(), dim=1)
        before = initial.without_bias().norms
        return torch.where(before > 0, difference / before, torch.nan)


def product_of(graph: Graph, operation: Operation, units: int) -> Product | None:
    """A dense layer or convolution whose weight is the same in every run and gives `units` outputs; None: it is not."""
    weight, bias = _operands(graph, operation)
    if weight is None or weight not in graph.constants or (bias is not None and bias not in graph.constants):
        return None
    inputs = operation.inputs
    product = Product(operation.call_site, inputs.index(weight), None if bias is None else inputs.index(bias))
    found = _weights(graph.tape.values, graph.tape, operation, product)
    return product if found is not None and len(found.weights) == units else None


def incoming_weights(tape: Tape, layer: Layer, changed: Mapping[int, Tensor] | None = None) -> IncomingWeights | None:
    """The incoming weights of a layer's units; None where they are not known.

    Args:
        tape: a run that has all its values.
        layer: the layer.
        changed: other values of parameters, by the `id` of each, from which weights are computed; None: the run's own.
    """
    product = layer.product
    if product is None:
        return None
    operation = next((each for each in tape.operations if each.call_site[:3] == product.call_site[:3]), None)
    if operation is None:
        return None
    slots = [operation.inputs[index] for index in (product.weight, product.bias) if index is not None]
    values = _recomputed(tape, slots, changed) if changed is not None else tape.values
    return _weights(values, tape, operation, product)


def _operands(graph: Graph, operation: Operation) -> tuple[Slot | None, Slot | None]:
    """The weight and the bias of a dense layer or convolution; None where it has none, or is something else."""
    name, given = operation.name, dict(enumerate(operation.args)) | operation.kwargs

    def argument(index: int, keyword: str) -> Slot | None:
        found = given.get(index, given.get(keyword))
        return found if isinstance(found, Slot) else None

    if name == "linear" or name in CONVOLUTIONS:
        return argument(1, "weight"), argument(2, "bias")
    if name in PLAIN_PRODUCTS and not {"alpha", "beta"} & operation.kwargs.keys():
        factors = operation.inputs
        bias = None
        if name == "addmm":
            bias, *factors = factors
        if len(factors) == 2 and factors[0] != factors[1]:
            return next((slot for slot in factors if slot in graph.weights or slot in graph.buffered), None), bias
    return None, None


def _weights(
    values: Mapping[Slot, Tensor], tape: Tape, operation: Operation, product: Product
) -> IncomingWeights | None:
    """The weights as a matrix with a row for each output; None if they are of another form."""
    inputs = operation.inputs
    weight = values[inputs[product.weight]].detach()
    bias = None if product.bias is None else values[inputs[product.bias]].detach()
    name = operation.name
    if not weight.is_floating_point() or weight.dim() < 2 or not weight.numel():
        return None
    groups = 1
    if name in CONVOLUTIONS:
        transposed = name.startswith("conv_transpose")
        read = next(slot for slot in inputs if slot != inputs[product.weight])
        outside = operation.outputs[0] if transposed else read
        groups = tape.values[outside].shape[-1 - int(name[-2])] // weight.shape[1]
        if transposed:
            weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
        weight = weight.flatten(1)
    elif weight.dim() > 2:
        return None
    elif name != "linear" and inputs[product.weight] == inputs[-1]:  # the second factor has a column for each output
        weight = weight.T
    if bias is not None and bias.shape != weight.shape[:1]:
        return None
    return IncomingWeights(weight, bias, groups)


def _recomputed(tape: Tape, slots: list[Slot], changed: Mapping[int, Tensor]) -> dict[Slot, Tensor]:
    """Values that are computed from parameters alone, for other parameters."""
    needed, producers = set(slots), tape.producers()
    for operation in reversed(tape.operations):
        if not needed.isdisjoint(operation.outputs):
            needed.update(operation.inputs)
    values: dict[Slot, Tensor] = {}
    for slot in needed:
        if slot not in producers:
            value = tape.values[slot]
            values[slot] = changed.get(id(value), value).to(value)
    for operation in tape.operations:
        if not needed.isdisjoint(operation.outputs):
            values.update(tape.computed(operation, {slot: values[slot] for slot in dict.fromkeys(operation.inputs)}))
    return values
