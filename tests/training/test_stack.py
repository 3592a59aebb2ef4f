"""The stacked step, against automatic differentiation of each network by itself."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from widthwise.training.stack import Stack

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
    ],
    ids=["peculiar", "deep", "normalized", "convolutional"],
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
