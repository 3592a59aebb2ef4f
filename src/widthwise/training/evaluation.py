"""How well a network does on a split."""

import torch
from torch import nn

from widthwise.data.dataset import Split

IMAGE_BATCH = 250
"""So many images are predicted at once."""


@torch.no_grad()
def evaluate(network: nn.Module, split: Split, batch_size: int, limit: int | None = None) -> tuple[float, float]:
    """Accuracy and mean cross-entropy over a split, or over `limit` of its examples at even distances."""
    network.eval()
    device = next(network.parameters()).device
    batches = [(network(inputs.to(device)), labels.to(device)) for inputs, labels in split.batches(batch_size, limit)]
    logits, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    loss = nn.functional.cross_entropy(logits, labels).item()
    return (logits.argmax(-1) == labels).double().mean().item(), loss
