"""Units of several outputs and of several layers: heads, halves that gate each other, weights with inputs first."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import widthwise as ww
from tests.compression.test_compress import compress, drawn, outputs, seeded
from widthwise.networks.kernels.local_response_norm import LocalResponseNorm

WIDTH, SIZE = 12, 3
"""Features of a token, and of a head."""
TOKENS = [drawn(number, 40, 5, WIDTH) for number in range(4)]


class Attention(nn.Module):
    """A network of one attention.

    heads: of the queries; shared: how many of them share a key and a value.
    """

    def __init__(self, heads: int = 4, shared: int = 1):
        super().__init__()
        self.heads, self.shared = heads, shared
        self.query, self.output = nn.Linear(WIDTH, heads * SIZE), nn.Linear(heads * SIZE, WIDTH)
        self.key, self.value = (nn.Linear(WIDTH, heads // shared * SIZE) for _ in range(2))
        self.last = nn.Linear(WIDTH, 4)

    def forward(self, tokens):
        query, key, value = (
            each(tokens).view(*tokens.shape[:2], -1, SIZE).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        attended = self.attend(self.turned(query), self.turned(key), value)
        return self.last(torch.tanh(tokens + self.output(attended.transpose(1, 2).flatten(2)))).mean(1)

    def turned(self, value):
        """As rotary positions are added: the halves of a head are mixed."""
        first, rest = value[..., :1], value[..., 1:]
        positions = torch.arange(value.shape[2])[:, None]
        return value * positions.cos() + torch.cat([-rest, first], -1) * positions.sin()

    def attend(self, query, key, value):
        return functional.scaled_dot_product_attention(query, key, value, enable_gqa=self.shared > 1)


class WrittenOut(Attention):
    """The same with products and a softmax."""

    def attend(self, query, key, value):
        key, value = (each.repeat_interleave(self.shared, 1) for each in (key, value))
        scores = (query @ key.transpose(2, 3) / SIZE**0.5 + torch.zeros(5, 5)).softmax(-1)
        return scores @ value


class InOne(nn.Module):
    """One layer gives queries, keys and values, and the sizes are numbers of the module."""

    def __init__(self):
        super().__init__()
        self.attention: Any = nn.Module()
        self.attention.all, self.attention.output = nn.Linear(WIDTH, 36), nn.Linear(12, WIDTH)
        self.attention.heads, self.attention.split, self.attention.unused = 4, 12, 4.0
        self.last = nn.Linear(WIDTH, 4)

    def forward(self, tokens):
        part = self.attention
        query, key, value = (
            each.view(*tokens.shape[:2], part.heads, SIZE).transpose(1, 2)
            for each in part.all(tokens).split(part.split, 2)
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.last(torch.tanh(tokens + part.output(attended.transpose(1, 2).flatten(2)))).mean(1)


@pytest.mark.parametrize("kind", [Attention, WrittenOut])
def test_a_head_goes_from_its_queries_keys_and_values(kind):
    found = compress(seeded(kind()), TOKENS, keep=0.5)
    assert found.layers.loc[0, ["layer", "units", "kept", "coupled"]].tolist() == ["query", 4, 2, "key, value"]
    sizes = [getattr(found.model, name).out_features for name in ("query", "key", "value")]
    assert [*sizes, found.model.output.in_features] == [6, 6, 6, 6]


@pytest.mark.parametrize("kind", [Attention, WrittenOut])
def test_queries_that_share_a_key_go_with_it(kind):
    found = compress(seeded(kind(shared=2)), TOKENS, keep=0.5)
    assert found.layers.loc[0, ["units", "kept"]].tolist() == [2, 1]
    assert (found.model.query.out_features, found.model.key.out_features) == (6, 3)


def test_numbers_of_a_module_change_with_its_heads(tmp_path: Path):
    network = seeded(InOne())
    found = compress(network, TOKENS, keep=0.5)
    assert found.attributes == {"attention.heads": 2, "attention.split": 6}
    assert (found.model.attention.all.out_features, found.model.attention.output.in_features) == (18, 6)
    assert (network.attention.heads, network.attention.split) == (4, 12)
    found.save(tmp_path / "small")
    again = ww.load_compressed(tmp_path / "small", lambda: InOne().eval())
    torch.testing.assert_close(outputs(again, TOKENS), outputs(found.model, TOKENS))


def test_two_heads_and_a_number_that_happens_to_be_the_same():
    class Two(InOne):
        """Two heads of six features, and as many of something else, which the code does not count by."""

        def __init__(self):
            super().__init__()
            self.attention.heads, self.attention.window = 2, 12

        def forward(self, tokens):
            part = self.attention
            query, key, value = (
                each.view(*tokens.shape[:2], part.heads, 6).transpose(1, 2)
                for each in part.all(tokens).split(part.split, 2)
            )
            mask = torch.arange(5)[:, None] - torch.arange(5) < part.window
            attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            return self.last(torch.tanh(tokens + part.output(attended.transpose(1, 2).flatten(2)))).mean(1)

    found = compress(seeded(Two()), TOKENS, keep=0.5)
    assert found.attributes == {"attention.heads": 1, "attention.split": 6}
    assert found.model.attention.window == 12


def test_heads_that_are_there_twice_go_and_every_output_stays():
    network = seeded(Attention())
    with torch.no_grad():
        for layer in (network.query, network.key, network.value):
            layer.weight[6:], layer.bias[6:] = layer.weight[:6], layer.bias[:6]
    found = compress(network, TOKENS, keep=0.5)
    assert {unit % 2 for unit in found.units.loc[found.units["kept"], "unit"]} == {0, 1}
    torch.testing.assert_close(outputs(found.model, TOKENS), outputs(network, TOKENS), rtol=1e-4, atol=1e-4)


class Positioned(Attention):
    """Something is added to the scores of each head."""

    def __init__(self):
        super().__init__()
        self.positions, self.mixed = nn.Parameter(torch.zeros(4, 5, 5)), nn.Linear(WIDTH, 8)
        self.read = nn.Linear(8, WIDTH)

    def attend(self, query, key, value):
        mask = self.positions.unsqueeze(0) * 2
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def forward(self, tokens):
        return super().forward(tokens + self.read(torch.relu(self.mixed(tokens))))


def test_what_is_added_to_each_head_keeps_them():
    found = compress(seeded(Positioned()), TOKENS)
    reasons = found.left.set_index("layer")["reason"]
    assert [reasons[name] for name in ("query", "key", "value")] == [
        "something is added to the scores of each of its heads"
    ] * 3


class Halves(nn.Module):
    """A feed-forward whose gate is half of what one layer gives."""

    def __init__(self):
        super().__init__()
        self.both, self.down = nn.Linear(WIDTH, 40), nn.Linear(20, WIDTH)
        self.last = nn.Linear(WIDTH, 4)

    def forward(self, tokens):
        gate, up = self.both(tokens).chunk(2, -1)
        return self.last(tokens + self.down(functional.silu(gate) * up)).mean(1)


def test_halves_of_a_layer_that_gate_each_other_are_units_together():
    network = seeded(Halves())
    found = compress(network, TOKENS, keep=0.5)
    assert (found.model.both.out_features, found.model.down.in_features) == (20, 10)
    kept = torch.tensor(found.units.loc[found.units["kept"], "unit"].tolist())
    rows = torch.cat([kept, kept + 20])
    torch.testing.assert_close(found.model.both.weight, network.both.weight[rows])


class Product(nn.Module):
    """A dense layer as some write it: its weight has the inputs first, and its sizes are numbers of its own."""

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.inputs, self.units = inputs, units
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, units)), nn.Parameter(torch.empty(units))

    def forward(self, value):
        flat = torch.addmm(self.bias, value.view(-1, value.shape[-1]), self.weight)
        return flat.view(*value.shape[:-1], self.units)


class WithoutBias(Product):
    """The same without a bias."""

    def __init__(self, inputs: int, units: int):
        super().__init__(inputs, units)
        self.bias = None

    def forward(self, value):
        return value @ self.weight


@pytest.mark.parametrize("kind", [Product, WithoutBias])
def test_a_weight_with_its_inputs_first(kind, tmp_path: Path):
    def network() -> Any:
        return seeded(nn.Sequential(kind(WIDTH, 20), nn.Tanh(), kind(20, 16), nn.Tanh(), nn.Linear(16, 4)))

    found = compress(network(), TOKENS, keep=0.5)
    assert list(found.layers["kept"]) == [10, 8]
    assert [found.model[index].weight.shape for index in (0, 2)] == [(WIDTH, 10), (10, 8)]
    if kind is Product:
        assert found.attributes == {"0.units": 10, "2.units": 8}, "nothing else reads a number"
    found.save(tmp_path / "small")
    again = ww.load_compressed(tmp_path / "small", network)
    torch.testing.assert_close(outputs(again, TOKENS), outputs(found.model, TOKENS))
    assert found.comparison["labels_kept"] > 0.6


class Padding(nn.Module):
    """A shortcut that takes every second pixel and adds channels of zeros on both sides."""

    def forward(self, images):
        return functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, 2, 4))


class Stages(nn.Module):
    """Two stages of a ResNet, the second with six channels more and half of the pixels."""

    def __init__(self):
        super().__init__()
        self.stem, self.padding = nn.Conv2d(3, 6, 3, padding=1), Padding()
        self.first, self.second = self._branch(6, 6, 1), self._branch(6, 12, 2)
        self.third, self.output = self._branch(12, 12, 1), nn.Linear(12, 4)

    def _branch(self, given: int, channels: int, stride: int) -> nn.Module:
        layers = nn.Conv2d(given, 8, 3, stride, padding=1), nn.ReLU(), nn.Conv2d(8, channels, 3, padding=1)
        return nn.Sequential(*layers, nn.BatchNorm2d(channels))

    def forward(self, images):
        value = torch.relu(self.stem(images))
        value = torch.relu(value + self.first(value))
        value = torch.relu(self.padding(value) + self.second(value))
        value = torch.relu(value + self.third(value))
        return self.output(value.mean((2, 3)))


PIXELS = [drawn(number, 50, 3, 8, 8) for number in range(4)]


def test_a_shortcut_that_pads_joins_two_streams(tmp_path: Path):
    network = seeded(Stages())
    assert "padding" not in compress(network, PIXELS).layers["coupled"].str.cat()
    found = compress(network, PIXELS, keep=0.5, stream=True, layers=["stem", "second.2"])
    assert found.layers["layer"].tolist() == ["stem", "second.2"]
    assert (found.model.stem.out_channels, found.model.output.in_features) == (3, 6)
    assert found.comparison["labels_kept"] > 0.5
    found.save(tmp_path / "small")
    again = ww.load_compressed(tmp_path / "small", lambda: Stages().eval())
    torch.testing.assert_close(outputs(again, PIXELS), outputs(found.model, PIXELS))
    assert isinstance(network.padding, Padding)


def test_channels_that_nothing_needs_go_from_a_stream_and_every_output_stays():
    """The first two channels of the first stage are always 0, and the four that are padded and written as 0."""
    network = seeded(Stages())
    with torch.no_grad():
        network.stem.weight[:2], network.stem.bias[:2] = 0, 0
        network.first[3].weight[:2], network.first[3].bias[:2] = 0, 0
        for branch in (network.second, network.third):
            branch[3].weight[8:], branch[3].bias[8:] = 0, 0
    found = compress(network, PIXELS, keep=2 / 3, stream=True, layers=["stem", "second.2"])
    kept = found.units[found.units["kept"]].groupby("layer")["unit"].agg(list)
    assert kept["stem"] == [2, 3, 4, 5]
    assert set(kept["second.2"]) <= set(range(8))
    torch.testing.assert_close(outputs(found.model, PIXELS), outputs(network, PIXELS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [nn.LocalResponseNorm, LocalResponseNorm])
def test_units_that_are_normalized_by_those_around_them(kind):
    """Two units that are always 0 go, which changes what is around others, and the reader makes up for it."""

    def network() -> Any:
        layers = nn.Conv2d(3, 12, 3), nn.ReLU(), kind(3, alpha=3.0, k=1.0), nn.Conv2d(12, 6, 3), nn.ReLU()
        return seeded(nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, 4)))

    model = network()
    with torch.no_grad():
        model[0].weight[[3, 7]], model[0].bias[[3, 7]] = 0, 0
    found = compress(model, PIXELS, keep=10 / 12, layers="0")
    assert found.units.loc[~found.units["kept"], "unit"].tolist() == [3, 7]
    assert 0 < found.layers.loc[0, "error"] < 0.1
    half = compress(model, PIXELS, keep=0.5, layers="0")
    assert half.model[3].in_channels == 6
    assert half.comparison["labels_kept"] > 0.5
