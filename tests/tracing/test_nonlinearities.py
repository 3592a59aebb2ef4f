"""What counts as a nonlinearity: anything that is elementwise and not linear, by what it does."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import layers, profile


class Between(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Linear(5, 8), nn.Linear(8, 3)
        self.function = function

    def forward(self, value: Tensor) -> Tensor:
        return self.two(self.function(self.one(value)))


def found(function: Callable[[Tensor], Tensor]) -> list[str]:
    """The layers but for one that is always there."""
    model = nn.Sequential(Between(function), nn.ReLU(), nn.Linear(3, 2))
    table = layers(model, torch.randn(7, 5))
    assert table["layer"].tolist()[-1] == "1"
    return [name.removeprefix("0.") for name in table["layer"]][:-1]


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        return torch.special.i0(value)


def written(value: Tensor) -> Tensor:
    value = value.clone()
    value[value < 0] = 0
    return value


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.sin, "sin"),
        (torch.cos, "cos"),
        (torch.exp, "exp"),
        (torch.abs, "abs"),
        (torch.square, "square"),
        (torch.sign, "sign"),
        (lambda x: x**2, "pow"),
        (lambda x: 2**x, "rpow"),
        (lambda x: x.abs().sqrt(), "sqrt"),
        (lambda x: torch.maximum(x, torch.zeros(())), "maximum"),
        (lambda x: torch.max(x, 0.2 * x), "max"),
        (lambda x: torch.where(x > 0, x, 0.0), "where"),
        (lambda x: x.masked_fill(x < 0, 0.0), "masked_fill"),
        (lambda x: x * (x > 0), "mul"),
        (lambda x: (x > 0).float(), "float"),
        (lambda x: torch.softmax(x, -1), "softmax"),
        (lambda x: F.log_softmax(x, -1), "log_softmax"),
        (lambda x: torch.special.erfcx(x), "special_erfcx"),
        (lambda x: torch.special.bessel_j0(x), "special_bessel_j0"),
        (lambda x: torch.xlogy(x.sigmoid(), x.sigmoid()), "xlogy"),
        (torch.nan_to_num, None),
        (lambda x: Own.apply(x), "special_i0"),  # type: ignore[return-value]
        (written, "setitem"),
        (lambda x: F.relu(x, inplace=True), "relu"),
        (lambda x: x.relu_(), "relu"),
    ],
)
def test_what_is_elementwise_and_not_linear_is_a_layer(function: Callable[[Tensor], Tensor], name: str | None):
    assert found(function) == ([] if name is None else [name])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 2 * x + 1,
        lambda x: x - x.mean(-1, keepdim=True),
        lambda x: x.pow(1),
        lambda x: torch.lerp(x, torch.ones(8), 0.3),
        lambda x: x * torch.arange(8.0).sin(),
        lambda x: torch.where(torch.arange(8) > 3, x, 0.0),
        lambda x: x.masked_fill(torch.arange(8) > 3, 0.0),
        lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5),
        lambda x: x / x.norm(dim=-1, keepdim=True).clamp_min(1e-5),
        lambda x: (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-5),
        lambda x: F.layer_norm(x, (8,)),
        lambda x: torch.cumsum(x, -1),
        lambda x: torch.fft.fft(x).real,
        lambda x: torch.addcmul(x, torch.ones(8), x, value=0.5),
    ],
)
def test_what_is_linear_or_a_norm_is_none(function: Callable[[Tensor], Tensor]):
    assert found(function) == []


class Rotary(nn.Module):
    """Tables of sines and a mask, from positions and from the inputs; neither is a layer."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, value: Tensor, mask: Tensor) -> Tensor:
        angles = torch.arange(value.shape[1]).float()[:, None] * torch.ones(3)
        sine, cosine = angles.sin().repeat(1, 2), angles.cos().repeat(1, 2)

        def turned(x: Tensor) -> Tensor:
            one, two = x.chunk(2, -1)
            return x * cosine + torch.cat([-two, one], -1) * sine

        scores = turned(self.q(value)) @ turned(self.k(value)).mT + (1.0 - mask.float())[:, None] * -1e9
        mixed = torch.softmax(scores, -1) @ self.v(value)
        return self.out(torch.tanh(mixed) * mask[..., None]).mean(1)


def test_tables_masks_and_attentions_softmax_are_none():
    mask = torch.ones(4, 5)
    mask[0, 3:] = 0
    table = layers(Rotary(), ((torch.randn(4, 5, 6), mask),))
    assert table["layer"].tolist() == ["tanh"]
    assert table["follows"].tolist() == ["v"]


def test_a_nonlinearity_that_follows_nothing_is_said_to_be_left_out():
    model = nn.Sequential(nn.Tanh(), nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    measured = profile(model, [torch.randn(9, 5)])
    assert measured.layers["layer"].tolist() == ["2"]
    assert measured.about["left_out"] == [
        {"name": "0", "kind": "Tanh", "reason": "follows no dense layer or convolution"}
    ]


def test_a_recurrent_networks_output_has_units():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells, self.head = nn.GRU(4, 6, batch_first=True), nn.Linear(6, 3)

        def forward(self, value: Tensor) -> Tensor:
            return self.head(torch.relu(self.cells(value)[0][:, -1]))

    (row,) = layers(Recurrent(), torch.randn(4, 7, 4)).to_dict("records")
    assert (row["layer"], row["units"], row["follows"]) == ("relu", 6, "cells")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_of_numbers_does_not_matter(dtype: Any):
    model = Between(lambda x: torch.special.erfcx(x.float()).to(dtype)).to(dtype)
    assert layers(model, torch.randn(7, 5, dtype=dtype))["layer"].tolist() == ["special_erfcx"]
