"""What holds for every network that is convolved: its widths, its layers, that it learns and can be measured."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import widthwise as ww
from widthwise.measurement.settings import Measurement
from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.build import build_initialized
from widthwise.networks.inception_v3 import InceptionV3Description
from widthwise.networks.resnet18 import ResNet18Description
from widthwise.networks.resnet56 import ResNet56Description
from widthwise.networks.scheme import Initialization

SHAPES = {"alexnet": (3, 32, 32), "resnet56": (3, 32, 32), "resnet18": (3, 224, 224), "inception-v3": (3, 299, 299)}
UNITS: dict[str, dict[str, int]] = {
    "alexnet": {"conv1": 96, "conv2": 256, "dense1": 384, "dense2": 192},
    "resnet56": {"stem": 16, "layer1": 16, "layer2": 32, "layer3": 64},
    "resnet18": {"stem": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512},
    "inception-v3": {
        **{"Conv2d_1a_3x3": 32, "Conv2d_2a_3x3": 32, "Conv2d_2b_3x3": 64, "Conv2d_3b_1x1": 80, "Conv2d_4a_3x3": 192},
        **{"Mixed_5b": 256, "Mixed_5c": 288, "Mixed_5d": 288, "Mixed_6a": 768, "Mixed_6b": 768, "Mixed_6c": 768},
        **{"Mixed_6d": 768, "Mixed_6e": 768, "Mixed_7a": 1280, "Mixed_7b": 2048, "Mixed_7c": 2048},
    },
}
"""Published units of the measured layers at 1x."""
KINDS: dict[str, Any] = {
    "alexnet": AlexNetDescription,
    "resnet56": ResNet56Description,
    "resnet18": ResNet18Description,
    "inception-v3": InceptionV3Description,
}
INITIALIZATION = Initialization(scheme="he_normal")


def measured_values(network: nn.Module, images: torch.Tensor) -> dict[str, torch.Size]:
    """The shape of each measured layer's value, as the network runs."""
    shapes: dict[str, torch.Size] = {}
    for name in network.measured_layers:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda _, inputs, value, name=name: shapes.update({name: value.shape}))
    network.eval()
    network(images)
    return shapes


@pytest.mark.parametrize("width_factor", [0.25, 0.5, 1, 2, 4])
@pytest.mark.parametrize("name", KINDS)
def test_the_width_factor_multiplies_every_measured_layer(name: str, width_factor: float):
    with torch.device("meta"):
        network = KINDS[name](width_factor=width_factor).build(SHAPES[name], 10)
        shapes = measured_values(network, torch.empty(2, *SHAPES[name]))
    assert {layer: shape[1] for layer, shape in shapes.items()} == {
        layer: units * width_factor for layer, units in UNITS[name].items()
    }


@pytest.mark.parametrize("name", KINDS)
def test_it_gives_a_number_for_each_label(name: str):
    with torch.device("meta"):
        network = KINDS[name](width_factor=0.25).build(SHAPES[name], 7).eval()
        assert network(torch.empty(5, *SHAPES[name])).shape == (5, 7)


@pytest.mark.parametrize("width_factor", [0.04, 0.3, 1.1])
@pytest.mark.parametrize("name", KINDS)
def test_widths_that_divide_nothing_fit_together(name: str, width_factor: float):
    with torch.device("meta"):
        network = KINDS[name](width_factor=width_factor).build(SHAPES[name], 7).eval()
        assert network(torch.empty(2, *SHAPES[name])).shape == (2, 7)


@pytest.mark.parametrize(
    "architecture",
    [
        AlexNetDescription(width_factor=0.25, dropout=0.5),
        ResNet56Description(width_factor=0.25),
        ResNet56Description(width_factor=0.25, shortcut="zero_padding"),
        ResNet18Description(width_factor=0.25),
        ResNet18Description(width_factor=0.25, shortcut="zero_padding"),
        InceptionV3Description(width_factor=0.25),
        InceptionV3Description(width_factor=0.25, scaled="mixed_5d"),
    ],
    ids=lambda architecture: "-".join(map(str, architecture.model_dump().values())),
)
def test_a_training_step_lowers_the_loss(architecture):
    shape = (3, 64, 64) if architecture.name == "resnet18" else SHAPES[architecture.name]
    network = build_initialized(architecture, INITIALIZATION, shape, 10, seed=0)
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(4)

    def loss() -> torch.Tensor:
        torch.manual_seed(0)  # the same units are dropped each time
        answer = network(images)
        logits, *auxiliary = answer if isinstance(answer, tuple) else (answer,)
        return functional.cross_entropy(logits, labels) + sum(
            0.4 * functional.cross_entropy(each, labels) for each in auxiliary
        )

    steps = torch.optim.SGD(network.parameters(), 0.001)
    before = loss()
    before.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    steps.step()
    assert loss() < before


@pytest.mark.parametrize("name", KINDS)
def test_a_profile_measures_the_declared_layers(name: str):
    network = build_initialized(KINDS[name](width_factor=1 / 16), INITIALIZATION, SHAPES[name], 10, seed=0)
    size = {"alexnet": 32, "resnet56": 32, "resnet18": 64, "inception-v3": 75}[name]
    images = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1))
    replay = name != "inception-v3"  # whose many operations would each be checked for shapes, for half a minute
    profile = ww.profile(network, [images], settings=Measurement(levels=2, samplings=1), replay=replay)
    assert dict(zip(profile.layers["layer"], profile.layers["units"], strict=True)) == {
        layer: units // 16 for layer, units in UNITS[name].items()
    }
    assert ("Only what follows a layer was run again." in str(profile)) == replay


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_is_drawn_and_batch_norm_begins_as_identity(name: str):
    truncated = Initialization(scheme="truncated_normal", standard_deviation=0.1)
    network = build_initialized(KINDS[name](width_factor=0.25), truncated, SHAPES[name], 10, seed=0)
    products = 0
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            products += 1
            assert module.weight.abs().max() <= 0.2
            # a normal distribution cut at ±2σ keeps 0.8796 of its deviation; 4.5 standard errors either way
            assert module.weight.std().item() == pytest.approx(0.08796, rel=4.5 / (2 * module.weight.numel()) ** 0.5)
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()
    assert products == {"alexnet": 5, "resnet56": 59, "resnet18": 21, "inception-v3": 98}[name]
