"""Sequences of tokens, as data of one's own for `widthwise`: which token follows the marker?"""

import torch
from torch import Tensor

MARKER = 0


def load(seed: int, examples: int = 5000, length: int = 8, tokens: int = 8) -> tuple[Tensor, Tensor]:
    """Sequences and their labels.

    Every sequence has random tokens from 1 to `tokens` - 1, and the marker once, not at the end. The label is the token
    after the marker, counted from 0.
    """
    stream = torch.Generator().manual_seed(seed)
    sequences = torch.randint(1, tokens, (examples, length), generator=stream)
    positions = torch.randint(length - 1, (examples,), generator=stream)
    rows = torch.arange(examples)
    labels = sequences[rows, positions + 1] - 1
    sequences[rows, positions] = MARKER
    return sequences, labels
