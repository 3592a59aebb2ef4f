"""The public names, and that importing them costs nothing before they are used."""

import subprocess
import sys

import pytest

import widthwise


def modules_after(statement: str) -> set[str]:
    program = f"{statement}; import sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_every_public_name_is_there():
    for name in widthwise.__all__:
        assert callable(getattr(widthwise, name)), name
    with pytest.raises(AttributeError, match="no attribute 'prune'"):
        _ = widthwise.prune


def test_names_stay_what_they_are_when_rooms_are_imported():
    from widthwise.reporting import page, write

    assert callable(widthwise.report)
    assert callable(widthwise.run)
    assert page
    assert write


@pytest.mark.parametrize("statement", ["import widthwise", "import widthwise.commands.main"])
def test_importing_is_light(statement: str):
    heavy = {"torch", "pandas", "scipy", "altair", "pyarrow", "numpy", "pydantic"}
    assert not heavy & modules_after(statement)


def test_measuring_needs_nothing_else_of_the_package():
    rooms = {
        name.split(".")[1] for name in modules_after("import widthwise.measurement.profile") if "widthwise." in name
    }
    assert rooms == {"files", "measurement", "tracing"}


def test_a_finished_sweep_needs_no_pytorch():
    assert "torch" not in modules_after("import widthwise.workflow")
