"""The memory that correlations take, and the layers whose correlations are gathered in one pass."""

from collections.abc import Sequence
from pathlib import Path

import torch

from widthwise.measurement.correlation import products_bytes
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layer import Layer

SHARE_OF_FREE = 0.5
"""Of a device's free memory, that the products of all layers may take together."""
UNKNOWN_MEMORY = 4 << 30
"""The bytes that they may take where the free memory cannot be known."""


def memory_needed(layers: Sequence[Layer], settings: Measurement, vectors: Sequence[int | None]) -> list[int]:
    """The bytes that each layer's correlations take while they are gathered.

    Args:
        layers: the layers.
        settings: the options of the measurement.
        vectors: for each layer, the number of its activation vectors; None: not known, as many as can be.
    """
    needed = []
    for layer, count in zip(layers, vectors, strict=True):
        sampled = settings.activations is not None and (count is None or count > settings.activations)
        needed.append(products_bytes(layer.units) * (settings.samplings if sampled else 1))
    return needed


def free_memory(device: torch.device) -> int:
    """The bytes that products may take on a device, by what is free there now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * SHARE_OF_FREE)
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux
        return UNKNOWN_MEMORY
    return int(kilobytes * 1024 * SHARE_OF_FREE)


def passes_of_layers(
    layers: Sequence[Layer], needed: Sequence[int], devices: Sequence[torch.device], budget: int | None
) -> list[list[Layer]]:
    """The layers whose correlations are gathered in each pass, so that on each device they fit.

    Args:
        layers: the layers.
        needed: the bytes that each takes.
        devices: the device of each.
        budget: the bytes that they may take together; None: half of what is free on each device.
    """
    budgets = {device: free_memory(device) if budget is None else budget for device in devices}
    passes: list[list[Layer]] = [[]]
    taken: dict[torch.device, int] = {}
    for layer, bytes_needed, device in zip(layers, needed, devices, strict=True):
        if passes[-1] and taken.get(device, 0) + bytes_needed > budgets[device]:
            passes.append([])
            taken = {}
        passes[-1].append(layer)
        taken[device] = taken.get(device, 0) + bytes_needed
    return passes
