"""Which network, and how wide."""

import math
from typing import Literal

from pydantic import PositiveFloat, model_validator

from widthwise.section import Section

UNITS_AT_1X = {"mlp": {"hidden": 128}}
"""The units of each network's layers at width factor 1 (Appendix A.1)."""


class Architecture(Section):
    """A network of the paper (Table 1) at a width factor, the number that multiplies every layer's units."""

    name: Literal["mlp"] = "mlp"
    width_factor: PositiveFloat = 1.0

    @model_validator(mode="after")
    def _every_layer_has_units(self):
        for units in UNITS_AT_1X[self.name].values():
            scaled_units(units, self.width_factor)
        return self


Construction = Literal["small", "both", "removable", "repeated", "dead"]
"""A network of Section 2.3, built from a trained small one with hidden activity u and output weights w. small: that
network itself. both: [u, u] with [w, 0]. removable: [u, v] with [w, 0], v uncorrelated. repeated: [u, u] with
[w/2 + η, w/2 - η]. dead: [u, 0] with [w, 0]."""


def scaled_units(units: int, width_factor: float) -> int:
    """The number of units that a layer of `units` at 1x has at `width_factor`, rounded half up.

    Raises:
        ValueError: the layer would be left without units.
    """
    scaled = math.floor(units * width_factor + 0.5)
    if scaled < 1:
        raise ValueError(
            f"width factor {width_factor:g} leaves a layer of {units} units at 1x without units; "
            f"it must be at least {0.5 / units:g}"
        )
    return scaled
