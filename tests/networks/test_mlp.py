"""The MLP has 128 hidden ReLU units at 1x (Appendix A.1)."""

import pytest
import torch

from widthwise.errors import RequestError
from widthwise.experiments.sweep import validated
from widthwise.networks.architecture import MLPArchitecture, scaled_units
from widthwise.networks.build import build
from widthwise.networks.mlp import MLP


@pytest.mark.parametrize(("width_factor", "units"), [(0.25, 32), (0.5, 64), (1, 128), (2, 256), (4, 512)])
def test_the_width_factor_multiplies_the_hidden_units(width_factor: float, units: int):
    network = build(MLPArchitecture(width_factor=width_factor), (10,), 2)
    assert isinstance(network, MLP)
    assert network.linear.out_features == units
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == 10 * units + units + units * 2 + 2


def test_it_computes_one_hidden_rectified_layer():
    network = MLP(3, 2)
    inputs = torch.randn(5, 3)
    hidden = (inputs @ network.linear.weight.T + network.linear.bias).clamp_min(0)
    expected = hidden @ network.output.weight.T + network.output.bias
    torch.testing.assert_close(network(inputs), expected)


def test_scaled_units_round_half_up():
    assert [scaled_units(units, 0.5) for units in (1, 3, 4, 5)] == [1, 2, 2, 3]


def test_a_width_factor_that_leaves_no_unit_is_refused():
    with pytest.raises(
        RequestError, match=r"leaves a layer of 128 units at 1x without units; it must be at least 0\.00"
    ):
        validated(MLPArchitecture, {"width_factor": 0.003}, "test")
