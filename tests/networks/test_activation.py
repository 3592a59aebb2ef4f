"""Every network can have every activation function in the place of ReLU."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

import widthwise as ww
from widthwise.networks.activation import ACTIVATION_FUNCTIONS, ACTIVATION_MODULES
from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.build import build_initialized
from widthwise.networks.description import Activation
from widthwise.networks.inception_v3 import InceptionV3Description
from widthwise.networks.mlp import MLPDescription
from widthwise.networks.resnet import BasicBlock
from widthwise.networks.resnet18 import ResNet18Description
from widthwise.networks.resnet56 import ResNet56Description
from widthwise.networks.scheme import Initialization

FORMULAS: dict[Activation, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}
NETWORKS: list[tuple[Any, dict[str, Any], tuple[int, ...]]] = [
    (MLPDescription, {"hidden_layers": 2}, (10,)),
    (AlexNetDescription, {}, (3, 32, 32)),
    (ResNet56Description, {"blocks": 2}, (3, 32, 32)),
    (ResNet18Description, {"blocks": 2}, (3, 64, 64)),
    (InceptionV3Description, {}, (3, 299, 299)),
]
NAMES = ["mlp", "alexnet", "resnet56", "resnet18", "inception-v3"]


class Counted(TorchFunctionMode):
    """How often each activation function is called, by its name; a module's call is its function's."""

    def __init__(self):
        super().__init__()
        self.calls = dict.fromkeys(FORMULAS, 0)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in self.calls:
            self.calls[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("activation", get_args(Activation))
def test_a_name_means_what_the_field_means_by_it(activation: Activation):
    values = [-30.0, -2.0, -0.3, 0.0, 0.4, 1.0, 20.0]
    expected = torch.tensor([FORMULAS[activation](value) for value in values])
    torch.testing.assert_close(ACTIVATION_FUNCTIONS[activation](torch.tensor(values)), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(
        ACTIVATION_MODULES[activation]()(torch.tensor(values)), ACTIVATION_FUNCTIONS[activation](torch.tensor(values))
    )


@pytest.mark.parametrize(("architecture", "settings", "shape"), NETWORKS, ids=NAMES)
def test_it_stands_in_the_place_of_every_relu(architecture, settings, shape):
    calls = {}
    for each in ("relu", "tanh"):
        with torch.device("meta"):
            network = architecture(width_factor=0.25, activation=each, **settings).build(shape, 10)
            images = torch.empty(2, *shape)
        with Counted() as counted:
            network(images)
        calls[each] = counted.calls
    assert calls["relu"]["relu"] > 1
    assert calls["tanh"] == {**dict.fromkeys(FORMULAS, 0), "tanh": calls["relu"]["relu"]}


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize(("architecture", "settings", "shape"), NETWORKS, ids=NAMES)
def test_every_network_learns_with_it(architecture, settings, shape, activation: Activation):
    wanted = architecture(width_factor=1 / 16, activation=activation, **settings)
    network: Any = build_initialized(wanted, Initialization(scheme="he_normal"), shape, 3, seed=0)
    if wanted.name == "inception-v3":
        network.AuxLogits, shape = None, (3, 75, 75)  # without its head it takes small images
    inputs = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    loss = functional.cross_entropy(network(inputs), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@torch.no_grad()
def test_a_block_applies_it_twice():
    block = BasicBlock(3, 3, activation="gelu").eval()
    value = torch.randn(2, 3, 5, 5)
    given = value / (1 + 1e-5) ** 0.5  # batch norm as it begins
    for convolution in (block.conv1, block.conv2):
        nn.init.dirac_(convolution.weight)
    inner = functional.gelu(given) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(value), functional.gelu(inner + value))


@pytest.mark.parametrize("activation", get_args(Activation))
def test_layers_after_it_are_found(activation: Activation):
    kind = ACTIVATION_MODULES[activation]
    found = ww.layers(nn.Sequential(nn.Linear(4, 6), kind(), nn.Linear(6, 2)), torch.randn(5, 4))
    assert found["layer"].tolist() == ["1"]
    assert found["kind"].tolist() == [kind.__name__]
    assert found["units"].tolist() == [6]
    block = nn.Sequential(nn.Conv2d(3, 4, 3), BasicBlock(4, 4, activation=activation))
    inside = ww.layers(block, torch.randn(2, 3, 8, 8))
    assert inside["layer"].tolist() == [f"1.{activation}", f"1.{activation}:2"]
    assert inside["units"].tolist() == [4, 4]


@pytest.mark.parametrize(("architecture", "settings", "shape"), NETWORKS, ids=NAMES)
def test_networks_can_be_copied_and_sent_to_other_processes(architecture, settings, shape):
    network = architecture(width_factor=1 / 16, activation="tanh", **settings).build(shape, 2).eval()
    inputs = torch.randn(1, *(shape if len(shape) == 1 or shape[1] < 75 else (3, 75, 75)))
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(inputs), network(inputs))
