"""The look of every figure: legible on paper, on light and dark screens, and for colour-blind readers."""

from typing import Any

INK = "#1f2328"
PAPER = "#ffffff"
DARK_INK = "#e6e9ed"
DARK_PAPER = "#0f1216"
"""Ink and paper of figures in files, as those of the page on a light and on a dark screen."""
PAGE_INK = "currentColor"
"""In the page they use the page's own."""
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

_RAMP = ["#794DB6", "#8F4DAD", "#A24FA2", "#B35194", "#C05685", "#CB5D75", "#D36665", "#D77156", "#D77E49"]
"""Ottosson's OKLab from violet to orange: ever lighter, in equal steps, also for readers who see no red or no green.
Each has a contrast of at least 3 on white and on the page's dark ground."""


def ordered_colours(count: int) -> list[str]:
    """Colours of things that have an order, such as widths and depths, from the first to the last."""
    last = len(_RAMP) - 1
    colours = []
    for index in range(count):
        whole, share = divmod(index * last / max(count - 1, 1), 1)
        colours.append(_between(_RAMP[int(whole)], _RAMP[min(int(whole) + 1, last)], share))
    return colours


def _between(one: str, other: str, share: float) -> str:
    """A colour between `one` and `other`."""
    pairs = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(first + (last - first) * share):02X}" for first, last in pairs)


def styled(specification: dict[str, Any], ink: str, paper: str | None = None) -> dict[str, Any]:
    """A Vega-Lite specification with this package's look, drawn in `ink` on `paper`; None: on what is behind it."""
    text = {"labelColor": ink, "titleColor": ink, "labelFont": FONT, "titleFont": FONT}
    config = {
        "background": paper,
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
        "header": text,
        "text": {"color": ink},
        "title": {"color": ink, "font": FONT, "fontSize": 13, "fontWeight": 600, "anchor": "start", "frame": "group"},
        "rule": {"color": ink},
        "concat": {"spacing": 28},
    }
    return {**specification, "config": config}
