"""The paper's multilayer perceptron (Appendix A.1), with one hidden layer of 128 ReLU units at 1x, or deeper."""

from collections import OrderedDict
from typing import cast, no_type_check

from jaxtyping import Float
from torch import Tensor, nn

from widthwise.networks.activation import ACTIVATION_MODULES
from widthwise.networks.architecture import UNITS_AT_1X, Activation, scaled_units


class MLP(nn.Module):
    """So many `hidden_layers` of `128 * width_factor` units each between `inputs` features and `outputs` logits.

    The only one is `hidden`; several are `hidden1`, `hidden2` and so on. `activation` stands in the place of ReLU.
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
        units = scaled_units(UNITS_AT_1X["mlp"]["hidden"], width_factor)
        numbered = tuple(f"hidden{number}" for number in range(1, hidden_layers + 1))
        self.measured_layers = ("hidden",) if hidden_layers == 1 else numbered
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
