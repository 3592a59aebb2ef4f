"""The command line: its verbs, and how each can end."""

import sys

import typer

from widthwise.commands.catalogue import list_experiments
from widthwise.commands.experiments import report, run
from widthwise.commands.profile import profile
from widthwise.commands.terminal import messages
from widthwise.commands.train import train
from widthwise.errors import RequestError, TrialError

app = typer.Typer(
    name="widthwise",
    help="What networks do with the units that they do not need: measure removable and repeated units in a network of "
    "your own, train width sweeps, test the claim that one of the two grows with width, and draw the results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
app.command("list")(list_experiments)
app.command()(run)
app.command()(report)
app.command()(train)
app.command()(profile)


def main() -> None:
    """Run the command line: 0 done, 1 failed while working, 2 the request was wrong."""
    try:
        code = app(standalone_mode=False)
    except RequestError as error:
        code = _fail(str(error), 2)
    except typer.TyperException as error:
        said = error.format_message().rstrip(".")
        code = _fail(f"{said}; see widthwise --help", 2) if said else 2
    except TrialError as error:
        code = _fail(str(error), 1)
    except OSError as error:
        code = _fail(f"{error}; what was finished is kept, and the same command continues", 1)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> int:
    messages.print(f"widthwise: {message}", markup=False)
    return code
