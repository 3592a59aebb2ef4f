"""Initial weights have the variance that the scheme's name promises, for dense and convolution weights."""

import math

import pytest
import torch
from torch import nn

from widthwise.errors import RequestError
from widthwise.experiments.sweep import validated
from widthwise.networks.alexnet import AlexNet
from widthwise.networks.initialization import fans, initialize
from widthwise.networks.mlp import MLP
from widthwise.networks.resnet56 import ResNet56Description
from widthwise.networks.scheme import Initialization

DENSE = nn.Linear(300, 500)
CONVOLUTION = nn.Conv2d(30, 60, 5)
VARIANCES = {
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}


def test_fans_count_the_positions_of_a_kernel():
    assert fans(DENSE.weight) == (300, 500)
    assert fans(CONVOLUTION.weight) == (30 * 25, 60 * 25)


@pytest.mark.parametrize("layer", [DENSE, CONVOLUTION], ids=["dense", "convolution"])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("variance", VARIANCES)
def test_variance_follows_the_fans(layer: nn.Module, distribution: str, variance: str):
    initialize(layer, Initialization(scheme=f"{variance}_{distribution}"), torch.Generator().manual_seed(0))
    expected = VARIANCES[variance](*fans(layer.weight))
    assert layer.weight.var().item() == pytest.approx(expected, rel=0.03)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.02 * math.sqrt(expected))
    assert not layer.bias.any()
    if distribution == "uniform":
        assert layer.weight.abs().max() <= math.sqrt(3 * expected) * (1 + 1e-6)
    else:
        assert layer.weight.abs().max() > 3 * math.sqrt(expected)


@pytest.mark.parametrize("deviation", [1e-4, 1.0, 1e4])
def test_normal_has_the_given_deviation(deviation: float):
    initialize(DENSE, Initialization(scheme="normal", standard_deviation=deviation), torch.Generator().manual_seed(0))
    assert DENSE.weight.std().item() == pytest.approx(deviation, rel=0.01)


def test_truncated_normal_ends_at_two_deviations():
    scheme = Initialization(scheme="truncated_normal", standard_deviation=0.1)
    initialize(DENSE, scheme, torch.Generator().manual_seed(0))
    assert DENSE.weight.abs().max() <= 0.2
    # a normal distribution cut at ±2σ keeps 0.8796 of its deviation
    assert DENSE.weight.std().item() == pytest.approx(0.1 * 0.8796, rel=0.01)


@pytest.mark.parametrize("layer", [DENSE, CONVOLUTION], ids=["dense", "convolution"])
@pytest.mark.parametrize("variance", VARIANCES)
def test_a_truncated_form_has_the_schemes_variance_after_truncation(layer: nn.Module, variance: str):
    initialize(layer, Initialization(scheme=f"{variance}_truncated_normal"), torch.Generator().manual_seed(0))
    expected = VARIANCES[variance](*fans(layer.weight))
    assert layer.weight.var().item() == pytest.approx(expected, rel=0.02)
    # the standard deviation of a standard normal within ±2, by its integral
    kept = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))
    limit = 2 * math.sqrt(expected) / kept
    assert 0.99 * limit < layer.weight.abs().max() <= limit * (1 + 1e-6)


def drawn(network: nn.Module, **fields) -> dict[str, torch.Tensor]:
    """The initial parameters of a network, which with the same seed differ only by `fields`."""
    initialize(network, Initialization(**{"scheme": "he_normal", **fields}), torch.Generator().manual_seed(5))
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def test_by_default_weights_are_plain_draws_in_the_order_of_the_layers():
    found, stream = drawn(MLP(10, 2)), torch.Generator().manual_seed(5)
    assert torch.equal(
        found["hidden.linear.weight"], torch.empty(128, 10).normal_(0, math.sqrt(2 / 10), generator=stream)
    )
    assert torch.equal(found["output.weight"], torch.empty(2, 128).normal_(0, math.sqrt(2 / 128), generator=stream))
    assert not found["hidden.linear.bias"].any()
    assert not found["output.bias"].any()


def test_factors_multiply_the_deviation_of_the_named_layers_alone():
    plain, scaled = drawn(MLP(10, 2)), drawn(MLP(10, 2), layer_factors={"hidden": 0.1})
    torch.testing.assert_close(scaled.pop("hidden.linear.weight"), 0.1 * plain["hidden.linear.weight"])
    assert all(torch.equal(value, plain[name]) for name, value in scaled.items())


@pytest.mark.parametrize("scheme", ["glorot_uniform", "lecun_truncated_normal"])
def test_factors_are_for_every_distribution(scheme: str):
    plain, scaled = drawn(MLP(10, 2), scheme=scheme), drawn(MLP(10, 2), scheme=scheme, layer_factors={"output": 3})
    torch.testing.assert_close(scaled["output.weight"], 3 * plain["output.weight"])
    assert torch.equal(scaled["hidden.linear.weight"], plain["hidden.linear.weight"])


def test_where_two_names_fit_the_longer_one_counts():
    plain = drawn(MLP(10, 2, hidden_layers=2))
    scaled = drawn(MLP(10, 2, hidden_layers=2), layer_factors={"hidden1.linear": 0.5, "hidden1": 7, "hidden2": 3})
    torch.testing.assert_close(scaled["hidden1.linear.weight"], 0.5 * plain["hidden1.linear.weight"])
    torch.testing.assert_close(scaled["hidden2.linear.weight"], 3 * plain["hidden2.linear.weight"])


def test_biases_of_named_layers_are_constants():
    found = drawn(AlexNet(10, 0.05), biases={"conv2": 0.1, "dense1": 0.2})
    biases = {name.split(".")[0]: value for name, value in found.items() if name.endswith("bias")}
    assert list(biases) == ["conv1", "conv2", "dense1", "dense2", "output"]
    for name, value in biases.items():
        assert torch.equal(value, torch.full_like(value, {"conv2": 0.1, "dense1": 0.2}.get(name, 0.0)))
    weights = {name: value for name, value in found.items() if name.endswith("weight")}
    plain = drawn(AlexNet(10, 0.05))
    assert all(torch.equal(value, plain[name]) for name, value in weights.items())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"layer_factors": {"hiden": 0.1}}, r"^initialization.layer_factors: .* in 'hiden'; did you mean hidden\?$"),
        (
            {"layer_factors": {"hidden": 1, "x": 1}},
            r"no dense layer or convolution in 'x'; there are hidden and output$",
        ),
        ({"layer_factors": {"hid": 1}}, "in 'hid'"),
        ({"layer_factors": {"hidden.relu": 1}}, "in 'hidden.relu'"),
        (
            {"biases": {"x": 0.1}},
            r"^initialization.biases: .* with biases in 'x'; there are hidden and output$",
        ),
    ],
)
def test_a_layer_that_is_not_there_is_refused(fields: dict, said: str):
    with pytest.raises(RequestError, match=said):
        drawn(MLP(10, 2), **fields)


def test_a_layer_without_biases_is_given_none():
    network = ResNet56Description(width_factor=0.125, blocks=1).build((3, 32, 32), 10)
    with pytest.raises(RequestError, match="with biases in 'conv1'; there is linear"):
        drawn(network, biases={"conv1": 0.1})


def test_the_same_generator_gives_the_same_weights():
    drawn = []
    for _ in range(2):
        initialize(DENSE, Initialization(scheme="he_normal"), torch.Generator().manual_seed(3))
        drawn.append(DENSE.weight.clone())
    assert torch.equal(*drawn)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"scheme": "normal"}, "needs standard_deviation"),
        ({"scheme": "he_normal", "standard_deviation": 0.1}, "leave standard_deviation out"),
        ({"scheme": "xavier"}, "'glorot_normal'"),
        ({"scheme": "glorot_truncated_normal", "standard_deviation": 0.1}, "leave standard_deviation out"),
        ({"scheme": "as_built", "layer_factors": {"hidden": 2}}, "leave layer_factors out"),
        ({"scheme": "as_built", "biases": {"hidden": 2}}, "leave biases out"),
        (
            {"scheme": "he_normal", "layer_factors": {"hidden": 0}},
            "layer_factors.hidden: input should be greater than 0",
        ),
    ],
)
def test_a_scheme_that_makes_no_sense_is_refused(content: dict, said: str):
    with pytest.raises(RequestError, match=said):
        validated(Initialization, content, "test")
