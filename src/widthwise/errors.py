"""The two ways in which a request can fail."""


class RequestError(ValueError):
    """What was asked for cannot be done as asked; the command line ends with exit code 2.

    Args:
        problem: one sentence: what is wrong, and where.
        field: the argument or field that is wrong, by its name in Python and in YAML, such as `data` or
            `training.epochs`; empty where it is no single one.
        settings: fields that would put it right, by path, and their values.
    """

    def __init__(self, problem: str, *, field: str = "", settings: dict[str, object] | None = None):
        self.problem, self.field, self.settings = problem, field, settings or {}
        super().__init__(self.in_words([f"{path}={value}" for path, value in self.settings.items()]))

    def in_words(self, settings: list[str]) -> str:
        """The whole sentence; `settings` are what would put it right, as whoever reads it would write them."""
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.problem}{f'; set {chr(44).join(settings)}' if settings else ''}"

    def __reduce__(self):
        return _request_error, (self.problem, self.field, self.settings)


def _request_error(problem: str, field: str, settings: dict[str, object]) -> RequestError:
    """A copy that arrives from another process."""
    return RequestError(problem, field=field, settings=settings)


class TrialError(Exception):
    """The work itself failed: a full disk, a process that was killed. What was finished stays; the exit code is 1."""
