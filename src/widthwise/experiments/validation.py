"""Checks of a user's text; the first error becomes one sentence that names the field."""

import functools
import inspect
import itertools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails

from widthwise.config import Config
from widthwise.errors import RequestError
from widthwise.experiments.overlay import KINDS
from widthwise.networks.catalogue import NETWORKS, description_class, network_name
from widthwise.networks.description import NetworkDescription
from widthwise.wording import did_you_mean, listed, suggestion

LISTED, NAMED = "[listed]", "[named]"
"""The two forms of an axis; pydantic puts their names into an error's path."""
UNKNOWN_FIELD = ("extra_forbidden", "unexpected_keyword_argument")

Made = TypeVar("Made")

SETTINGS = "settings"
"""The source of values that are set outside of any file."""


def refused(source: str, problem: str) -> RequestError:
    """The error for something that is wrong in a file, or in the settings laid over it."""
    return RequestError(problem, field=SETTINGS) if source == SETTINGS else RequestError(f"{source}: {problem}")


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], content: object, source: str, within: str = "") -> Model:
    """`content` as a `model`; the first error in it as one sentence: file, field, and what would be right.

    Args:
        model: the form that it must have.
        content: plain data.
        source: the file or call that it comes from, for the sentence.
        within: the path of `content` in the file.

    Raises:
        RequestError: a field is unknown, missing or ill-typed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = _most_telling(error)
    parts = [str(part) for part in problem["loc"] if part not in (LISTED, NAMED)]
    location, siblings = _located(model, parts, content)
    path = ".".join(filter(None, (within, *location)))
    if problem["type"] in UNKNOWN_FIELD:
        raise refused(source, f"there is no field {path}; {suggestion(location[-1], siblings)}")
    context = problem.get("ctx", {})
    if problem["type"] == "union_tag_invalid":
        path = f"{path}.{context['discriminator'].strip(chr(39))}"
        message, given = f"input should be {context['expected_tags']}", context["tag"]
        ending = f", got {given!r}{_nearest(given, context['expected_tags'])}"
    else:
        message, given = problem["msg"].removeprefix("Value error, "), problem["input"]
        if isinstance(cause := context.get("error"), RequestError):  # it names the field below this one
            path, message = ".".join(filter(None, (path, cause.field))), cause.problem
        ending = "" if problem["type"] in ("missing", "value_error") else f", got {given!r}"
        if problem["type"] == "literal_error":
            ending += _nearest(given, context["expected"])
    raise refused(source, f"{f'{path}: ' if path else ''}{message[0].lower()}{message[1:]}{ending}")


def of_kind(
    kinds: Mapping[str, Callable[..., Made]],
    content: Mapping[str, object],
    source: str,
    within: str = "",
    *,
    possible: Collection[str] = (),
    reason: str = "",
) -> Made:
    """Call the function that `content["kind"]` names with the other fields as its arguments.

    Args:
        kinds: functions by name; the annotations are the types of the arguments.
        content: `kind`, and arguments by name.
        source, within: as in `validated`.
        possible: the kinds that can be chosen here; empty: all of them.
        reason: why not all of them, for example `the analysis of parameters`.

    Raises:
        RequestError: there is no such kind, it cannot be chosen here, or an argument is unknown, missing,
            ill-typed or refused by the function.
    """
    path = f"{within}.kind" if within else "kind"
    kind = content.get("kind")
    if not isinstance(kind, str):
        raise refused(source, f"{path}: name one of {', '.join(kinds)}")
    if kind not in kinds:
        raise refused(source, f"{path}: there is no kind {kind!r}; {suggestion(kind, kinds)}")
    if possible and kind not in possible:
        verb = "is" if len(possible) == 1 else "are"
        raise refused(source, f"{path}: {kind} is not for {reason}; there {verb} {listed(list(possible))}")
    given = {name: value for name, value in content.items() if name != "kind"}
    arguments = validated(_arguments(kinds[kind]), given, source, within)
    try:
        return kinds[kind](**{name: getattr(arguments, name) for name in given})
    except ValueError as error:
        raise refused(source, f"{within}: {error}") from None


@functools.cache
def _arguments(function: Callable[..., object]) -> type[Config]:
    """A function's arguments as a model."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }
    return create_model(function.__name__, __base__=Config, **fields)


def _most_telling(error: ValidationError) -> ErrorDetails:
    """The first problem; where a field is missing, a misspelt one beside it."""
    first, *others = error.errors(include_url=False)
    if first["type"] == "missing":
        beside = (each for each in others if each["type"] in UNKNOWN_FIELD and each["loc"][:-1] == first["loc"][:-1])
        return next(beside, first)
    return first


def _nearest(given: object, expected: str) -> str:
    """A hint for a misspelt word among those that a message of pydantic's lists in quotes."""
    hint = did_you_mean(given, re.findall(r"'([^']*)'", expected)) if isinstance(given, str) else ""
    return f"; {hint}" if hint else ""


def _located(model: Any, location: list[str], content: Any) -> tuple[list[str], list[str]]:
    """A location without the parts that choose between forms of a section, and the fields beside its last."""
    models, path, siblings = [model], [], []
    for part in location:
        meant = [each for each in models if part in _kinds_of(each)]
        if len(models) > 1 and meant:
            models = meant
            continue
        path.append(part)
        siblings = sorted({name for each in models for name in _field_types(each)})
        inner = [_field_types(each)[part] for each in models if part in _field_types(each)]
        content = content.get(part) if isinstance(content, Mapping) else None
        sections = [_meant(each, content) for annotation in inner for each in _sections_in(annotation)]
        models = sections or models
    return path, siblings


def _meant(section: Any, content: Any) -> Any:
    """The description of the network that `content` names, where a section may be any network's."""
    name = network_name(content) if section is NetworkDescription and isinstance(content, Mapping) else None
    return description_class(name) if isinstance(name, str) and name in NETWORKS else section


def _kinds_of(model: Any) -> set[str]:
    fields = {} if is_dataclass(model) else model.model_fields
    return {str(value) for kind in KINDS if kind in fields for value in get_args(fields[kind].annotation)}


def _field_types(model: Any) -> dict[str, Any]:
    if is_dataclass(model):
        return get_type_hints(model)
    return {name: field.annotation for name, field in model.model_fields.items()}


def _sections_in(annotation: Any) -> list[Any]:
    """The models and dataclasses that an annotation is made of."""
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, Config)):
        return [annotation]
    return list(itertools.chain.from_iterable(map(_sections_in, get_args(annotation))))
