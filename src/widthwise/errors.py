"""The two ways in which a request can fail."""

from collections.abc import Mapping
from functools import partial


class RequestError(ValueError):
    """A request cannot be met as it is: a field is wrong, or what it needs is missing.

    The command line ends with exit code 2. The message names the field and what would put it right, in the words of
    Python and YAML.

    Args:
        problem: one sentence: what is wrong, and where.
        field: the argument or field that is wrong, by its name in Python and in YAML, such as `data` or
            `training.epochs`; empty if there is no single one.
        settings: fields of a trial that would put it right, by path, and their values.
    """

    def __init__(self, problem: str, *, field: str = "", settings: Mapping[str, object] | None = None):
        self.problem, self.field, self.settings = problem, field, dict(settings or {})
        subject = f"{field}: " if field else ""
        remedy = ", ".join(f"{path}={value}" for path, value in self.settings.items())
        super().__init__(f"{subject}{problem}{f'; set {remedy}' if remedy else ''}")

    def __reduce__(self):
        """A copy that arrives from another process is equal in every part."""
        return partial(RequestError, field=self.field, settings=self.settings), (self.problem,)


class TrialError(Exception):
    """The work itself failed: a full disk, a process that was killed. Finished work is kept; the exit code is 1."""
