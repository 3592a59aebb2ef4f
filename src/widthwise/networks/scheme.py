"""The initialization: the name of a scheme, and the standard deviation if the scheme does not imply it."""

from typing import Annotated, Literal

from pydantic import PositiveFloat, model_validator

from widthwise.config import Config, Since

Scheme = Literal[
    "normal",
    "truncated_normal",
    "glorot_normal",
    "glorot_uniform",
    "glorot_truncated_normal",
    "he_normal",
    "he_uniform",
    "he_truncated_normal",
    "lecun_normal",
    "lecun_uniform",
    "lecun_truncated_normal",
    "as_built",
]


class Initialization(Config):
    """`normal` and `truncated_normal` need `standard_deviation`; the others take theirs from the fans.

    `truncated_normal` has that deviation before its values are cut off; `glorot_truncated_normal`,
    `he_truncated_normal` and `lecun_truncated_normal` have their scheme's variance afterwards, as in TensorFlow's
    `VarianceScaling`. With `as_built` the weights are those that the network's own code draws.

    `layer_factors` and `biases` name a layer by its path in the network or by the path of what it lies in: `hidden`
    names `hidden.linear`. Where two names fit, the longer one counts.
    """

    scheme: Scheme = "normal"
    standard_deviation: PositiveFloat | None = None
    layer_factors: Annotated[dict[str, PositiveFloat], Since(4)] = {}
    """Multiplies the standard deviation of these layers' weights."""
    biases: Annotated[dict[str, float], Since(4)] = {}
    """The initial biases of these layers; those of the others are 0."""

    def __hash__(self) -> int:
        layers = (frozenset(each.items()) for each in (self.layer_factors, self.biases))
        return hash((self.scheme, self.standard_deviation, *layers))

    @model_validator(mode="after")
    def _deviation_is_given_where_needed(self):
        needed = self.variance == "given"
        if needed and self.standard_deviation is None:
            raise ValueError(f"scheme {self.scheme} needs standard_deviation")
        if self.scheme == "as_built" and self.standard_deviation is not None:
            raise ValueError("scheme as_built draws nothing: leave standard_deviation out")
        if self.scheme == "as_built" and (self.layer_factors or self.biases):
            wrong = "layer_factors" if self.layer_factors else "biases"
            raise ValueError(f"scheme as_built leaves weights and biases as they are: leave {wrong} out")
        if not needed and self.standard_deviation is not None:
            raise ValueError(
                f"scheme {self.scheme} takes its standard deviation from the fans: leave standard_deviation out"
            )
        return self

    @property
    def variance(self) -> Literal["glorot", "he", "lecun", "given", "as_built"]:
        """The source of the variance."""
        match self.scheme:
            case "glorot_normal" | "glorot_uniform" | "glorot_truncated_normal":
                return "glorot"
            case "he_normal" | "he_uniform" | "he_truncated_normal":
                return "he"
            case "lecun_normal" | "lecun_uniform" | "lecun_truncated_normal":
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
        if self.scheme.endswith("truncated_normal"):
            return "truncated_normal"
        return "uniform" if self.scheme.endswith("uniform") else "normal"
