"""Figures as files."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import vl_convert

from widthwise.reporting.paths import FileFormat
from widthwise.reporting.theme import INK, styled
from widthwise.spawning import main_hidden

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


@contextmanager
def drawing_process() -> Iterator[ProcessPoolExecutor]:
    """A process to draw in: Vega does not let other threads of its own process work."""
    with main_hidden(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
