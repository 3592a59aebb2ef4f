"""Settings as a user writes them: YAML read, laid over what is below it, and checked against what there can be."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from widthwise.config import Config
from widthwise.errors import RequestError
from widthwise.experiments.overlay import KINDS
from widthwise.experiments.overlay import nested as nested
from widthwise.experiments.overlay import overlaid as overlaid
from widthwise.experiments.trial import Trial
from widthwise.networks.catalogue import NETWORKS, description_class, network_name
from widthwise.networks.description import NetworkDescription
from widthwise.wording import suggestion

LISTED, NAMED = "[listed]", "[named]"
"""Which of two forms an axis has; pydantic names them in the place of an error."""


def read_yaml(text: str) -> Any:
    """The content of a YAML file.

    Raises:
        yaml.YAMLError: it is not valid, or a field stands twice.
    """
    return yaml.load(text, _Loader)


def resolved(content: dict[str, Any], source: str) -> Trial:
    """The trial that `content` describes, laid over the paper's recipe for its network.

    Raises:
        RequestError: a field is unknown or ill-typed, or fields do not go together; `source` says where.
    """
    return validated(Trial, content, source)


def assigned(assignments: Iterable[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Values by path, or from `PATH=VALUE`.

    Raises:
        RequestError: an assignment is malformed.
    """
    if isinstance(assignments, Mapping):
        return dict(assignments)
    values: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise RequestError(f"--set {assignment} must be PATH=VALUE, such as training.epochs=20")
        try:
            values[path] = read_yaml(text)
        except yaml.YAMLError:
            raise RequestError(f"--set {assignment}: {text!r} is not a value in YAML") from None
    return values


def validated(model: type, content: Any, source: str) -> Any:
    """`content` as a `model`; the first thing wrong with it as one sentence: file, field, what would be right.

    Raises:
        RequestError: a field is unknown, missing or ill-typed.
    """
    try:
        return TypeAdapter(model).validate_python(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        parts = [str(part) for part in problem["loc"] if part not in (LISTED, NAMED)]
        location, siblings = _located(model, parts, content)
        path = ".".join(location)
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            hint = suggestion(location[-1], siblings)
            raise RequestError(f"{source}: there is no field {path}; {hint}") from None
        stated = problem["type"] in ("missing", "value_error")
        given = "" if stated else f", got {problem['input']!r}"
        if problem["type"] == "union_tag_invalid":
            about = problem.get("ctx", {})
            path = f"{path}.{about['discriminator'].strip(chr(39))}"
            message, given = f"input should be {about['expected_tags']}", f", got {about['tag']!r}"
        where = f"{source}: {path}" if path else source
        raise RequestError(f"{where}: {message[0].lower()}{message[1:]}{given}") from None


def _located(model: Any, location: list[str], content: Any) -> tuple[list[str], list[str]]:
    """A location without what says which of several sections is meant; and the fields that stand beside its last."""
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


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-4 is a number, as YAML 1.2 has it, and a key may not stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = [str(key) for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.YAMLError(f"the field {twice[0]} stands twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
