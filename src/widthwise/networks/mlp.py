"""The paper's multilayer perceptron (Appendix A.1): one hidden layer of 128 ReLU units at 1x, binary output."""

from collections import OrderedDict
from typing import cast, no_type_check

from jaxtyping import Float
from torch import Tensor, nn

from widthwise.networks.architecture import UNITS_AT_1X, scaled_units


class MLP(nn.Module):
    """One hidden ReLU layer of `128 * width_factor` units between `inputs` features and `outputs` logits."""

    measured_layers = ("hidden",)

    def __init__(self, inputs: int, outputs: int, width_factor: float = 1.0):
        super().__init__()
        units = scaled_units(UNITS_AT_1X["mlp"]["hidden"], width_factor)
        self.hidden = nn.Sequential(OrderedDict(linear=nn.Linear(inputs, units), relu=nn.ReLU()))
        self.output = nn.Linear(units, outputs)

    @property
    def linear(self) -> nn.Linear:
        """The dense layer before the nonlinearity."""
        return cast(nn.Linear, self.hidden.linear)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, inputs: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        return self.output(self.hidden(inputs))
