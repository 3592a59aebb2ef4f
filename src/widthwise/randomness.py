"""Independent random streams: every use of random numbers draws from its own, named stream of a seed."""

import zlib

import numpy as np
import torch


def seed_sequence(seed: int, *names: str | int) -> np.random.SeedSequence:
    """The seed sequence of one named stream: other names, or another seed, give an independent stream."""
    words = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.SeedSequence([seed, *words])


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A PyTorch generator on the CPU for one named stream of `seed`."""
    state = int(seed_sequence(seed, *names).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state & (2**63 - 1))
