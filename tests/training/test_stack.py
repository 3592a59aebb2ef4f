"""The stacked step, against automatic differentiation of each network by itself."""

from functools import partial
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from widthwise.data.source import TeacherData
from widthwise.data.teacher import teacher_data
from widthwise.networks.build import build_initialized
from widthwise.networks.description import Activation
from widthwise.networks.mlp import MLP, MLPDescription
from widthwise.networks.scheme import Initialization
from widthwise.training.recipe import Recipe
from widthwise.training.stack import Stack
from widthwise.training.stacked_loop import train_stack

INPUTS = torch.randn(4, 12, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 3, (4, 12), generator=torch.Generator().manual_seed(1))


class Scaled(nn.Module):
    """Looks like every other of its kind, but for a number that no parameter holds."""

    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale
        self.layer = nn.Linear(6, 3)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.scale * self.layer(value)


class Peculiar(nn.Module):
    """Sums and products that resemble a bias and a dense layer, and are none."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 3, bias=False)
        self.offset = nn.Parameter(torch.randn(3))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.one(value)) + torch.relu(self.one(value)).mean(0)
        product = hidden @ self.two.weight.T
        return torch.add(self.offset, product, alpha=2) + product.relu() + torch.relu(product) * product


@pytest.mark.parametrize(
    "build",
    [
        Peculiar,
        lambda: nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 3)),
        lambda: nn.Sequential(nn.Linear(6, 7, bias=False), nn.GELU(), nn.LayerNorm(7), nn.Linear(7, 3)),
        lambda: nn.Sequential(nn.Unflatten(-1, (1, 6)), nn.Conv1d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3)),
        *(partial(MLP, 6, 3, 0.125, 3, activation) for activation in get_args(Activation)),
    ],
    ids=["peculiar", "deep", "normalized", "convolutional", *get_args(Activation)],
)
def test_gradients_are_those_of_each_network_by_itself(build):
    torch.manual_seed(2)
    networks = [build() for _ in range(4)]
    gradients, evaluation = Stack(networks).gradients(INPUTS, LABELS)
    for member, network in enumerate(networks):
        logits = network(INPUTS[member])
        loss = functional.cross_entropy(logits, LABELS[member])
        expected = torch.autograd.grad(loss, list(network.parameters()))
        for gradient, reference in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient[member], reference, rtol=1e-4, atol=1e-6)
        assert evaluation.loss[member].item() == pytest.approx(12 * loss.item(), rel=1e-5)
        assert evaluation.correct[member] == (logits.argmax(-1) == LABELS[member]).sum()


def test_networks_that_differ_in_a_number_alone_are_kept_apart():
    losses = [Stack([Scaled(scale)] * 4).evaluate(INPUTS, LABELS).loss for scale in (1.0, 100.0)]
    assert not torch.allclose(*losses)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_deep_perceptrons_train_to_exactly_what_they_train_to_alone(activation: Activation):
    architecture = MLPDescription(width_factor=0.25, hidden_layers=3, activation=activation)
    source = TeacherData(train_examples=96, validation_examples=32, random_label_share=0.2)
    recipe = Recipe(learning_rate=0.1, batch_size=32, epochs=3)
    datasets = [teacher_data(source.model_copy(update={"seed": seed})) for seed in range(3)]
    networks = [
        build_initialized(architecture, Initialization(scheme="he_normal"), (10,), 2, seed) for seed in range(3)
    ]
    for seed, result in enumerate(train_stack(networks, datasets, [0, 1, 2], recipe)):
        (alone,) = train_stack([networks[seed]], [datasets[seed]], [seed], recipe)
        assert result.history["train_loss"] == alone.history["train_loss"]
        for name, initial in networks[seed].named_parameters():
            assert torch.equal(result.parameters[name], alone.parameters[name]), name
            assert not torch.equal(result.parameters[name], initial), name
