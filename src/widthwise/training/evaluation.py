"""Accuracy and loss of a network over a split."""

import torch
from torch import nn

from widthwise.data.dataset import Split
from widthwise.data.examples import of_each
from widthwise.networks.own_network import called, logits_of

SINGLE_BATCH = 250
"""Number of examples that a network by itself predicts at once."""


@torch.no_grad()
def evaluate(network: nn.Module, split: Split, batch_size: int, limit: int | None = None) -> tuple[float, float]:
    """Accuracy and mean cross-entropy over a split, or over `limit` evenly spaced examples of it."""
    network.eval()
    device = next(network.parameters()).device
    batches = [
        (logits_of(called(network, of_each(inputs, lambda part: part.to(device)))), labels.to(device))
        for inputs, labels in split.batches(batch_size, limit)
    ]
    logits, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    loss = nn.functional.cross_entropy(logits, labels).item()
    return (logits.argmax(-1) == labels).double().mean().item(), loss
