"""The base of every section of a trial: immutable data, strict about its field names."""

from collections.abc import Hashable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Config(BaseModel, Hashable):
    """Immutable settings. A misspelt or ill-typed field is an error that names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    LATER: ClassVar[frozenset[str]] = frozenset()
    """Fields that came when results existed already: they count in `content` only where they are not their default, so
    that those results keep their names."""

    def content(self) -> dict[str, Any]:
        """The settings as plain data, in the form that is hashed."""
        fields = type(self).model_fields
        given = {name: getattr(self, name) for name in fields}
        counted = [name for name in fields if name not in self.LATER or given[name] != fields[name].default]
        plain = self.model_dump(mode="json", include=set(counted))
        return {name: given[name].content() if isinstance(given[name], Config) else plain[name] for name in counted}
