"""The look of every figure: legible on paper, on light and dark screens, and for colour-blind readers."""

from typing import Any

INK = "#1f2328"
"""The ink of figures in files; in the page they use the page's own."""
PAGE_INK = "currentColor"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"

SERIES_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F"]
"""Okabe and Ito's palette without black and yellow, in an order in which neighbours differ clearly."""
SERIES_SHAPES = [
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
]
"""Each series also has its own shape, so that series never differ only by colour."""

_WIDTH_COLOURS = ["#7E57C2", "#3F7FBF", "#1E9E89", "#8A9A1F", "#D9822B", "#C8412F", "#8E244D"]


def width_colours(count: int) -> list[str]:
    """Colours from the narrowest width to the widest, each legible on white and on near-black."""
    last = len(_WIDTH_COLOURS) - 1
    if count > len(_WIDTH_COLOURS):
        return [_WIDTH_COLOURS[index % len(_WIDTH_COLOURS)] for index in range(count)]
    return [_WIDTH_COLOURS[round(index * last / max(count - 1, 1))] for index in range(count)]


def depth_colours(count: int) -> list[str]:
    """Colours from the first layer to the last, between those of the widths."""
    last = len(_WIDTH_COLOURS) - 1
    colours = []
    for layer in range(count):
        whole, share = divmod(layer * last / max(count - 1, 1), 1)
        colours.append(_between(_WIDTH_COLOURS[int(whole)], _WIDTH_COLOURS[min(int(whole) + 1, last)], share))
    return colours


def _between(one: str, other: str, share: float) -> str:
    """A colour between `one` and `other`."""
    pairs = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(first + (last - first) * share):02X}" for first, last in pairs)


def styled(specification: dict[str, Any], ink: str) -> dict[str, Any]:
    """A Vega-Lite specification with this package's look, drawn in `ink`."""
    text = {"labelColor": ink, "titleColor": ink, "labelFont": FONT, "titleFont": FONT}
    config = {
        "background": "white" if ink == INK else None,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **text,
            "domainColor": ink,
            "domainOpacity": 0.5,
            "tickColor": ink,
            "tickOpacity": 0.5,
            "gridColor": ink,
            "gridOpacity": 0.12,
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "legend": {
            **text,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "symbolStrokeWidth": 1.5,
        },
        "title": {"color": ink, "font": FONT, "fontSize": 13, "fontWeight": 600, "anchor": "start"},
        "rule": {"color": ink},
        "concat": {"spacing": 28},
    }
    return {**specification, "config": config}
