"""Parts of every page: templates, the code that draws its charts, and how values are written."""

import functools
import math
from decimal import ROUND_HALF_UP, Context
from typing import Any

import altair
import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from widthwise.wording import probability, with_minus

LIKE_A_BROWSER = Context(prec=4, rounding=ROUND_HALF_UP)
"""How a browser rounds; Python rounds a 5 that nothing follows to the even digit."""


def template(name: str) -> Template:
    """The template of a page; all values put into it are shown as text."""
    environment = Environment(
        loader=PackageLoader("widthwise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "minus": with_minus, "probability": probability}
    return environment.get_template(name)


@functools.cache
def drawing_code() -> str:
    """Vega-Lite's own code, which draws the charts, as one script without imports."""
    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)


def number(value: Any) -> str:
    """A table's cell as text, as `shown` in table.js writes it: whole numbers and large ones with commas, others with
    four significant digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None or value is pd.NA else str(value)
    if math.isnan(value):
        return "–"
    if isinstance(value, float):
        value = LIKE_A_BROWSER.create_decimal_from_float(value) if abs(value) < 1000 else _rounded(value)
    return with_minus(f"{value:,}" if isinstance(value, int) else f"{float(value):.4g}")


def signed(value: float) -> str:
    """A change, with its sign."""
    if pd.isna(value):
        return "–"
    digits = 3 if abs(value) < 1 else 1
    rounded = round(value, digits)
    return with_minus(f"{value:+.{digits}f}") if rounded else f"{abs(rounded):.{digits}f}"


def _rounded(value: float) -> int:
    """The nearest whole number; of two that are as near, the one farther from 0."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
