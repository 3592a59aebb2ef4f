"""Figures as files."""

from typing import Any

import vl_convert

from widthwise.reporting.paths import FileFormat
from widthwise.reporting.theme import INK, styled

SCALE = 2.0


def render(specification: dict[str, Any], file_format: FileFormat) -> bytes:
    """A Vega-Lite specification as the content of a file, on white."""
    drawn = styled(specification, INK)
    match file_format:
        case "png":
            return vl_convert.vegalite_to_png(drawn, scale=SCALE)
        case "svg":
            return vl_convert.vegalite_to_svg(drawn).encode()
        case "pdf":
            return vl_convert.vegalite_to_pdf(drawn)
