"""Figures as files."""

import multiprocessing
import re
import textwrap
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from html import escape
from typing import Any

import vl_convert

from widthwise.reporting.look import DEFAULT_LOOK, Look, Theme
from widthwise.reporting.paths import FileFormat
from widthwise.reporting.theme import DARK_INK, DARK_PAPER, FONT, INK, PAPER, styled
from widthwise.spawning import main_hidden

SCALE = 2.0
"""Of a PNG whose width nobody chose."""
GROUNDS: dict[Theme, tuple[str, str]] = {"light": (INK, PAPER), "dark": (DARK_INK, DARK_PAPER)}
SIZE = re.compile(r'<svg[^>]*? width="(\d+(?:\.\d+)?)" height="(\d+(?:\.\d+)?)"')
FONT_SIZE, LINE_HEIGHT, CHARACTER = 11.5, 16, 6.6
"""Of captions, in pixels."""
MARGIN = 6
NARROWEST_CAPTION = 480


def render(specification: dict[str, Any], file_format: FileFormat, look: Look = DEFAULT_LOOK) -> bytes:
    """A Vega-Lite specification as the content of a file.

    Its heading and caption, under `usermeta`, are drawn below it where the look has a caption.
    """
    ink, paper = GROUNDS[look.theme]
    picture = vl_convert.vegalite_to_svg(styled(specification, ink, paper))
    about = specification.get("usermeta", {})
    texts = (about["heading"], about["caption"]) if about and look.caption == "below" else None
    svg = framed(picture, texts, look, ink, paper)
    match file_format:
        case "png":
            return vl_convert.svg_to_png(svg, scale=SCALE if look.width is None else 1)
        case "svg":
            return svg.encode()
        case "pdf":
            return vl_convert.svg_to_pdf(svg)


@contextmanager
def drawing_process() -> Iterator[ProcessPoolExecutor]:
    """A process to draw in: Vega does not let other threads of its own process work."""
    with main_hidden(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def framed(picture: str, texts: tuple[str, str] | None, look: Look, ink: str, paper: str) -> str:
    """An SVG picture with a heading and a caption below it, as wide as the look says."""
    found = SIZE.match(picture)
    assert found is not None, "Vega writes the size first"
    width, height = float(found[1]), float(found[2])
    below = ""
    if texts is not None:
        width = max(width, NARROWEST_CAPTION)
        room = int((width - 2 * MARGIN) / CHARACTER)
        heading, lines = (wrapped(text, room) for text in texts)
        drawn = []
        for line in (*heading, *lines):
            weight = ' font-weight="600"' if len(drawn) < len(heading) else ""
            drawn.append(
                f'<text x="{MARGIN}" y="{height + LINE_HEIGHT * (len(drawn) + 1)}"{weight}>{escape(line)}</text>'
            )
        below = f'<g font-family="{escape(FONT)}" font-size="{FONT_SIZE}px" fill="{ink}">{"".join(drawn)}</g>'
        height += LINE_HEIGHT * len(drawn) + 2 * MARGIN
    shown = look.width or width
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{shown:g}" '
        f'height="{height * shown / width:g}" viewBox="0 0 {width:g} {height:g}">'
        f'<rect width="100%" height="100%" fill="{paper}"/>{picture}{below}</svg>'
    )


def wrapped(text: str, room: int) -> list[str]:
    """`text` in lines of at most `room` characters, except for longer words."""
    words = " ".join(text.split()).replace("n = ", "n\u00a0=\u00a0")
    return textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]
