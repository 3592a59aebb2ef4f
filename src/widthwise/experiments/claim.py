"""The form of a claim: an outcome stated in words, and the kind of check that tests it on an experiment's tables.

The kinds of checks are functions of `analysis`, which validates their arguments.
"""

import re
from typing import Annotated

from pydantic import Field

from widthwise.config import Config
from widthwise.measurement.settings import Protocol


class Claim(Config):
    """An outcome that the paper, or the author of a sweep, states in words."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = ""
    """Unique in its experiment, usable as an HTML id; derived from the statement if it is left out (`identity`)."""
    statement: Annotated[str, Field(min_length=1)]
    """The outcome in one sentence."""
    source: str = ""
    """The text that states it, such as `Section 4, Fig. 6a`."""
    protocol: Protocol | None = None
    """How removability is measured where it is tested; None: as the experiment's figures show it."""
    check: dict[str, object]
    """The kind of check by its name in the field `kind`, beside the check's arguments."""

    @property
    def identity(self) -> str:
        """The claim's name, or one made from its statement: `Depth helps.` becomes `depth-helps`."""
        words = re.sub(r"[^a-z0-9]+", "-", self.statement.lower()).strip("-")
        return self.name or (words if words[:1].isalpha() else f"claim-{words}".rstrip("-"))
