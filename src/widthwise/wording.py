"""Functions with which messages count, list and suggest names, and write numbers."""

import difflib
import re
from collections.abc import Iterable, Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 pair`, `1,000 pairs`, `2 batches`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a sentence: `A, B and C`."""
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def signed(value: float, form: str = ".3g") -> str:
    """A number with its sign, a real minus: `+0.12`, `−0.12`; what rounds to 0 is `+0.00`."""
    rounds_to_zero = float(f"{value:{form}}") == 0
    return f"{0.0 if rounds_to_zero else value:+{form}}".replace("-", "−")


def probability(p_value: float) -> str:
    """A p-value in a sentence: `p = 0.024`, `p < 0.0001`."""
    return f"p = {p_value:.2g}" if p_value >= 0.0001 else "p < 0.0001"


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def suggestion(name: str, known: Iterable[str], most: int = 1) -> str:
    """A hint for somebody who wrote `name`: `did you mean A?`, or the possible names: `there are A, B and C`."""
    names = list(known)
    return did_you_mean(name, names, most) or f"there are {listed(names)}"


def did_you_mean(name: str, known: Iterable[str], most: int = 1, likeness: float = 0.6) -> str:
    """What somebody who wrote `name` may have meant: `did you mean A?`; empty where nothing is like it.

    Args:
        name: what was written.
        known: what there is.
        most: this many are named at most.
        likeness: how like a name must be, from 0 to 1.
    """
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=likeness)
    return f"did you mean {listed(near, 'or')}?" if near else ""


def one_line(error: BaseException) -> str:
    """An error of a user's code in one line: its type and the first line of its message; of TorchScript's, the last."""
    lines = str(error).strip().splitlines() or [""]
    line = lines[-1] if lines[0].startswith("The following operation failed in the TorchScript") else lines[0]
    return f"{type(error).__name__}: {line}".rstrip(": ")


MINUS = re.compile(r"(?<![\w.\-])-(?=\.?\d)|(?<=\de)-0*(?=\d)")
"""A hyphen that stands for the sign of a number, or of its exponent."""


def with_minus(text: str) -> str:
    """Text in which negative numbers have a real minus sign: `−0.5`, `1e−5`; other hyphens stay."""
    return MINUS.sub("−", text)
