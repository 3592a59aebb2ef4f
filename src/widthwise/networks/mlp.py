"""The paper's multilayer perceptron (Appendix A.1), with one hidden layer of 128 ReLU units at 1x, or deeper."""

from collections import OrderedDict
from typing import Any, ClassVar, Literal, cast, no_type_check

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from widthwise.networks.activation import ACTIVATION_MODULES
from widthwise.networks.description import Activation, PublishedNetwork, Shape, scaled_units

HIDDEN_UNITS = 128
"""Hidden units at width factor 1."""


class MLPDescription(PublishedNetwork):
    """The multilayer perceptron, whose recipe but for the initialization is the fields' defaults."""

    title: ClassVar[str] = "MLP"
    recipe: ClassVar[dict[str, dict[str, Any]]] = {
        "initialization": {"scheme": "normal", "standard_deviation": 0.01},
    }
    stackable: ClassVar[bool] = True
    shapes_in_words: ClassVar[str] = "(features,)"

    name: Literal["mlp"] = "mlp"  # pyright: ignore[reportIncompatibleVariableOverride]
    hidden_layers: PositiveInt = 1
    """Number of hidden layers, all with the same number of units."""

    @property
    def measured_layers(self) -> tuple[str, ...]:
        """`hidden`, or `hidden1`, `hidden2` and so on if there are several."""
        return hidden_names(self.hidden_layers)

    @property
    def narrowest(self) -> int:
        """The units at 1x of a hidden layer."""
        return HIDDEN_UNITS

    def takes(self, shape: Shape) -> bool:
        """Whether inputs are features."""
        return isinstance(shape, tuple) and len(shape) == 1

    def check_construction(self) -> None:
        """Check that there is one hidden layer of ReLU units.

        Raises:
            ValueError: there are several layers, or other units.
        """
        if (self.hidden_layers, self.activation) != (1, "relu"):
            raise ValueError(
                "construction is for network.hidden_layers 1 and network.activation relu, "
                f"not {self.hidden_layers} and {self.activation}"
            )

    def module(self, shape: Shape, classes: int) -> nn.Module:
        """The network for `shape[0]` features."""
        assert isinstance(shape, tuple)
        return MLP(shape[0], classes, self.width_factor, self.hidden_layers, self.activation)


def hidden_names(hidden_layers: int) -> tuple[str, ...]:
    """The names of an MLP's hidden layers."""
    return ("hidden",) if hidden_layers == 1 else tuple(f"hidden{number}" for number in range(1, hidden_layers + 1))


class MLP(nn.Module):
    """`hidden_layers` layers of `128 * width_factor` units each, between `inputs` features and `outputs` logits.

    The only one is `hidden`; several are `hidden1`, `hidden2` and so on. `activation` replaces ReLU.
    """

    hidden: nn.Sequential
    """The only hidden layer; a deeper network has no such attribute."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width_factor: float = 1.0,
        hidden_layers: int = 1,
        activation: Activation = "relu",
    ):
        super().__init__()
        units = scaled_units(HIDDEN_UNITS, width_factor)
        self.measured_layers = hidden_names(hidden_layers)
        given = inputs
        for layer in self.measured_layers:
            parts = OrderedDict({"linear": nn.Linear(given, units), activation: ACTIVATION_MODULES[activation]()})
            self.add_module(layer, nn.Sequential(parts))
            given = units
        self.output = nn.Linear(units, outputs)

    @property
    def linear(self) -> nn.Linear:
        """The dense layer of the only hidden layer."""
        return cast(nn.Linear, self.hidden.linear)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, inputs: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        value = inputs
        for layer in self.measured_layers:
            value = self.get_submodule(layer)(value)
        return self.output(value)
