"""Layers' names shortened so that each fits and all still differ."""

from collections import Counter
from collections.abc import Sequence
from os.path import commonprefix

Node = tuple[str, ...]
"""The first parts of a path: the module in which a layer lies."""


def short_names(names: Sequence[str], room: int) -> list[str]:
    """Names in at most `room` characters, in the same order; names that differ still do.

    As far as needed, the modules that a layer lies in are abbreviated, from the outermost on and for all of their
    layers alike, to the shortest beginnings that no neighbour shares; numbers are kept. Of a name that is too long
    even so the end is kept and, if another has the same one, followed by its position in `names`.

    Args:
        names: layers' names, which differ: paths whose parts are separated by dots.
        room: at least 1 and enough for a position in brackets; if it is not, names may be longer.
    """
    paths = [tuple(name.split(".")) for name in names]
    abbreviations = _abbreviations(paths)
    abbreviated: set[Node] = set()
    for path in paths:
        for depth in range(1, len(path)):
            if len(_written(path, abbreviated, abbreviations)) <= room:
                break
            abbreviated.add(path[:depth])
    written = [_written(path, abbreviated, abbreviations) for path in paths]
    return _cut(written, room)


def _abbreviations(paths: Sequence[Node]) -> dict[Node, str]:
    """The shortest beginning of each part that no other part in the same module shares; else the whole part."""
    neighbours: dict[Node, set[str]] = {}
    for path in paths:
        for depth, part in enumerate(path):
            neighbours.setdefault(path[:depth], set()).add(part)
    shortest = {}
    for module, parts in neighbours.items():
        ordered = ["", *sorted(parts), ""]
        for before, part, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
            shared = max(len(commonprefix([part, before])), len(commonprefix([part, after])))
            shortest[*module, part] = part if part.isdigit() else part[: shared + 1]
    return shortest


def _written(path: Node, abbreviated: set[Node], abbreviations: dict[Node, str]) -> str:
    """A path with some of its modules abbreviated; never its last part."""
    nodes = [path[: depth + 1] for depth in range(len(path))]
    return ".".join(abbreviations[node] if node in abbreviated and node != path else node[-1] for node in nodes)


def _cut(names: list[str], room: int) -> list[str]:
    """The names that fit as they are, and the ends of the others."""
    cut = [name if len(name) <= room else _end(name, room) for name in names]
    counts = Counter(cut)
    for index, name in enumerate(names):
        if len(name) > room and counts[cut[index]] > 1:
            position = f" ({index + 1})"
            cut[index] = _end(name, room - len(position)) + position
    return cut


def _end(name: str, room: int) -> str:
    return f"…{name[len(name) - max(room, 2) + 1 :]}"
