"""The words that say where data sets lie: a path, `hub:OWNER/NAME`, or one of these after a data set's name and `=`."""

from collections.abc import Sequence
from pathlib import Path

from widthwise.data.source import KNOWN_AS
from widthwise.errors import RequestError
from widthwise.wording import listed

WHATEVER = ""
"""The name under which the location of whatever is needed stands."""


def locations(words: Sequence[str]) -> dict[str, str]:
    """The location of each data set that is named, and that of whatever else is needed.

    Raises:
        RequestError: a name is unknown, or stands twice.
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
    """A data set's name, empty for whatever is needed, and its location."""
    name, equals, location = word.partition("=")
    if name in KNOWN_AS and location:
        return name, location
    if equals and not Path(word).exists():
        problem = f"{word} is neither a path that exists nor a data set and its location; write {_each_by_name()}"
        raise RequestError(problem, field="data")
    return WHATEVER, word


def _each_by_name() -> str:
    return listed([f"{name}=DIR" for name in KNOWN_AS], "or")
