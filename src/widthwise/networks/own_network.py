"""A user's own network: a function that returns it for a width factor."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from widthwise.errors import RequestError
from widthwise.networks.description import NetworkDescription, Shape
from widthwise.networks.user_function import UserFunction


class OwnNetwork(UserFunction, NetworkDescription):
    """A network that a function in a user's own file returns.

    It is called `FUNCTION(width_factor=…, **arguments)` and, if it has such parameters, with `shape=`, the shape of one
    input, and `classes=`, the number of labels. It returns an `nn.Module` whose output for a batch is logits
    `examples classes`.
    """

    title: ClassVar[str] = "own network"
    recipe: ClassVar[dict[str, dict[str, Any]]] = {"initialization": {"scheme": "as_built"}}
    shapes_in_words: ClassVar[str] = "any"

    name: Literal["own"] = "own"  # pyright: ignore[reportIncompatibleVariableOverride]
    layers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The modules whose units are measured; None: those that the network names in an attribute `measured_layers`, or
    every value right after a nonlinearity."""

    __hash__ = UserFunction.__hash__

    @property
    def measured_layers(self) -> tuple[str, ...] | None:
        """`layers`."""
        return self.layers

    @property
    def called(self) -> str:
        """The function that returns it."""
        return self.factory

    def takes(self, shape: Shape) -> bool:
        """Whether inputs are of a shape that it can take: only its function knows."""
        return True

    def module(self, shape: Shape, classes: int) -> nn.Module:
        """The network that the function returns.

        Raises:
            RequestError: it fails, or returns no network.
        """
        offered = {"shape": shape, "classes": classes}
        network = self.result("network.factory", offered, {"width_factor": self.width_factor})
        if not isinstance(network, nn.Module):
            problem = (
                f"{self.function}() of {self.file} returns {type(network).__name__}; it must return a torch.nn.Module"
            )
            raise RequestError(problem, field="network.factory")
        if lazy := [name for name, part in network.named_modules() if isinstance(part, LazyModuleMixin)]:
            problem = f"{lazy[0]!r} of the network that {self.function}() of {self.file} gives is lazy"
            remedy = "its weights are drawn before it sees data: give its sizes, from shape= and classes="
            raise RequestError(f"{problem}; {remedy}", field="network.factory")
        if not any(parameter.requires_grad for parameter in network.parameters()):
            problem = f"the network that {self.function}() of {self.file} returns has no parameters to train"
            raise RequestError(problem, field="network.factory")
        if self.layers is not None:
            network.measured_layers = self.layers  # pyright: ignore[reportArgumentType] it is no parameter
        return network


def called(network: nn.Module, inputs: torch.Tensor | Mapping[str, torch.Tensor]) -> Any:
    """A network's output for inputs, which may be its arguments by name."""
    return network(inputs) if isinstance(inputs, torch.Tensor) else network(**inputs)


def logits_of(output: Any) -> torch.Tensor:
    """The logits in the output of a network: the output itself, the first of a tuple, or the field `logits`.

    Raises:
        RequestError: there are none.
    """
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if isinstance(output, dict):
        output = output.get("logits")
    elif not isinstance(output, torch.Tensor):
        output = getattr(output, "logits", None)
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise RequestError(f"a network must return logits of shape (examples, classes), not {shape}", field="network")
    return output
