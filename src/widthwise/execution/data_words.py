"""The locations of data sets as a user writes them: a path or `hub:OWNER/NAME`, alone or after `NAME=`."""

from collections.abc import Sequence
from pathlib import Path

from widthwise.data.source import KNOWN_AS
from widthwise.errors import RequestError
from widthwise.wording import listed

WHATEVER = ""
"""The key of the location for any data set that is needed and has not been named."""


def locations(words: Sequence[str]) -> dict[str, str]:
    """The location of each data set that is named, and the one for any other that is needed.

    Raises:
        RequestError: a name is unknown, or occurs twice.
    """
    found: dict[str, str] = {}
    for name, location in map(_named, words):
        if name in found:
            both = f"{found[name]} and {location}"
            raise RequestError(
                f"{KNOWN_AS[name]} is named twice, {both}; name it once"
                if name
                else f"{both} are given without the data set that each is; write {_each_by_name()}",
                field="data",
            )
        found[name] = location
    return found


def _named(word: str) -> tuple[str, str]:
    """The name of a data set, empty for any that is needed, and its location."""
    name, equals, location = word.partition("=")
    if name in KNOWN_AS and location:
        return name, location
    if equals and not Path(word).exists():
        problem = f"{word} is neither a path that exists nor a data set and its location; write {_each_by_name()}"
        raise RequestError(problem, field="data")
    return WHATEVER, word


def _each_by_name() -> str:
    return listed([f"{name}=DIR" for name in KNOWN_AS], "or")
