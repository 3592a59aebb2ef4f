"""The base of every section of a trial: immutable data, strict about its field names."""

from collections.abc import Hashable

from pydantic import BaseModel, ConfigDict


class Section(BaseModel, Hashable):
    """Immutable settings. A misspelt or ill-typed field is an error that names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
