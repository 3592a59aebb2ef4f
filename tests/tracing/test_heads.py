"""The heads of every kind of attention are found, and dropping one leaves the others as they were."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import layers, profile
from widthwise.measurement.settings import Measurement

WHOLE = Measurement(granularity="channel", single_units=True)


class Attention(nn.Module):
    """Self-attention with queries, keys and values from dense layers, in the way that `how` combines them."""

    def __init__(self, how: Callable[[Tensor, Tensor, Tensor], Tensor], heads: int = 4, kept: int = 4):
        super().__init__()
        torch.manual_seed(0)
        self.how, self.heads = how, heads
        self.q, self.k, self.v = nn.Linear(12, 12), nn.Linear(12, 3 * kept), nn.Linear(12, 3 * kept)
        self.out, self.head = nn.Linear(12, 12, bias=False), nn.Linear(12, 5)

    def forward(self, value: Tensor) -> Tensor:
        query, key, values = (each(value).unflatten(2, (-1, 3)) for each in (self.q, self.k, self.v))
        return self.head(self.out(self.how(query, key, values)).mean(1))


def flash(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Heads first, by PyTorch's function."""
    found = F.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (query, key, value)))
    return found.transpose(1, 2).flatten(2)


def shared(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Grouped queries: several heads share keys and values."""
    found = F.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (query, key, value)), enable_gqa=True)
    return found.transpose(1, 2).flatten(2)


def repeated(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Grouped queries, with keys and values repeated."""
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    key, value = (each[:, :, None].expand(-1, 2, 2, -1, -1).reshape(len(each), 4, -1, 3) for each in (key, value))
    return (torch.softmax(query @ key.mT, -1) @ value).transpose(1, 2).flatten(2)


def last(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Heads after the positions, as einsum has them."""
    weights = torch.einsum("bqhd,bkhd->bhqk", query, key).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights, value).flatten(2)


class Masked(torch.autograd.Function):
    """A softmax of its own, as DeBERTa's."""

    @staticmethod
    def forward(ctx, scores: Tensor, mask: Tensor) -> Tensor:
        return torch.softmax(scores.masked_fill(mask, -1e9), -1).masked_fill(mask, 0)


def together(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Heads counted together with the examples, and a softmax in a function of its own."""
    count, length, heads, width = query.shape
    query, key, value = (each.transpose(1, 2).reshape(-1, length, width) for each in (query, key, value))
    mask = torch.zeros(length, length, dtype=torch.bool)
    mixed = torch.bmm(Masked.apply(torch.bmm(query, key.mT), mask), value)
    return mixed.view(count, heads, length, width).transpose(1, 2).reshape(count, length, -1)


class Builtin(nn.Module):
    def __init__(self, weights: bool, first: bool):
        super().__init__()
        torch.manual_seed(0)
        self.attention = nn.MultiheadAttention(12, 4, batch_first=first)
        self.weights, self.first = weights, first
        self.head = nn.Linear(12, 5)

    def forward(self, value: Tensor) -> Tensor:
        value = value if self.first else value.transpose(0, 1)
        found = self.attention(value, value, value, need_weights=self.weights)[0]
        return self.head(found.mean(1 if self.first else 0))


def weights_after(model: nn.Module) -> nn.Linear:
    return model.out if isinstance(model, Attention) else model.attention.out_proj  # type: ignore[return-value]


@pytest.mark.parametrize(
    "model",
    [
        *(Attention(how) for how in (flash, last, together)),
        *(Attention(how, kept=2) for how in (shared, repeated)),
        *(Builtin(weights, first) for weights in (True, False) for first in (True, False)),
    ],
    ids=lambda model: model.how.__name__ if isinstance(model, Attention) else f"builtin-{model.weights}-{model.first}",
)
@pytest.mark.parametrize("replay", [True, False])
def test_heads_are_found_and_dropped_one_by_one(model: nn.Module, replay: bool):
    inputs = torch.randn(40, 6, 12)
    model.eval()
    with torch.no_grad():
        nn.init.normal_(weights_after(model).weight, 0, 2)
        intact = model(inputs).argmax(-1)
        expected = []
        for head in range(4):
            kept = weights_after(model).weight.clone()
            weights_after(model).weight[:, 3 * head : 3 * head + 3] = 0
            expected.append((model(inputs).argmax(-1) == intact).float().mean().item())
            weights_after(model).weight.copy_(kept)
    found = profile(model, [inputs], layers="*heads", attention_heads=True, settings=WHOLE, replay=replay)
    assert found.about["replayed"] == replay, found.about["reason"]
    assert found.layers["units"].tolist() == [4]
    assert found.units["unchanged_alone"].tolist() == pytest.approx(expected)
    assert min(expected) < 1


def test_an_attention_whose_heads_cannot_be_told_is_listed():
    def mixed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        value = value.flatten(2).cumsum(2).unflatten(2, (4, 3))
        return flash(query, key, value)

    model = Attention(mixed)
    table = layers(nn.Sequential(model, nn.ReLU(), nn.Linear(5, 3)), torch.randn(5, 6, 12), attention_heads=True)
    assert table[["layer", "measured"]].to_numpy().tolist() == [["0.heads", False], ["1", True]]
    assert table["note"][0].startswith("units not known")
    found = layers(
        nn.Sequential(model, nn.ReLU(), nn.Linear(5, 3)),
        torch.randn(5, 6, 12),
        attention_heads=True,
        units={"0.heads": 1},
    )
    assert found["units"].tolist() == [4, 5]
