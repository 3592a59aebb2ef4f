"""Request errors in the words of the command line: `--data` for the field `data`, `--set a.b=c` for a setting."""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import typer.core

from widthwise.errors import RequestError


class Command(typer.core.TyperCommand):
    """A command whose request errors name its options."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            RequestError: as the command raised it, in the command's words.
        """
        try:
            return super().invoke(ctx)
        except RequestError as error:
            raise RequestError(in_options(error, options_of(self.params))) from error


def options_of(parameters: Iterable[Any]) -> dict[str, str]:
    """A command's options, such as `--set`, by the names of their parameters, which are those in Python."""
    return {each.name: each.opts[0] for each in parameters if each.param_type_name == "option"}


def in_options(error: RequestError, options: Mapping[str, str]) -> str:
    """The error, and what to type instead. A field without an option keeps its name."""
    subject = f"{options.get(error.field, error.field)}: " if error.field else ""
    if not error.settings:
        return f"{subject}{error.problem}"
    typed = [shlex.quote(f"{path}={_as_yaml(value)}") for path, value in error.settings.items()]
    remedy = " ".join(f"--set {each}" for each in typed) if "settings" in options else ", ".join(typed)
    return f"{subject}{error.problem}; {'try' if 'settings' in options else 'set'} {remedy}"


def _as_yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
