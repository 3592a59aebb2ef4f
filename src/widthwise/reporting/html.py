"""Parts of every page: templates, the code that draws its charts, and how values are written."""

import functools
import math
from typing import Any

import altair
import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from widthwise.reporting.numbers import with_minus
from widthwise.wording import probability


def template(name: str) -> Template:
    """The template of a page; all values put into it are shown as text."""
    environment = Environment(
        loader=PackageLoader("widthwise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "probability": probability}
    return environment.get_template(name)


@functools.cache
def drawing_code() -> str:
    """Vega-Lite's own code, which draws the charts, as one script without imports."""
    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)


def number(value: Any) -> str:
    """A table's cell as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None or value is pd.NA else str(value)
    if math.isnan(value):
        return "–"
    return with_minus(str(value) if isinstance(value, int) else f"{value:.4g}")


def signed(value: float) -> str:
    """A change, with its sign."""
    if pd.isna(value):
        return "–"
    digits = 3 if abs(value) < 1 else 1
    return with_minus(f"{value:+.{digits}f}")
