"""Initial weights have the variance that the scheme's name promises, for dense and convolution weights."""

import math

import pytest
import torch
from torch import nn

from widthwise.errors import RequestError
from widthwise.experiments.sweep import validated
from widthwise.networks.initialization import fans, initialize
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
    ],
)
def test_a_scheme_that_makes_no_sense_is_refused(content: dict, said: str):
    with pytest.raises(RequestError, match=said):
        validated(Initialization, content, "test")
