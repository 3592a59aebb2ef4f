"""How the two measures are taken."""

from dataclasses import dataclass
from typing import Literal

Granularity = Literal["application", "channel"]
MOST_LEVELS = 256
"""So many that the number of levels which a unit survives is exact in a byte, and in numbers of 16 bits."""


@dataclass(frozen=True)
class Measurement:
    """Settings of `profile`; the defaults are the paper's.

    levels: how many equally spaced shares of dropped units, from 0 to 1, an ablation curve has.
    samplings: how many independent draws of dropped units, and of activations, a mean is taken over.
    granularity: what is dropped. `application`: of each image, every unit at every position by itself, afresh for
        each image. `channel`: whole units, the same for every image.
    similarity_threshold: units with at least this |r| are similar.
    activations: at most this many activation vectors of a layer enter its correlations, drawn afresh for each sampling;
        None for all of them, which gives the exact value.
    """

    levels: int = 7
    samplings: int = 3
    granularity: Granularity = "application"
    similarity_threshold: float = 0.5
    activations: int | None = 50_000

    def __post_init__(self):
        if self.levels < 2:
            raise ValueError(f"levels must be at least 2, got {self.levels}")
        if self.levels > MOST_LEVELS:
            raise ValueError(f"levels must be at most {MOST_LEVELS}, got {self.levels}")
        if self.samplings < 1:
            raise ValueError(f"samplings must be at least 1, got {self.samplings}")
        if self.granularity not in ("application", "channel"):
            raise ValueError(f"granularity must be 'application' or 'channel', got {self.granularity!r}")
        if not 0 < self.similarity_threshold <= 1:
            raise ValueError(f"similarity_threshold must be in (0, 1], got {self.similarity_threshold}")
        if self.activations is not None and self.activations < 2:
            raise ValueError(f"activations must be at least 2, got {self.activations}")
