"""The one exception that means: the request was wrong, and this is what would be right."""


class RequestError(Exception):
    """What was asked for cannot be done as asked. Its message is one sentence for the user; the exit code is 2."""
