"""How figures look as files: their caption, width and colours."""

from dataclasses import dataclass
from typing import Literal

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

    Raises:
        RequestError: a value is none of these.
    """

    caption: CaptionPosition = "below"
    width: int | None = None
    theme: Theme = "light"

    def __post_init__(self):
        for field, known in {"caption": CAPTIONS, "theme": THEMES}.items():
            if getattr(self, field) not in known:
                raise RequestError(
                    f"there is no {field} {getattr(self, field)!r}; there are {listed(known)}", field=field
                )
        if self.width is not None and not NARROWEST <= self.width <= WIDEST:
            raise RequestError(
                f"a figure is {NARROWEST} to {WIDEST:,} pixels wide, and not {self.width:,}", field="width"
            )


DEFAULT_LOOK = Look()
