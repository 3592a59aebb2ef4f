"""Types and shapes of signatures, checked at each call in a test: by beartype, in jaxtyping's contexts.

pytest's option `--jaxtyping-packages` puts jaxtyping's decorator on every function. That decorator compiles the checks
of an inner function each time that the outer one runs, and binds the arguments of every call, also where no shape is
named. `checked`, which takes its place, makes the same checks in a tenth of the time.
"""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial, wraps
from types import CodeType, FunctionType
from typing import Any, get_args

import jaxtyping
from beartype import beartype

original = jaxtyping.jaxtyped
FUNCTION = "__beartype_func"
"""The keyword default in which the wrapper that beartype writes holds the function that it checks."""

_inner: dict[CodeType, Callable[..., Any]] = {}
"""The wrapper that beartype wrote for an inner function, by the function's code."""


def checked(decorated: Any = None, *, typechecker: Any = None) -> Any:
    """A function, or a dataclass of which new instances are checked; in place of `jaxtyping.jaxtyped`."""
    if decorated is None:
        return partial(checked, typechecker=typechecker)
    if isinstance(decorated, type):
        if is_dataclass(decorated) and isinstance(vars(decorated).get("__init__"), FunctionType):
            decorated.__init__ = checked(decorated.__init__)
        return decorated
    if not _names_shapes(decorated):
        return _typed(decorated)
    if inspect.isgeneratorfunction(
        decorated
    ):  # its arguments are checked when it is first iterated, in another context
        return original(decorated, typechecker=beartype)
    return _in_context(_typed(decorated))


def _typed(function: FunctionType) -> Callable[..., Any]:
    """The function with beartype's checks, which are compiled once for all functions of the same code."""
    if "<locals>" not in function.__qualname__:
        return beartype(function)
    wrapper = _inner.get(function.__code__)
    if wrapper is None:
        wrapper = _inner[function.__code__] = beartype(function)
        return wrapper
    defaults = getattr(wrapper, "__kwdefaults__", None) or {}
    if not isinstance(wrapper, FunctionType) or FUNCTION not in defaults:
        return beartype(function)
    copy = FunctionType(
        wrapper.__code__, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, wrapper.__closure__
    )
    copy.__kwdefaults__ = {**defaults, FUNCTION: function}
    return wraps(function)(copy)


def _in_context(typed: Callable[..., Any]) -> Callable[..., Any]:
    """The function in a context of its own, in which a dimension's name stands for one size."""

    @wraps(typed)
    def function(*args: Any, **kwargs: Any) -> Any:
        with original("context"):
            return typed(*args, **kwargs)

    return function


def _names_shapes(function: FunctionType) -> bool:
    return any(map(_has_shape, inspect.get_annotations(function).values()))


def _has_shape(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return "'" in annotation or '"' in annotation  # shapes are strings
    if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(_has_shape, get_args(annotation)))
