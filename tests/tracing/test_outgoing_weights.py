"""The weights that read a unit are found wherever it goes, and missing where they cannot be."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import profile


class Reader(nn.Module):
    """Eight units at four positions, read by a weight in some way."""

    def __init__(self, read: Callable[[Tensor, Tensor], Tensor], *shape: int):
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Linear(5, 8)
        self.weight = nn.Parameter(torch.randn(shape))
        self.read = read

    def forward(self, value: Tensor) -> Tensor:
        return self.read(F.relu(self.one(value)), self.weight).flatten(1)


def shuffled(value: Tensor, weight: Tensor) -> Tensor:
    """Grouped, after the channels are shuffled."""
    mixed = value.mT.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)
    return F.conv1d(mixed, weight, groups=2)


def of_shuffled(weight: Tensor) -> Tensor:
    read = torch.stack([weight[: len(weight) // 2], weight[len(weight) // 2 :]])  # by group: outputs, inputs, kernel
    return read.square().sum((1, 3)).flatten().view(4, 2).mT.flatten()


@pytest.mark.parametrize(
    ("read", "shape", "squares"),
    [
        (lambda x, w: F.linear(x, w), (3, 8), lambda w: w.square().sum(0)),
        (lambda x, w: x @ w, (8, 3), lambda w: w.square().sum(1)),
        (lambda x, w: w @ x.mT, (3, 8), lambda w: w.square().sum(0)),
        (lambda x, w: F.linear(x.flatten(1), w), (3, 32), lambda w: w.square().sum(0).view(4, 8).sum(0)),
        (lambda x, w: F.linear(x.mT.flatten(1), w), (3, 32), lambda w: w.square().sum(0).view(8, 4).sum(1)),
        (lambda x, w: F.linear(x.roll(3, 2), w), (3, 8), lambda w: w.square().sum(0).roll(-3)),
        (lambda x, w: F.linear(x.chunk(2, -1)[1], w), (3, 4), lambda w: F.pad(w.square().sum(0), (4, 0))),
        (lambda x, w: F.conv1d(x.mT, w), (3, 8, 2), lambda w: w.square().sum((0, 2))),
        (lambda x, w: F.conv_transpose1d(x.mT, w), (8, 3, 2), lambda w: w.square().sum((1, 2))),
        (shuffled, (6, 4, 2), of_shuffled),
        (
            lambda x, w: F.linear(x.unflatten(2, (2, 4)).transpose(1, 2).transpose(1, 2).flatten(2), w),
            *((3, 8), lambda w: w.square().sum(0)),
        ),
        (lambda x, w: torch.einsum("btu,ou->bto", x, w), (3, 8), None),
        (lambda x, w: F.linear(x, w) + torch.einsum("btu,ou->bto", x, w), (3, 8), None),
        (lambda x, w: F.linear(x.cumsum(2), w), (3, 8), None),
    ],
)
def test_the_weights_that_read_a_unit(
    read: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...], squares: Callable[[Tensor], Tensor] | None
):
    model = Reader(read, *shape)
    found = profile(model, [torch.randn(9, 4, 5)], layers="relu").units["outgoing_norm"]
    if squares is None:
        assert found.isna().all()
    else:
        assert found.tolist() == pytest.approx(squares(model.weight.detach()).sqrt().tolist(), rel=1e-5)
