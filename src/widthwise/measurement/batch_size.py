"""The number of examples to run at a time."""

import torch

from widthwise.tracing.network import Network

MEMORY = 1 << 30
"""Bytes that the values of a batch may take on a CPU; on a GPU it is a third of the free memory."""
LARGEST_VALUE = 24 << 20
"""In bytes. Larger CPU blocks return to the OS between batches and are slow to reallocate."""
LARGEST_BATCH = 1024
VALUES_HELD = 2
"""A run holds its own values, and an ablation of it about as many more."""


def fitting_batch_size(network: Network, memory: int | None = None) -> int:
    """Number of examples that can be run at a time in `memory` bytes and, on a CPU, without slow large blocks."""
    if memory is None:
        on_gpu = network.device.type == "cuda"
        memory = torch.cuda.mem_get_info(network.device)[0] // 3 if on_gpu else MEMORY
    size = min(LARGEST_BATCH, memory / max(1, VALUES_HELD * network.bytes_per_example))
    if network.device.type == "cpu":
        size = min(size, LARGEST_VALUE / max(1, network.largest_value))
    return max(1, int(size))
