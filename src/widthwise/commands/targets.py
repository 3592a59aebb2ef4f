"""Files that a command is to write."""

from widthwise.errors import RequestError
from widthwise.files import check_writable


def check_target(option: str, target: str | None) -> None:
    """Refuse a file that cannot be written before anything is computed."""
    try:
        if target is not None:
            check_writable(target)
    except OSError as error:
        raise RequestError(str(error), field=option) from None
