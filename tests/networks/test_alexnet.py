"""AlexNet is what the paper describes (Appendix A.1), computed here step by step."""

import numpy as np
import torch
from torch.nn import functional

from widthwise.networks.alexnet import AlexNet


def same_pooling(value: torch.Tensor) -> torch.Tensor:
    """TensorFlow's SAME max-pooling of an even size: what is missing is added after the last pixel."""
    return functional.max_pool2d(functional.pad(value, (0, 1, 0, 1), value=-torch.inf), 3, 2)


def normalized(value: torch.Tensor) -> torch.Tensor:
    """Local response normalization of radius 2, alpha 2e-5, beta 0.75 and bias 1, unit by unit."""
    given = value.double().numpy()
    found = np.empty_like(given)
    for unit in range(given.shape[1]):
        near = given[:, max(unit - 2, 0) : unit + 3]
        found[:, unit] = given[:, unit] / (1 + 2e-5 * (near**2).sum(1)) ** 0.75
    return torch.from_numpy(found).float()


def test_parameters_are_what_arithmetic_says():
    # Appendix A.1: two 5×5 convolutions, two poolings that halve 32 to 8, dense 384 and 192, ten outputs, all biased
    first, second = 3 * 25 * 96 + 96, 96 * 25 * 256 + 256
    dense = 8 * 8 * 256 * 384 + 384 + 384 * 192 + 192 + 192 * 10 + 10
    assert first + second + dense == 6_989_642
    assert sum(parameter.numel() for parameter in AlexNet(10).parameters()) == 6_989_642


@torch.no_grad()
def test_it_computes_what_the_paper_describes():
    torch.manual_seed(0)
    network = AlexNet(10, width_factor=0.25).eval()
    images = 30 * torch.randn(3, 3, 32, 32)  # large enough that the normalization matters
    weights = network.state_dict()

    def convolved(value: torch.Tensor, layer: str) -> torch.Tensor:
        weight, bias = weights[f"{layer}.convolution.weight"], weights[f"{layer}.convolution.bias"]
        return normalized(same_pooling(functional.conv2d(value, weight, bias, padding=2).relu()))

    value = convolved(convolved(images, "conv1"), "conv2")
    assert value.shape == (3, 64, 8, 8)
    value = value.flatten(1)
    for layer in ("dense1", "dense2"):
        value = functional.linear(value, weights[f"{layer}.dense.weight"], weights[f"{layer}.dense.bias"]).relu()
    expected = functional.linear(value, weights["output.weight"], weights["output.bias"])
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_dropout_acts_on_both_dense_layers_while_training():
    network = AlexNet(10, dropout=0.5)
    for dropout in (network.dropout1, network.dropout2):
        dropped = dropout(torch.ones(10_000)) == 0
        assert 0.45 < dropped.float().mean() < 0.55
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))
    plain = AlexNet(10)
    assert torch.equal(plain(images), plain(images))
