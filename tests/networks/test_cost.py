"""What networks cost, against counts by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.cost import cost_of, network_cost
from widthwise.networks.inception_v3 import InceptionV3Description
from widthwise.networks.mlp import MLPDescription
from widthwise.networks.resnet18 import ResNet18Description
from widthwise.networks.resnet56 import ResNet56Description


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


def counted(network: nn.Module, inputs: torch.Tensor) -> tuple[int, int]:
    """What PyTorch's own counter says of a prediction, and of a step of training, for one example."""
    network.eval()
    with FlopCounterMode(display=False) as forward:
        network(inputs)
    network.train()
    with FlopCounterMode(display=False) as training:
        outputs = network(inputs)
        sum(output.sum() for output in (outputs if isinstance(outputs, tuple) else (outputs,))).backward()
    return forward.get_total_flops() // len(inputs), training.get_total_flops() // len(inputs)


@pytest.mark.parametrize("factor", [0.25, 1.0])
@pytest.mark.parametrize(
    ("description", "shape"),
    [
        (MLPDescription(), (10,)),
        (MLPDescription(hidden_layers=3), (100,)),
        (AlexNetDescription(dropout=0.5), (3, 32, 32)),
        (ResNet56Description(), (3, 32, 32)),
        (ResNet56Description(shortcut="zero_padding"), (3, 32, 32)),
        (ResNet18Description(), (3, 64, 64)),
        (InceptionV3Description(), (3, 299, 299)),
        (InceptionV3Description(scaled="mixed_5d"), (3, 299, 299)),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "x".join(map(str, value)),
)
def test_floating_point_operations_are_those_that_pytorch_counts(description, shape: tuple[int, ...], factor: float):
    description = description.model_copy(update={"width_factor": factor})
    cost = network_cost(description, shape, 10)
    with torch.device("meta"):
        network, inputs = description.build(shape, 10), torch.empty(2, *shape)
    assert (cost.forward_flops, cost.training_flops) == counted(network, inputs)


class Attention(nn.Module):
    """Embeddings of tokens, one head of attention over them, and two labels."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 8)
        self.attend = nn.MultiheadAttention(8, 1, batch_first=True)
        self.output = nn.Linear(8, 2)

    def forward(self, tokens):
        value = self.embed(tokens)
        value, _ = self.attend(value, value, value, need_weights=False)
        return {"logits": self.output(value.mean(1))}


def test_any_network_is_counted_by_hand():
    """6 tokens of 8 numbers: three projections and one after them, queries by keys, shares by values."""
    network = Attention()
    cost = cost_of(network, torch.randint(5, (4, 6)))
    projections, products, output = 4 * 2 * 6 * 8 * 8, 2 * 2 * 6 * 6 * 8, 2 * 8 * 2
    assert cost.forward_flops == projections + products + output
    assert cost.training_flops == 3 * cost.forward_flops
    assert cost.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert cost.kept_bytes > 0
    assert cost_of(network, {"tokens": torch.randint(5, (4, 6))}) == cost


def test_counting_leaves_a_network_as_it_is():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), nn.Dropout()).eval()
    before, state = torch.get_rng_state(), copy.deepcopy(network.state_dict())
    cost = cost_of(network, torch.ones(4, 3))
    assert cost.forward_flops == 2 * 3 * 2
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.training
