"""A user's own function, which a trial holds as text: its file, and the files beside it that it imports."""

import inspect
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from widthwise.config import Config
from widthwise.errors import RequestError
from widthwise.wording import one_line, suggestion


def _plain(arguments: Any) -> Any:
    """Arguments as YAML and JSON hold them, so that a trial read from a store is run with the same; tuples are lists.

    Raises:
        ValueError: one is something else.
    """

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            if wrong := [key for key in value if not isinstance(key, str)]:
                raise ValueError(f"the key {wrong[0]!r} of {path} is no text")
            return {key: plain(each, f"{path}.{key}") for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(each, f"{path}[{number}]") for number, each in enumerate(value)]
        if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
            return value
        kind = repr(value) if isinstance(value, float) else type(value).__name__
        raise ValueError(f"{path} is {kind}; a finite number, text, true, false, null, a list or a mapping is right")

    if not isinstance(arguments, Mapping):
        return arguments  # whose type is then named
    return {name: plain(value, str(name)) for name, value in arguments.items()}


def names_function(text: str) -> bool:
    """Whether a text is `FILE.py:FUNCTION`, not a name or a path."""
    file, _, function = text.rpartition(":")
    return file.endswith(".py") and function.isidentifier()


def _named(factory: str) -> str:
    if not names_function(factory):
        raise ValueError(f"it must be FILE.py:FUNCTION, such as mynet.py:build, not {factory!r}")
    return factory


class UserFunction(Config):
    """A function in a Python file, and the text of that file and of those beside it that it imports.

    A trial's id depends on the text, and the text is what is run, so a changed function is another trial. Nothing is
    run before `result` is called. Two functions are equal if their texts are, wherever the files lie.
    """

    factory: Annotated[str, AfterValidator(_named)]
    """`FILE.py:FUNCTION`."""
    arguments: Annotated[dict[str, Any], BeforeValidator(_plain)] = {}
    """Passed to it by name."""
    code: dict[str, str] = {}
    """The text of its file and of the files beside it that it imports, by path from the file's folder."""
    folder: str = Field(default="", exclude=True)
    """The folder that the files were read from; neither hashed nor written. Unchanged files are run there, so that a
    function finds the files beside it."""

    @model_validator(mode="after")
    def _code_is_there(self):
        if self.file not in self.code:
            raise ValueError(
                f"the text of {self.file} is missing; experiments.user_code.with_code(settings, folder) reads it"
            )
        return self

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.content() == other.content()  # pyright: ignore

    def __hash__(self) -> int:
        return hash(json.dumps(self.content(), sort_keys=True))

    @property
    def file(self) -> str:
        """The function's file, by its path from its folder."""
        return self.factory.rpartition(":")[0]

    @property
    def function(self) -> str:
        """The function's name."""
        return self.factory.rpartition(":")[2]

    def result(self, field: str, offered: Mapping[str, Any], required: Mapping[str, Any] = {}) -> Any:
        """Run the function and return its result.

        Args:
            field: the field of a trial that names it, for messages.
            offered: passed by name if the function has a parameter of that name.
            required: always passed by name.

        Raises:
            RequestError: there is no such function, its file cannot be imported, or it fails; in one sentence with the
                first line of its error.
        """
        from widthwise.networks.fresh_import import imported

        try:
            module = imported(self.code, self.file, self.folder)
        except (Exception, SystemExit) as error:  # whatever a user's own code raises
            raise RequestError(f"importing {self.file} raised {one_line(error)}", field=field) from error
        function = getattr(module, self.function, None)
        if not callable(function):
            functions = inspect.getmembers(module, inspect.isfunction)
            here = [name for name, value in functions if value.__module__ == module.__name__]
            raise RequestError(
                f"{self.file} has no function {self.function!r}; {suggestion(self.function, here)}", field=field
            )
        if taken := [name for name in self.arguments if name in {**offered, **required}]:
            raise RequestError(
                f"{taken[0]} is passed to {self.function}() of {self.file} by itself; leave it out",
                field=f"{field.rpartition('.')[0]}.arguments",
            )
        try:
            parameters = inspect.signature(function).parameters
            given = {name: value for name, value in offered.items() if name in parameters}
            return function(**given, **required, **self.arguments)
        except (Exception, SystemExit) as error:  # whatever a user's own code raises
            raise RequestError(f"{self.function}() of {self.file} raised {one_line(error)}", field=field) from error
