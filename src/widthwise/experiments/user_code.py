"""The text of a user's functions, put into the settings that name them. It is read here and never run."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from widthwise.errors import RequestError
from widthwise.networks.user_function import names_function

FACTORY, CODE, FOLDER = "factory", "code", "folder"
ARGUMENTS = "arguments"
"""A function's own, in which these words mean nothing."""


def with_code(settings: Mapping[str, object], folder: Path, section: str = "") -> dict[str, Any]:
    """Settings with the text of every function that they name as `factory`.

    Each `factory` without `code` gets `code`, the text of its file and, recursively, of the files beside it that it
    imports, and `folder`, the file's folder; the factory itself becomes the file's name and the function. Fields may be
    nested or named by paths (`network.factory`). Settings that hold the text already stay as they are.

    Args:
        settings: those of a trial, a sweep, or a part of one.
        folder: the folder that relative paths start from.
        section: the path of `settings` in the whole that they are a part of, for messages.

    Raises:
        RequestError: there is no such file, or it or one that it imports is not valid Python.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        within, dot, field = str(key).rpartition(".")
        prefix, path = f"{within}{dot}", f"{section}.{key}".removeprefix(".")
        if field == FACTORY and isinstance(value, list):
            raise RequestError(
                "functions that vary need names: write series: {variant: {one: {network: {factory: …}}, …}}", field=path
            )
        if field == FACTORY and isinstance(value, str) and f"{prefix}{CODE}" not in settings:
            found |= {f"{prefix}{name}": each for name, each in _read(value, folder, path).items()}
        elif isinstance(value, Mapping) and ARGUMENTS not in str(key).split("."):
            found[key] = with_code(value, folder, path)
        else:
            found[key] = value
    return found


def without_folders(settings: object) -> object:
    """Settings without the folders that the files of functions were read from, as they are written and hashed."""
    if isinstance(settings, Mapping):
        has_factory = any(str(key).rpartition(".")[2] == FACTORY for key in settings)
        return {
            key: without_folders(value)
            for key, value in settings.items()
            if not (has_factory and str(key).rpartition(".")[2] == FOLDER)
        }
    return settings


def _read(factory: str, folder: Path, field: str) -> dict[str, object]:
    if not names_function(factory):
        raise RequestError(f"it must be FILE.py:FUNCTION, such as mynet.py:build, not {factory!r}", field=field)
    name, _, function = factory.rpartition(":")
    file = (folder / Path(name).expanduser()).resolve()
    if not file.is_file():
        raise RequestError(f"there is no file {folder / name}", field=field)
    code: dict[str, str] = {}
    _collect(file.parent, PurePosixPath(file.name), code, field)
    return {FACTORY: f"{file.name}:{function}", CODE: dict(sorted(code.items())), FOLDER: str(file.parent)}


def _collect(root: Path, file: PurePosixPath, code: dict[str, str], field: str) -> None:
    """Add a file and what it imports within `root` to `code`."""
    if str(file) in code:
        return
    try:
        text = (root / file).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (UnicodeDecodeError, ValueError):
        raise RequestError(f"{root / file} is not a text file in UTF-8", field=field) from None
    except SyntaxError as error:
        raise RequestError(
            f"{root / file} is not valid Python: {error.msg} in line {error.lineno}", field=field
        ) from None
    except OSError as error:
        raise RequestError(f"{root / file} cannot be read: {error.strerror}", field=field) from None
    code[str(file)] = text
    for module in _imports(tree, file):
        for path in _files_of(module):
            if (root / path).is_file():
                _collect(root, path, code, field)


def _imports(tree: ast.AST, file: PurePosixPath) -> Iterator[tuple[str, ...]]:
    """The modules that a file may import, as the parts of their names from the common folder."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = file.parent.parts if node.level else ()
            base = base[: len(base) - (node.level - 1)] if node.level > 1 else base
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield module
            for alias in node.names:
                yield (*module, alias.name)


def _files_of(module: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """The files that importing a module runs, if it lies in the common folder."""
    for count in range(1, len(module) + 1):
        path = PurePosixPath(*module[:count])
        yield path / "__init__.py"
        yield path.with_name(f"{path.name}.py")
