"""Request errors in Python's words, in the command line's words, and on their way between processes."""

import ast
import inspect
import pickle
import re
from pathlib import Path
from typing import Annotated

import pytest
import typer
import typer.main

import widthwise
from widthwise.commands.error_wording import Command, in_options, options_of
from widthwise.commands.options import Data, Settings, parsed_settings
from widthwise.errors import RequestError

Every = Annotated[bool, typer.Option("--all")]
OPTIONS = {"data": "--data", "settings": "--set", "layers": "--layer"}
DAMAGED = RequestError("the image a.png cannot be decoded", field="data", settings={"data.damaged": "skip"})


def test_in_python_an_error_speaks_of_fields():
    assert str(DAMAGED) == "data: the image a.png cannot be decoded; set data.damaged=skip"
    assert str(RequestError("it is empty")) == "it is empty"
    assert "--" not in str(DAMAGED)


def test_on_the_command_line_it_speaks_of_options():
    assert in_options(DAMAGED, OPTIONS) == ("--data: the image a.png cannot be decoded; try --set data.damaged=skip")


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("settings", "--set: it is wrong"),
        ("layers", "--layer: it is wrong"),
        ("training.epochs", "training.epochs: it is wrong"),
        ("path", "path: it is wrong"),
        ("", "it is wrong"),
    ],
)
def test_a_field_that_is_no_option_keeps_its_name(field: str, shown: str):
    assert in_options(RequestError("it is wrong", field=field), OPTIONS) == shown


@pytest.mark.parametrize(
    ("value", "typed"),
    [(8, "8"), (None, "null"), (True, "true"), (1e-4, "0.0001"), ("he_normal", "he_normal"), ("a b", "'a.b=a b'")],
)
def test_a_remedy_can_be_typed_and_sets_what_was_meant(value: object, typed: str):
    sentence = in_options(RequestError("it is wrong", settings={"a.b": value}), OPTIONS)
    assert sentence == f"it is wrong; try --set {typed if 'a.b' in typed else f'a.b={typed}'}"
    assert parsed_settings([f"a.b={typed}" if "a.b" not in typed else typed.strip("'")]) == {"a.b": value}


def test_several_remedies_are_several_options():
    error = RequestError("too large", settings={"a": 1, "b": 2})
    assert in_options(error, OPTIONS) == "too large; try --set a=1 --set b=2"
    assert in_options(error, {}) == "too large; set a=1, b=2", "the command has no --set"


def test_an_error_survives_its_way_from_another_process():
    copy = pickle.loads(pickle.dumps(DAMAGED))
    assert (copy.problem, copy.field, copy.settings) == (DAMAGED.problem, DAMAGED.field, DAMAGED.settings)
    assert str(copy) == str(DAMAGED)


def test_a_command_names_its_own_options():
    app = typer.Typer()

    @app.command(cls=Command)
    def verb(
        place: str, data: Data = None, settings: Settings = None, every: Annotated[bool, typer.Option("--all")] = False
    ):
        raise RequestError("no such thing", field=place, settings={"a": 1})

    command = typer.main.get_command(app)
    shown = {"data": "--data", "settings": "--set", "every": "--all"}
    assert shown.items() <= options_of(command.params).items()
    for field, named in {**shown, "place": "place"}.items():
        with pytest.raises(RequestError, match=f"^{named}: no such thing; try --set a=1$"):
            app([field], standalone_mode=False)


@pytest.mark.parametrize(("text", "message"), [("epochs", "must be PATH=VALUE"), ("a=[1", "is not a value in YAML")])
def test_a_setting_that_cannot_be_read_is_named(text: str, message: str):
    with pytest.raises(RequestError, match=message) as refused:
        parsed_settings([text])
    assert text in str(refused.value)


SOURCE = Path(inspect.getfile(widthwise)).parent


def raised_texts(file: Path) -> list[str]:
    """The texts of the errors that a file raises or makes."""
    errors = ("RequestError", "TrialError", "ValueError")
    calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in errors]
    constants = [node for call in made for node in ast.walk(call) if isinstance(node, ast.Constant)]
    return [node.value for node in constants if isinstance(node.value, str)]


def test_errors_speak_of_options_in_commands_alone():
    files = [file.relative_to(SOURCE) for file in SOURCE.rglob("*.py")]
    others = [file for file in files if file.parts[0] != "commands"]
    wrong = [(str(file), text) for file in others for text in raised_texts(SOURCE / file) if re.search(r"--\w", text)]
    assert wrong == []
    assert any(re.search(r"--\w", text) for text in raised_texts(SOURCE / "commands" / "options.py")), "it finds them"
