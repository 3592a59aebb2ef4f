"""The options of the two measures."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from widthwise.errors import RequestError

Granularity = Literal["application", "channel"]
Replacement = Literal["zero", "mean"]
Protocol = Literal["text", "figures"]
MOST_LEVELS = 256
"""At most this many, so that the number of levels that a unit survives is exact in a byte and in 16-bit floats."""


@dataclass(frozen=True)
class Measurement:
    """All options of a measurement; the defaults are the paper's.

    levels: the number of equally spaced shares of dropped units, from 0 to 1, in an ablation curve.
    samplings: the number of independent draws of dropped units, and of activations, that a mean is taken over.
    granularity: the things to drop. `application`: every unit at every position by itself, drawn anew for each example.
        `channel`: whole units, the same for every example.
    threshold: units with at least this |r| are similar.
    activations: the largest number of activation vectors used for a layer's correlations, drawn anew for each sampling;
        None: all of them, which gives the exact value. Of a layer whose tokens a router chooses, all are used.
    sample: the number of positions of each example, drawn anew for each layer and example, whose activity enters
        correlations; None: all of them. Ablations, and the statistics of units, always use all positions.
    replacement: the activity of a dropped unit: `zero`, as in the paper, or the unit's `mean`.
    thresholds: further values of |r| for which similarity is reported.
    single_units: also drop every unit alone, and with the unit that it resembles most, to find out why it is removable.
    tolerance: the share of labels that may change while a unit counts as removable.
    protocols: how removability is measured. `text`: each layer by itself, as `granularity` says, and the area by the
        trapezoid rule. `figures`: whole channels, in all layers together and in each by itself, and the plain mean of
        the levels, as in the paper's figures.
    prunability_threshold: prunability is the share of dropped units at which unchanged labels fall below this.
    precision: ablations of a layer stop when its AUC's standard error, over examples and draws together, is this small;
        None: every ablation is run for every example, as it is in any case in a network with a router of tokens.

    Raises:
        RequestError: a value is out of its range.
    """

    levels: int = 7
    samplings: int = 3
    granularity: Granularity = "application"
    threshold: float = 0.5
    activations: int | None = 50_000
    replacement: Replacement = "zero"
    thresholds: tuple[float, ...] = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
    single_units: bool = False
    tolerance: float = 0.0
    protocols: tuple[Protocol, ...] = field(default=("text",), metadata={"since": 3})
    prunability_threshold: float = field(default=0.8, metadata={"since": 3})
    precision: float | None = field(default=None, metadata={"since": 3})
    sample: int | None = field(default=None, metadata={"since": 3})

    def __post_init__(self) -> None:
        if not isinstance(self.thresholds, Iterable) or isinstance(self.thresholds, str):
            raise RequestError(
                f"must be several numbers, such as (0.5, 0.9), got {self.thresholds!r}", field="thresholds"
            )
        if isinstance(self.protocols, str):
            object.__setattr__(self, "protocols", (self.protocols,))
        rules = {
            "levels": (_whole(self.levels, 2, MOST_LEVELS), f"a whole number from 2 to {MOST_LEVELS}"),
            "samplings": (_whole(self.samplings, 1), "a whole number of at least 1"),
            "granularity": (self.granularity in ("application", "channel"), "'application' or 'channel'"),
            "threshold": (_correlation(self.threshold), "in (0, 1]"),
            "activations": (
                self.activations is None or _whole(self.activations, 2),
                "a whole number of at least 2, or None for all",
            ),
            "replacement": (self.replacement in ("zero", "mean"), "'zero' or 'mean'"),
            "thresholds": (all(map(_correlation, self.thresholds)), "in (0, 1]"),
            "single_units": (isinstance(self.single_units, bool), "true or false"),
            "tolerance": (isinstance(self.tolerance, (int, float)) and 0 <= self.tolerance < 1, "in [0, 1)"),
            "protocols": (_protocols(self.protocols), "'text', 'figures' or both"),
            "prunability_threshold": (_correlation(self.prunability_threshold), "in (0, 1]"),
            "sample": (self.sample is None or _whole(self.sample, 1), "a whole number of at least 1, or None for all"),
            "precision": (self.precision is None or _correlation(self.precision), "in (0, 1], or None for all"),
        }
        for name, (fits, right) in rules.items():
            if not fits:
                raise RequestError(f"must be {right}, got {getattr(self, name)!r}", field=name)
        object.__setattr__(self, "protocols", tuple(self.protocols))
        object.__setattr__(self, "thresholds", tuple(sorted({*map(float, self.thresholds)})))  # one form for equal sets

    @property
    def reported_thresholds(self) -> tuple[float, ...]:
        """`thresholds` and `threshold`, from the smallest to the largest."""
        return tuple(sorted({*self.thresholds, float(self.threshold)}))


def _protocols(value: object) -> bool:
    if not isinstance(value, Iterable):
        return False
    names = list(value)
    return bool(names) and len({*names}) == len(names) and {*names} <= {*get_args(Protocol)}


def _whole(value: object, least: int, most: int = sys.maxsize) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _correlation(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1


PAPER_SETTINGS = Measurement()
