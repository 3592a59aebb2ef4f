"""What networks cost, against counts by hand."""

import torch

from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.cost import network_cost
from widthwise.networks.inception_v3 import InceptionV3Description
from widthwise.networks.mlp import MLPDescription
from widthwise.networks.resnet18 import ResNet18Description


def test_a_perceptron_by_hand():
    """10 inputs, 64 hidden units, 2 labels."""
    cost = network_cost(MLPDescription(width_factor=0.5), (10,), 2)
    assert cost.parameters == 64 * 10 + 64 + 2 * 64 + 2
    assert cost.activations == 64 + 64 + 2
    assert cost.forward_flops == 2 * (10 * 64 + 64 * 2)
    gradients_of_weights, gradient_of_hidden = 2 * (10 * 64 + 64 * 2), 2 * 64 * 2
    assert cost.training_flops == cost.forward_flops + gradients_of_weights + gradient_of_hidden
    assert cost.kept_bytes == 4 * (10 + 64), "the inputs, and the hidden activity once for ReLU and for what follows"


def test_alexnet_by_hand():
    cost = network_cost(AlexNetDescription(), (3, 32, 32), 10)
    weights = {"conv1": 96 * 3 * 25, "conv2": 256 * 96 * 25, "dense1": 384 * 8 * 8 * 256, "dense2": 192 * 384}
    weights["output"] = 10 * 192
    assert cost.parameters == sum(weights.values()) + 96 + 256 + 384 + 192 + 10
    pixels = {"conv1": 32 * 32, "conv2": 16 * 16}
    flops = {layer: 2 * count * pixels.get(layer, 1) for layer, count in weights.items()}
    assert cost.forward_flops == sum(flops.values())
    assert cost.training_flops == 3 * cost.forward_flops - flops["conv1"], "images need no gradient"
    convolved, pooled, normalized = 96 * 1024 + 256 * 256, 96 * 256 + 256 * 64, 96 * 256 + 256 * 64
    dense = 384 + 192
    assert cost.activations == 2 * convolved + pooled + normalized + 2 * dense + dense + 10


def test_kept_are_more_bytes_than_the_rectified_values_and_fewer_than_twice_all_values():
    for architecture, size in (
        (AlexNetDescription(), 32),
        (ResNet18Description(width_factor=0.25), 64),
        (InceptionV3Description(width_factor=0.25), 299),
    ):
        cost = network_cost(architecture, (3, size, size), 10)
        assert 0.5 * 4 * cost.activations < cost.kept_bytes < 2 * 4 * cost.activations


def test_training_costs_about_three_times_predicting():
    for architecture, shape in ((ResNet18Description(), (3, 224, 224)), (InceptionV3Description(), (3, 299, 299))):
        cost = network_cost(architecture, shape, 1000)
        assert 2.8 < cost.training_flops / cost.forward_flops < 3.1


def test_published_counts_of_resnet18():
    """1.8 billion multiplications and additions (He et al. 2015, Table 1), and 11.69 million parameters."""
    cost = network_cost(ResNet18Description(), (3, 224, 224), 1000)
    assert round(cost.forward_flops / 2e9, 1) == 1.8
    assert cost.parameters == 11_689_512


def test_counting_computes_nothing():
    before = torch.get_rng_state()
    network_cost(AlexNetDescription(width_factor=0.05), (3, 32, 32), 7)
    assert torch.equal(torch.get_rng_state(), before)
