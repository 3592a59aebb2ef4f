"""A command as somebody types it, run in this process: starting Python and importing everything takes seconds."""

import contextlib
import io
import sys
from subprocess import CompletedProcess
from unittest.mock import patch

from widthwise.commands.main import main


def widthwise(*words: object, **environment: str) -> CompletedProcess[str]:
    """The exit code and what was printed, in an environment as narrow as a terminal's 80 columns."""
    typed = ["widthwise", *map(str, words)]
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", typed),
        patch.dict("os.environ", {"COLUMNS": "80", **environment}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return CompletedProcess(typed, code, out.getvalue(), err.getvalue())
