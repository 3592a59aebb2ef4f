"""Replicates of one network trained as one: their parameters stacked, a step for all of them as one list of operations.

`torch.func` turns the gradient of one network into that of a stack. Its transformations at every step cost more than a
small network's arithmetic, so the stacked step is traced once into a flat list of tensor operations, and that list is
run. No operation mixes members, so each member's numbers are what
they would be if it were trained alone: to the bit, on one CPU thread, where each member's part of every tensor begins
at a multiple of 16 bytes, as it does at all of the paper's widths. Elsewhere matrix products may differ in the last
digit, since the algorithm of the processor's library depends on the memory alignment of a matrix.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, fx, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph import CodeGen
from torch.utils._pytree import tree_leaves

from widthwise.training.trained_network import Parameters

aten = torch.ops.aten


@dataclass(frozen=True)
class Evaluation:
    """Summed over examples, for each member."""

    loss: Float[Tensor, " members"]
    correct: Int[Tensor, " members"]


class Stack:
    """Networks of one architecture with their parameters stacked along a first dimension, `members`.

    Raises:
        ValueError: a network has buffers (batch normalization), which a stack cannot hold apart.
    """

    def __init__(self, networks: Sequence[nn.Module]):
        if next(networks[0].buffers(), None) is not None:
            raise ValueError("networks with buffers, such as batch normalization's, cannot be stacked")
        named = [dict(network.named_parameters()) for network in networks]
        self.parameters: Parameters = {
            name: torch.stack([parameters[name].detach() for parameters in named]) for name in named[0]
        }
        self._network = copy.deepcopy(networks[0]).to("meta")
        self._kind = _kind(networks[0])

    def __len__(self) -> int:
        return len(next(iter(self.parameters.values())))

    def member(self, index: int) -> Parameters:
        """A copy of one member's parameters."""
        return {name: stacked[index].clone() for name, stacked in self.parameters.items()}

    def keep(self, members: Bool[Tensor, " members"]) -> None:
        """Continue with only these members."""
        self.parameters = {name: stacked[members] for name, stacked in self.parameters.items()}

    def gradients(
        self, inputs: Float[Tensor, "members batch *shape"], labels: Int[Tensor, "members batch"]
    ) -> tuple[list[Tensor], Evaluation]:
        """Gradients of each member's mean cross-entropy on its own batch, by parameter, and its evaluation."""
        *gradients, loss, correct = self._run(_gradients_of_one, inputs, labels)
        return gradients, Evaluation(loss, correct)

    def evaluate(
        self, inputs: Float[Tensor, "members batch *shape"], labels: Int[Tensor, "members batch"]
    ) -> Evaluation:
        """Each member's cross-entropy and correct answers on its own batch."""
        return Evaluation(*self._run(_evaluation_of_one, inputs, labels))

    def _run(self, function: Callable, inputs: Tensor, labels: Tensor) -> list[Tensor]:
        arguments = (*self.parameters.values(), inputs, labels)
        shapes = tuple(argument.shape for argument in arguments)
        key = (function, self._kind, inputs.dtype, inputs.device, shapes)
        if key not in _TRACED:
            names = list(self.parameters)
            stacked = vmap(partial(function, self._network))

            def flat(*tensors: Tensor) -> list[Tensor]:
                *parameters, inputs, labels = tensors
                return tree_leaves(stacked(dict(zip(names, parameters, strict=True)), inputs, labels))

            if len(_TRACED) >= TRACES_KEPT:
                _TRACED.pop(next(iter(_TRACED)))
            _TRACED[key] = _trace(flat, arguments)
        return _TRACED[key].forward(*arguments)


TRACES_KEPT = 128
_TRACED: dict[tuple, fx.GraphModule] = {}


def _kind(network: nn.Module) -> tuple:
    """All that two networks must share to compute by the same operations: their modules, with all their arguments."""
    return tuple(
        (name, type(module), repr({key: value for key, value in vars(module).items() if not key.startswith("_")}))
        for name, module in network.named_modules()
    )


def _loss_of_one(network: nn.Module, parameters: Parameters, inputs: Tensor, labels: Tensor):
    """Mean cross-entropy of one network; beside it the sum, and the number of correct answers."""
    logits = functional_call(network, parameters, (inputs,))
    picked = logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    correct = (logits.argmax(-1) == labels).sum()
    return -picked.mean(), (-picked.detach().sum(), correct)


def _evaluation_of_one(network: nn.Module, parameters: Parameters, inputs: Tensor, labels: Tensor):
    return _loss_of_one(network, parameters, inputs, labels)[1]


def _gradients_of_one(network: nn.Module, parameters: Parameters, inputs: Tensor, labels: Tensor):
    loss = partial(_loss_of_one, network)
    gradients, (_, evaluation) = grad_and_value(loss, has_aux=True)(parameters, inputs, labels)
    return gradients, evaluation


def _trace(function: Callable, arguments: tuple) -> fx.GraphModule:
    """The tensor operations of `function` at the shapes of `arguments`, in the form that runs fastest.

    A small network's step is limited by memory, so operations that write to new memory without need are replaced.
    """
    traced = make_fx(function, tracing_mode="fake")(*arguments)
    traced.graph.set_codegen(CodeGen())
    for rewrite in (_drop_idle, _add_bias_while_multiplying, _multiply_narrow_last, _write_in_place):
        for node in list(traced.graph.nodes):
            if node.op == "call_function":
                rewrite(traced.graph, node)
        traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def _drop_idle(graph: fx.Graph, node: fx.Node) -> None:
    """Bypass a reshaping to the same shape, or a product with one."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return
    reshaping = node.target in (aten.view.default, aten._unsafe_view.default, aten.expand.default)
    same_shape = reshaping and source.meta["val"].shape == node.meta["val"].shape
    times_one = node.target is aten.mul.Scalar and node.args[1] == 1
    if same_shape or times_one or node.target is aten.detach.default:
        node.replace_all_uses_with(source)


def _add_bias_while_multiplying(graph: fx.Graph, node: fx.Node) -> None:
    """A batched matrix product and the addition of a bias to it as one operation."""
    if node.target is not aten.add.Tensor or len(node.args) != 2 or node.kwargs:
        return
    bias, product = node.args
    if not isinstance(bias, fx.Node) or not isinstance(product, fx.Node) or product.target is not aten.bmm.default:
        return
    if len(product.users) == 1 and product.meta["val"].shape == node.meta["val"].shape:
        with graph.inserting_before(node):
            together = graph.call_function(aten.baddbmm.default, (bias, *product.args))
        together.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(together)


def _multiply_narrow_last(graph: fx.Graph, node: fx.Node) -> None:
    """Compute AᵀB with a narrow B as (BᵀA)ᵀ.

    The gradient of a dense layer with few inputs is such a product; the CPU's batched matrix product takes about five
    times as long for it as for the other order.
    """
    if node.target is not aten.bmm.default:
        return
    left, right = node.args
    assert isinstance(left, fx.Node)
    _, rows, columns = node.meta["val"].shape
    if left.target is not aten.transpose.int or set(left.args[1:]) != {1, 2} or columns >= rows:
        return
    with graph.inserting_before(node):
        flipped = graph.call_function(aten.transpose.int, (right, 1, 2))
        product = graph.call_function(aten.bmm.default, (flipped, left.args[0]))
        result = graph.call_function(aten.transpose.int, (product, 1, 2))
    product.meta["val"], result.meta["val"] = node.meta["val"].mT, node.meta["val"]
    node.replace_all_uses_with(result)


def _write_in_place(graph: fx.Graph, node: fx.Node) -> None:
    """Let a rectifier, or its gradient, overwrite the fresh product that it alone reads."""
    source = node.args[0] if node.args else None
    products = (aten.bmm.default, aten.baddbmm.default)
    if not isinstance(source, fx.Node) or source.target not in products or len(source.users) != 1:
        return
    if node.target is aten.relu.default:
        node.target = aten.relu_.default
    elif node.target is aten.threshold_backward.default:
        node.target = aten.threshold_backward.grad_input
        node.kwargs = {"grad_input": source}
