"""The base of every section of a trial: immutable data, strict about its field names, with one form that is hashed."""

from collections.abc import Hashable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

TRIAL_FORMAT = 5
"""The version of the fields of a trial. It grows when a field is added, which is then marked with `Since`."""


@dataclass(frozen=True)
class Since:
    """Marks a field that was added in a later format: `blocks: Annotated[PositiveInt, Since(3)] = 9`.

    It counts in a trial's id only where it is not at its default, so that finished trials keep their ids. A field of a
    dataclass is marked by its metadata: `field(default=9, metadata={"since": 3})`.
    """

    format: int


class Config(BaseModel, Hashable):
    """Immutable settings. A misspelt or ill-typed field is an error that names the field.

    Raises:
        TypeError: when a class is defined, a field is marked with `Since` a format that is not there yet, or has no
            default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            since = _since(field)
            if since is None:
                continue
            if not 2 < since.format <= TRIAL_FORMAT:
                raise TypeError(
                    f"{cls.__name__}.{name} is marked Since({since.format}); formats with added fields are 3 to "
                    f"{TRIAL_FORMAT} (TRIAL_FORMAT, which grows when a field is added)"
                )
            if field.is_required():
                raise TypeError(f"{cls.__name__}.{name} is marked Since({since.format}) and needs a default")

    def content(self) -> dict[str, Any]:
        """The settings as plain data, in the form that is hashed."""
        plain = self.model_dump(mode="json")
        counted: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if field.exclude or (_since(field) and value == field.get_default(call_default_factory=True)):
                continue
            counted[name] = value.content() if isinstance(value, Config) else plain[name]
            if is_dataclass(value):
                added = [each for each in fields(value) if "since" in each.metadata]
                for each in added:
                    if getattr(value, each.name) == each.default:
                        del counted[name][each.name]
        return counted


def _since(field: FieldInfo) -> Since | None:
    return next((mark for mark in field.metadata if isinstance(mark, Since)), None)
