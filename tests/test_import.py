"""The public names, and that importing them costs nothing before they are used."""

import ast
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import widthwise

FUNCTIONS = [name for name in widthwise.__all__ if name.islower()]
CLASSES = [name for name in widthwise.__all__ if not name.islower()]
HEAVY = {"torch", "pandas", "scipy", "altair", "pyarrow", "numpy", "pydantic"}


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(found.stdout.splitlines()[-1].split())


def test_every_public_name_is_there():
    for name in widthwise.__all__:
        assert callable(getattr(widthwise, name)), name
    with pytest.raises(AttributeError, match="no attribute 'prune'"):
        _ = widthwise.prune


def test_dir_lists_the_public_names_and_no_other():
    from widthwise import workflow

    assert workflow, "a room that was imported is an attribute of the package"
    assert dir(widthwise) == sorted([*widthwise.__all__, "__version__"])


def test_the_version_is_that_of_the_installed_package():
    assert widthwise.__version__ == importlib.metadata.version("widthwise")


def test_type_checkers_see_the_names_that_there_are():
    """The imports that only type checkers read come from the modules that are imported on first use."""
    tree = ast.parse(Path(inspect.getfile(widthwise)).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {alias.asname: node.module for node in imports for alias in node.names} == widthwise._MODULES
    assert all(alias.name == alias.asname for node in imports for alias in node.names), "marked as public"


def test_the_package_says_that_it_is_typed():
    marker = Path(inspect.getfile(widthwise)).with_name("py.typed")
    assert marker.is_file()
    assert marker.read_bytes() == b""


def classes_in(annotation: Any) -> set[type]:
    """The classes of this package that a type is made of."""
    own = {annotation} if isinstance(annotation, type) and annotation.__module__.startswith("widthwise.") else set()
    parts = [part for each in get_args(annotation) for part in (each if isinstance(each, list) else [each])]
    return own.union(*map(classes_in, parts))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_public_signature_needs_is_public(name: str):
    function = getattr(widthwise, name)
    hints = get_type_hints(function)
    assert set(inspect.signature(function).parameters) <= set(hints)
    public = {getattr(widthwise, each) for each in CLASSES}
    assert set().union(*map(classes_in, hints.values())) <= public


def test_the_reference_has_every_public_name():
    text = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    listed = [line.removeprefix("::: widthwise.") for line in text.splitlines() if line.startswith("::: ")]
    assert sorted(listed) == sorted(widthwise.__all__)


def test_names_stay_what_they_are_when_rooms_are_imported():
    from widthwise.reporting import page, write

    assert callable(widthwise.report)
    assert callable(widthwise.run)
    assert page
    assert write


@pytest.mark.parametrize("statement", ["import widthwise", "import widthwise.commands.main"])
def test_importing_is_light(statement: str):
    assert not HEAVY & modules_after(statement)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_are_light(option: str):
    command = (
        f"import sys\nsys.argv = ['widthwise', {option!r}]\n"
        "from widthwise.commands.main import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code"
    )
    assert not HEAVY & modules_after(command)


def test_measuring_needs_nothing_else_of_the_package():
    rooms = {
        name.split(".")[1] for name in modules_after("import widthwise.measurement.profile") if "widthwise." in name
    }
    assert rooms == {"errors", "files", "measurement", "progress", "tracing", "wording"}


def test_a_finished_sweep_needs_no_pytorch():
    assert "torch" not in modules_after("import widthwise.workflow")
