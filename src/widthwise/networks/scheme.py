"""The initialization: the name of a scheme, and the standard deviation if the scheme does not imply it."""

from typing import Literal

from pydantic import PositiveFloat, model_validator

from widthwise.config import Config

Scheme = Literal[
    "normal",
    "truncated_normal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "as_built",
]


class Initialization(Config):
    """`normal` and `truncated_normal` need `standard_deviation`; the others take theirs from the fans.

    With `as_built` the weights are those that the network's own code draws.
    """

    scheme: Scheme = "normal"
    standard_deviation: PositiveFloat | None = None

    @model_validator(mode="after")
    def _deviation_is_given_where_needed(self):
        needed = self.variance == "given"
        if needed and self.standard_deviation is None:
            raise ValueError(f"scheme {self.scheme} needs standard_deviation")
        if self.scheme == "as_built" and self.standard_deviation is not None:
            raise ValueError("scheme as_built draws nothing: leave standard_deviation out")
        if not needed and self.standard_deviation is not None:
            raise ValueError(
                f"scheme {self.scheme} takes its standard deviation from the fans: leave standard_deviation out"
            )
        return self

    @property
    def variance(self) -> Literal["glorot", "he", "lecun", "given", "as_built"]:
        """The source of the variance."""
        match self.scheme:
            case "glorot_normal" | "glorot_uniform":
                return "glorot"
            case "he_normal" | "he_uniform":
                return "he"
            case "lecun_normal" | "lecun_uniform":
                return "lecun"
            case "normal" | "truncated_normal":
                return "given"
            case "as_built":
                return "as_built"

    @property
    def distribution(self) -> Literal["normal", "uniform", "truncated_normal"]:
        """The shape of the distribution.

        Raises:
            ValueError: nothing is drawn with the scheme.
        """
        if self.scheme == "as_built":
            raise ValueError("with the scheme as_built nothing is drawn")
        if self.scheme == "truncated_normal":
            return "truncated_normal"
        return "uniform" if self.scheme.endswith("uniform") else "normal"
