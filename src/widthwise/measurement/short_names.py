"""Layers' names shortened so that each fits and all still differ."""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

Path = tuple[str, ...]
"""The parts of a layer's name: the modules in which it lies, and its own."""
NUMBER = "0"


def short_names(names: Sequence[str], room: int) -> list[str]:
    """Names in at most `room` characters, in the same order; names that differ still do.

    As far as needed, the modules that a layer lies in are abbreviated, from the outermost on and alike for all that
    differ only in numbers, to the shortest beginnings that no neighbour shares; numbers are kept. Of a name that is too
    long even so the end is kept and, if another has the same one, followed by its position in `names`.

    Args:
        names: layers' names, which differ: paths whose parts are separated by dots.
        room: at least 1 and enough for a position in brackets; if it is not, names may be longer.
    """
    paths = [tuple(name.split(".")) for name in names]
    beginnings = _beginnings(paths)
    abbreviated: set[Path] = set()
    for path in paths:
        for depth in range(1, len(path)):
            if len(_written(path, abbreviated, beginnings)) <= room:
                break
            abbreviated.add(_kind(path[:depth]))
    return _cut([_written(path, abbreviated, beginnings) for path in paths], room)


def _kind(path: Path) -> Path:
    """The same for modules that differ only in their numbers."""
    return tuple(NUMBER if part.isdigit() else part for part in path)


def _beginnings(paths: Sequence[Path]) -> dict[Path, str]:
    """For each kind of module the shortest beginning of its name that no neighbour's has; else the whole name."""
    neighbours: dict[Path, set[str]] = {}
    for path in paths:
        for depth, part in enumerate(path):
            neighbours.setdefault(_kind(path[:depth]), set()).add(part)
    shortest = {}
    for module, parts in neighbours.items():
        ordered = ["", *sorted(parts), ""]
        for before, part, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
            shared = max(_shared(part, before), _shared(part, after))
            shortest[(*module, part)] = part[: shared + 1]
    return shortest


def _shared(one: str, other: str) -> int:
    """The number of characters with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _written(path: Path, abbreviated: set[Path], beginnings: dict[Path, str]) -> str:
    """A path with its modules of some kinds abbreviated; never its numbers or its last part."""
    kinds = [_kind(path[: depth + 1]) for depth in range(len(path))]
    parts = [
        beginnings[kind] if kind in abbreviated and not part.isdigit() else part
        for part, kind in zip(path[:-1], kinds, strict=False)
    ]
    return ".".join([*parts, path[-1]])


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
