"""Which network, and how wide."""

import math
from typing import Literal

from pydantic import PositiveFloat

from widthwise.errors import RequestError
from widthwise.section import Section


class Architecture(Section):
    """A network of the paper (Table 1) at a width factor, the number that multiplies every layer's units."""

    name: Literal["mlp"] = "mlp"
    width_factor: PositiveFloat = 1.0


Construction = Literal["small", "both", "removable", "repeated", "dead"]
"""A network of Section 2.3, built from a trained small one with hidden activity u and output weights w. small: that
network itself. both: [u, u] with [w, 0]. removable: [u, v] with [w, 0], v uncorrelated. repeated: [u, u] with
[w/2 + η, w/2 - η]. dead: [u, 0] with [w, 0]."""


def scaled_units(units: int, width_factor: float) -> int:
    """The number of units that a layer of `units` at 1x has at `width_factor`, rounded half up.

    Raises:
        RequestError: the layer would be left without units.
    """
    scaled = math.floor(units * width_factor + 0.5)
    if scaled < 1:
        raise RequestError(
            f"width factor {width_factor:g} leaves a layer of {units} units at 1x without units; "
            f"it must be at least {0.5 / units:g}"
        )
    return scaled
