"""Settings that override settings, section by section."""

from collections.abc import Mapping
from typing import Any

KINDS = ("name", "kind", "scheme", "factory")
"""Fields that choose between several forms of a section."""
OWN = "own"
"""The name of a section that names a factory."""


def nested(path: str, value: Any) -> dict[str, Any]:
    """A value at its path, as sections: `a.b` and 1 give `{a: {b: 1}}`."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` overridden by the values of `above`, section by section; a section of another kind starts empty."""
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key, {})
        both = isinstance(value, Mapping) and isinstance(before, Mapping) and not _another_kind(before, value)
        merged[key] = overlaid(before, value) if both else value
    return merged


def _another_kind(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether `above` is a section of another kind than `below`, with fields of its own."""
    before, after = _kinds(below), _kinds(above)
    return any(kind in after and after[kind] != before.get(kind, after[kind]) for kind in KINDS)


def _kinds(section: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": OWN, **section} if "factory" in section else section
