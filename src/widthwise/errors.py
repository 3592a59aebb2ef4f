"""The two ways in which a command can fail."""


class RequestError(Exception):
    """What was asked for cannot be done as asked. Its message is one sentence for the user; the exit code is 2."""


class TrialError(Exception):
    """The work itself failed: a full disk, a process that was killed. What was finished stays; the exit code is 1."""
