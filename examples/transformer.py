"""A small transformer encoder, as a network of one's own for `widthwise`."""

import torch
from torch import Tensor, nn

HEAD = 8
"""Numbers of each head."""


class Block(nn.Module):
    """Attention and a feed-forward part, each added to its normalized input."""

    def __init__(self, features: int, heads: int, units: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.attention = nn.MultiheadAttention(features, heads, batch_first=True)
        self.hidden = nn.Sequential(nn.Linear(features, units), nn.ReLU())
        self.output = nn.Linear(units, features)

    def forward(self, value: Tensor) -> Tensor:
        normalized = self.norm1(value)
        value = value + self.attention(normalized, normalized, normalized, need_weights=False)[0]
        return value + self.output(self.hidden(self.norm2(value)))


class Transformer(nn.Module):
    """Embedded tokens and positions, blocks, and logits from the value at the marker."""

    measured_layers = ("blocks.0.hidden", "blocks.1.hidden")

    def __init__(self, tokens: int, length: int, classes: int, heads: int, units: int):
        super().__init__()
        features = HEAD * heads
        self.tokens, self.positions = nn.Embedding(tokens, features), nn.Embedding(length, features)
        self.blocks = nn.Sequential(*(Block(features, heads, units) for _ in range(2)))
        self.norm = nn.LayerNorm(features)
        self.output = nn.Linear(features, classes)

    def forward(self, sequences: Tensor) -> Tensor:
        positions = torch.arange(sequences.shape[1], device=sequences.device)
        value = self.norm(self.blocks(self.tokens(sequences) + self.positions(positions)))
        return self.output(value.mean(1))


def build(width_factor: float, shape: tuple[int, ...], classes: int) -> nn.Module:
    """A transformer of 4 heads and 128 hidden units in each of two blocks, both times `width_factor`."""
    heads, units = max(1, round(4 * width_factor)), max(1, round(128 * width_factor))
    return Transformer(classes + 1, shape[0], classes, heads, units)
