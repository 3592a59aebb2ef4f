"""How every figure and table writes numbers: four significant digits, widths as `1/4×`.

Vega writes a real minus sign by itself.
"""

import json
from collections.abc import Sequence
from fractions import Fraction

import altair as alt
import numpy as np

MEASURED = ".4~r"
"""D3's format of what was measured: four significant digits, and no exponent."""
COUNTED = ",d"
MOST_PARTS = 9
NEARLY = 1e-6


def width_text(width: float) -> str:
    """A width factor: `4×`, `1/4×`, `5/32×`, and as a decimal where the fraction is not simple."""
    fraction = Fraction(width).limit_denominator(1024)
    simple = width < 1 and fraction.numerator <= MOST_PARTS and abs(float(fraction) - width) < NEARLY
    return f"{f'{fraction.numerator}/{fraction.denominator}' if simple else f'{width:g}'}×"


def labels(values: Sequence[float], texts: Sequence[str | list[str]]) -> str:
    """A Vega expression that writes the text of each of an axis's or legend's `values`; a list is several lines."""
    return f"{json.dumps(list(texts), ensure_ascii=False)}[indexof({json.dumps(list(values))}, datum.value)]"


def format_of(values: Sequence[float]) -> str:
    """D3's format that writes round numbers, such as an axis's, all with as many decimals as one of them needs."""
    decimals = max((len(f"{value:.12g}".partition(".")[2]) for value in values), default=0)
    return f",.{decimals}f"


def round_axis(values: Sequence[float], grid: bool = True) -> alt.Axis:
    """An axis at round `values`. Its own labels are short; the value of a mark, as a screen reader says it, is not."""
    label = f"format(datum.value, '{format_of(values)}')"
    return alt.Axis(values=list(values), format=MEASURED, labelExpr=label, grid=grid)


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """At most `most` round numbers from `low` to `high`, a step of 1, 2 or 5 times a power of ten apart."""
    least = (high - low) / (most - 1)
    power = 10.0 ** np.floor(np.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - NEARLY))
    first, last = np.ceil(low / step - NEARLY), np.floor(high / step + NEARLY)
    return [float(f"{index * step:.12g}") for index in np.arange(first, last + 1)]
