"""Layers by name: a layer's path in the network, or the path of what it lies in."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from widthwise.errors import RequestError
from widthwise.wording import did_you_mean, listed

Value = TypeVar("Value")


def lies_in(path: str, name: str) -> bool:
    """Whether `name` names the module or parameter at `path`: it is its path, or that of a module around it."""
    return path == name or path.startswith(f"{name}.")


def value_of(path: str, values: Mapping[str, Value], otherwise: Value) -> Value:
    """The value of the layer at `path`: that of the longest name that fits it."""
    fitting = [name for name in values if lies_in(path, name)]
    return values[max(fitting, key=len)] if fitting else otherwise


def check_names(names: Iterable[str], paths: Collection[str], what: str, field: str) -> None:
    """Check that each name fits at least one of the network's `paths`.

    Args:
        names: the names that a user gave.
        paths: the paths of all layers that they can name.
        what: such a layer in words, such as `dense layer or convolution`.
        field: the field that the names come from.

    Raises:
        RequestError: a name fits none of them.
    """
    for name in names:
        if any(lies_in(path, name) for path in paths):
            continue
        parts = [path.split(".") for path in paths]
        around = {".".join(each[:depth]): None for each in parts for depth in range(1, len(each) + 1)}
        outermost = list(dict.fromkeys(each[0] for each in parts))
        verb = "are" if len(outermost) > 1 else "is"
        hint = did_you_mean(name, around) or f"there {verb} {listed(outermost) or 'none'}"
        raise RequestError(f"the network has no {what} in {name!r}; {hint}", field=field)
