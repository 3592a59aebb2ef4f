"""How figures look as files: their caption, width and colours."""

from dataclasses import dataclass
from typing import Literal, cast

from widthwise.errors import RequestError
from widthwise.wording import listed

CaptionPosition = Literal["none", "below"]
Theme = Literal["light", "dark"]
CAPTIONS: tuple[CaptionPosition, ...] = ("none", "below")
THEMES: tuple[Theme, ...] = ("light", "dark")
NARROWEST, WIDEST = 100, 10_000


@dataclass(frozen=True)
class Look:
    """How figures look as files.

    caption: `below` the picture, or `none`.
    width: the width of each file, in pixels; None: as large as its panels need, and twice that in a PNG.
    theme: `light` for white paper, `dark` for dark ground.
    """

    caption: CaptionPosition = "below"
    width: int | None = None
    theme: Theme = "light"


DEFAULT_LOOK = Look()


def look_of(caption: str, width: int | None, theme: str) -> Look:
    """The look with these values.

    Raises:
        RequestError: a value is none that there is.
    """
    if caption not in CAPTIONS:
        raise RequestError(f"there is no caption {caption!r}; there are {listed(CAPTIONS)}", field="caption")
    if theme not in THEMES:
        raise RequestError(f"there is no theme {theme!r}; there are {listed(THEMES)}", field="theme")
    if width is not None and not NARROWEST <= width <= WIDEST:
        raise RequestError(f"a figure is {NARROWEST} to {WIDEST:,} pixels wide, and not {width:,}", field="width")
    return Look(cast(CaptionPosition, caption), width, cast(Theme, theme))
