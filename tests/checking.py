"""Types and shapes of signatures, checked at each call in a test: by beartype, in jaxtyping's contexts.

pytest's option `--jaxtyping-packages` puts jaxtyping's decorator on every function. That decorator compiles the checks
of an inner function each time that the outer one runs, and binds the arguments of every call, also where no shape is
named. `checked`, which takes its place, makes the same checks in a tenth of the time.
"""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial, wraps
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, ForwardRef, Literal, get_args, get_origin, get_type_hints

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
    named = decorated.__annotations__
    decorated.__annotations__ = {name: _resolved(hint, decorated.__globals__) for name, hint in named.items()}
    try:
        function = _checked_function(decorated)
    finally:
        decorated.__annotations__ = named
    function.__annotations__ = named
    return function


def _checked_function(function: FunctionType) -> Callable[..., Any]:
    if not any(map(_has_shape, function.__annotations__.values())):
        return _typed(function)
    if inspect.isgeneratorfunction(function):  # beartype checks its arguments later, outside of the context
        return original(function, typechecker=beartype)
    return _in_context(_typed(function))


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


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_has_shape, get_args(hint)))


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """A hint with the classes that it names; `Any`, as with jaxtyping, where only type checkers know a name."""
    if not _has_name(hint):
        return hint
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"hint": hint}), names, include_extras=True)["hint"]
    except Exception:
        return Any


def _has_name(hint: Any) -> bool:
    if isinstance(hint, (str, ForwardRef)):
        return True
    return get_origin(hint) is not Literal and any(map(_has_name, get_args(hint)))
