"""The command line: its verbs, and how each can end."""

import sys
from typing import Annotated

import typer

from widthwise.commands.compress import compress
from widthwise.commands.copy import copy
from widthwise.commands.error_wording import Command
from widthwise.commands.list import list_experiments
from widthwise.commands.profile import profile
from widthwise.commands.report import report
from widthwise.commands.run import run
from widthwise.commands.terminal import messages
from widthwise.commands.train import train
from widthwise.errors import RequestError, TrialError

app = typer.Typer(
    name="widthwise",
    help="Find out what networks do with the units that they do not need: measure removable and repeated units in a "
    "network of your own, train width sweeps, test the claim that one of the two grows with width, and draw the "
    "results.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> bool:
    if wanted:
        from widthwise import __version__

        typer.echo(f"widthwise {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def widthwise(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""


app.command("list", cls=Command)(list_experiments)
for command in (run, report, train, profile, compress, copy):
    app.command(cls=Command)(command)


def main() -> None:
    """Run the command line: 0 done, 1 failed while working, 2 the request was wrong."""
    try:
        code = app(standalone_mode=False)
    except RequestError as error:
        code = _fail(str(error), 2)
    except typer.TyperException as error:
        message = error.format_message().rstrip(".").replace("Value error, ", "")  # what pydantic puts before it
        code = _fail(f"{message}; see widthwise --help", 2) if message else 2
    except TrialError as error:
        code = _fail(str(error), 1)
    except OSError as error:
        code = _fail(f"{error}; what was finished is kept, and the same command continues", 1)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> int:
    messages.print(f"widthwise: {message}", markup=False)
    return code
