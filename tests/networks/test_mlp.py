"""The MLP has 128 hidden ReLU units at 1x (Appendix A.1), or several such layers."""

import numpy as np
import pytest
import torch

import widthwise as ww
from widthwise.errors import RequestError
from widthwise.experiments.sweep import validated
from widthwise.networks.description import scaled_units
from widthwise.networks.mlp import MLP, MLPDescription


@pytest.mark.parametrize(("width_factor", "units"), [(0.25, 32), (0.5, 64), (1, 128), (2, 256), (4, 512)])
def test_the_width_factor_multiplies_the_hidden_units(width_factor: float, units: int):
    network = MLPDescription(width_factor=width_factor).build((10,), 2)
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


def test_several_hidden_layers_are_one_after_the_other():
    network = MLPDescription(width_factor=0.125, hidden_layers=3, activation="tanh").build((5,), 2)
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    inputs = torch.randn(7, 5)
    value = inputs.double().numpy()
    for layer in ("hidden1.linear", "hidden2.linear", "hidden3.linear"):
        value = np.tanh(value @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
        assert value.shape == (7, 16)
    expected = value @ weights["output.weight"].T + weights["output.bias"]
    assert len(weights) == 8
    np.testing.assert_allclose(network(inputs).detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("hidden_layers", "names"), [(1, ["hidden"]), (3, ["hidden1", "hidden2", "hidden3"])])
def test_every_hidden_layer_is_measured(hidden_layers: int, names: list[str]):
    network = MLP(5, 2, 0.0625, hidden_layers, "tanh")
    profile = ww.profile(network, [torch.randn(20, 5)])
    assert profile.layers["layer"].tolist() == names
    assert profile.layers["units"].tolist() == [8] * hidden_layers


def test_scaled_units_round_half_up():
    assert [scaled_units(units, 0.5) for units in (1, 3, 4, 5)] == [1, 2, 2, 3]


def test_a_width_factor_that_leaves_no_unit_is_refused():
    with pytest.raises(
        RequestError, match=r"leaves a layer of 128 units at 1x without units; it must be at least 0\.00"
    ):
        validated(MLPDescription, {"width_factor": 0.003}, "test")
