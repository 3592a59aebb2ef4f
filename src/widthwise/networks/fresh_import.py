"""Importing Python text under unique module names, so that two versions of a file can be loaded at once.

The files find each other under their own names: `import helpers` in one of them finds the text of `helpers.py` first.
"""

import builtins
import functools
import importlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from widthwise.files import digest

PREFIX = "widthwise_user_"


def imported(code: Mapping[str, str], file: str, folder: str = "") -> ModuleType:
    """The module of `file`, run from its text.

    Args:
        code: the text of each file, by its path from a common folder.
        file: one of these paths.
        folder: the folder of the files; `__file__` lies there if they are unchanged, otherwise in a temporary copy.

    Raises:
        Exception: as the text raises it.
    """
    package = f"{PREFIX}{digest([dict(code), folder])[:16]}"
    if package not in sys.modules:
        finder = _Finder(package, code, _source_folder(code, folder))
        sys.meta_path.insert(0, finder)
        try:
            return importlib.import_module(f"{package}.{_module_name(file)}")
        except BaseException:
            sys.meta_path.remove(finder)
            for name in [name for name in sys.modules if name.partition(".")[0] == package]:
                del sys.modules[name]
            raise
    return importlib.import_module(f"{package}.{_module_name(file)}")


def _module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _source_folder(code: Mapping[str, str], folder: str) -> Path:
    """The folder whose files equal `code`: `folder`, or a temporary copy that lasts as long as the process."""
    try:
        if folder and all((Path(folder) / name).read_text(encoding="utf-8") == text for name, text in code.items()):
            return Path(folder)
    except (OSError, UnicodeDecodeError):
        pass  # moved or changed since
    copy = Path(_temporary_folder().name) / digest(dict(code))[:16]
    for name, text in code.items():
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise ValueError(f"{name} is no path within a folder")
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    return copy


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=PREFIX)  # removed when the process ends


class _Finder(MetaPathFinder):
    """Finds the modules of one package from their text."""

    def __init__(self, package: str, code: Mapping[str, str], folder: Path):
        self.package, self.code, self.folder = package, code, folder
        self.top_level = {Path(name).parts[0].removesuffix(".py") for name in code}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != self.package:
            return None
        within = fullname.removeprefix(self.package).removeprefix(".").replace(".", "/")
        package_file = f"{within}/__init__.py".lstrip("/")
        is_folder = within == "" or any(name.startswith(f"{within}/") for name in self.code)
        file = f"{within}.py" if not is_folder else package_file
        if not is_folder and file not in self.code:
            return None
        return spec_from_loader(fullname, _Loader(self, file, is_folder), is_package=is_folder)


class _Loader(SourceLoader):
    """Runs one file's text, in which an import of one of the other files finds it."""

    def __init__(self, finder: _Finder, file: str, is_folder: bool):
        self.finder, self.file, self.is_folder = finder, file, is_folder

    def get_filename(self, fullname: str) -> str:
        return str(self.finder.folder / self.file)

    def get_data(self, path: str | bytes) -> bytes:
        if str(path) != self.get_filename(""):
            raise OSError(f"{path!r} is not kept")  # there is no bytecode
        return self.finder.code.get(self.file, "").encode()

    def is_package(self, fullname: str) -> bool:
        return self.is_folder

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": functools.partial(_import, self.finder)}
        super().exec_module(module)


def _import(
    finder: _Finder,
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import a module as an `import` in a user's file does."""
    if level or name.partition(".")[0] not in finder.top_level:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    found = builtins.__import__(f"{finder.package}.{name}", globals, locals, fromlist or (), 0)
    return found if fromlist else getattr(found, name.partition(".")[0])
