"""Reading the files of sweeps: a user's, and those of the package, each overriding the one that it extends."""

from pathlib import Path
from typing import Any

import yaml

from widthwise.errors import RequestError
from widthwise.experiments.axes import Axes, chosen
from widthwise.experiments.yaml_files import read_yaml

EXTENDS = "extends"
CHANGES = ("recipes", "scales")
"""Fields with changes to the sweep, by name."""
NOT_INHERITED = ("name", "figures", "section", "publication", "claims", "trial", "recipes", "scales", "bases")
"""Fields that stay with their file, or override the base's in layers of their own."""


def catalogue() -> dict[str, Path]:
    """The experiments that come with the package: name → YAML file."""
    return _yaml_files("catalogue")


def read_sweep(file: Path, source: str) -> dict[str, Any]:
    """The fields of a sweep from its file and from those that it extends.

    The fields of the trial in those files are under `bases`, the lowest first, so that they stay separate.

    Raises:
        RequestError: the file is no YAML mapping, or what it extends does not exist.
    """
    try:
        content = read_yaml(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise RequestError(f"{source} is not a text file in UTF-8") from None
    except yaml.YAMLError as error:
        raise RequestError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RequestError(f"{source} must be a mapping with the fields of a sweep, such as title, trial and series")
    if EXTENDS not in content:
        return content
    base = content.pop(EXTENDS)
    files = {**_yaml_files("catalogue/bases"), **catalogue()}
    if base not in files:
        raise RequestError(f"{source}: {EXTENDS}: there is no experiment {base!r}; there are {', '.join(catalogue())}")
    below = read_sweep(files[base], f"{base}.yaml")
    for holder in (content, *(each for group in CHANGES for each in _mapping(content, group, source).values())):
        for field in ("trial", "series"):
            _mapping(holder, field, source)
    own = _mapping(content, "series", source)
    if own:
        named = below.get("series", {})
        content["series"] = {path: chosen(named.get(path), axis, source, path) for path, axis in own.items()}
    changes = {group: _inherited(group, below, content) for group in CHANGES}
    trials = {
        group: {name: each["trial"] for name, each in below.get(group, {}).items() if "trial" in each}
        for group in CHANGES
    }
    bases = {**below.get("bases", {}), base: {"trial": below.get("trial", {}), **trials}}
    inherited = {field: value for field, value in below.items() if field not in NOT_INHERITED}
    return {**inherited, **content, "bases": bases, **{group: each for group, each in changes.items() if each}}


def _inherited(group: str, below: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """The recipes, or the scales, of a file and of the one that it extends."""
    under, own = below.get(group, {}), content.get(group, {})
    return {name: _changes(under.get(name, {}), content, own.get(name, {})) for name in {**under, **own}}


def _changes(inherited: dict[str, Any], content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The changes of a recipe or a scale: the base's, except for the axes that the file or its own one sets."""
    kept = {field: value for field, value in inherited.items() if field != "trial" and field not in content}
    replaced = [field for field in Axes.model_fields if field in content and field in inherited and field != "trial"]
    if replaced and kept.get("note"):
        kept["note"] += f"; of these {' and '.join(replaced)} as this sweep has them"
    return {**kept, **changes}


def _mapping(content: object, field: str, source: str) -> dict[str, Any]:
    """A field that is a mapping, or left out.

    Raises:
        RequestError: it is something else.
    """
    if not isinstance(content, dict) or not isinstance(content.get(field, {}), dict):
        what = field if isinstance(content, dict) else "each recipe and each scale"
        raise RequestError(f"{source}: {what} must be a mapping of fields and values")
    return content.get(field, {})


def _yaml_files(within: str) -> dict[str, Path]:
    return {file.stem: file for file in sorted((Path(__file__).parent / within).glob("*.yaml"))}
