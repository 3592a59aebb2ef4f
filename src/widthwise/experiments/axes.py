"""The axes of a sweep: what varies between its trials."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, field_validator

from widthwise.config import Config
from widthwise.experiments.trial import Trial
from widthwise.experiments.validation import LISTED, NAMED, refused
from widthwise.wording import listed

Scale = Literal["smoke", "quick", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "quick", "paper")
Value = bool | int | float | str
Values = Annotated[list[Value], Field(min_length=1)]
Variants = Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
"""Parts of a trial by name, each laid over the base trial."""
Axis = Annotated[
    Annotated[Values, Tag(LISTED)] | Annotated[Variants, Tag(NAMED)],
    Discriminator(lambda content: NAMED if isinstance(content, dict) else LISTED),
]
AXIS_OF = {"network.width_factor": "widths", "seed": "replicates", "data.seed": "replicates"}
"""Fields of a trial that are set by an axis in every sweep."""
AXES = ("widths", "replicates")
AT_WIDTH = "at_width"
"""Within a named part of a series: further fields of the trial by width factor."""


class Axes(Config):
    """The axes of a sweep. A field of the trial is named by its path, such as `training.learning_rate`."""

    trial: dict[str, Any] = {}
    """The base trial, section by section; what it leaves out has its default."""
    series: dict[str, Axis] = {}
    """The axes that make the series of a figure, in every combination: a field and its values, or under a name of its
    own a mapping from names to parts of a trial. A part may have `at_width`, a mapping from width factors to further
    fields: its series then has, of the sweep's widths, these alone."""
    widths: list[PositiveFloat] = Field(default=[0.25, 0.5, 1.0, 2.0, 4.0], min_length=1)
    """Width factors."""
    tune: dict[str, Values] = {}
    """Fields whose best value is chosen for each series, width and replicate (`analysis.trainings`)."""
    replicates: PositiveInt = 3
    """Independently trained copies: replicate r has seed r and its own data, drawn with seed r."""

    @field_validator("series")
    @classmethod
    def _names_are_no_fields(cls, series: dict[str, Any]) -> dict[str, Any]:
        for name, axis in series.items():
            if isinstance(axis, dict) and (name in Trial.model_fields or "." in name or name in AXES):
                raise ValueError(
                    f"{name} with named values needs a name of its own, such as variant: {name} is that of a field"
                )
            for part, content in axis.items() if isinstance(axis, dict) else ():
                _check_widths(content.get(AT_WIDTH, {}), f"{name}.{part}.{AT_WIDTH}")
        return series


class ScaledAxes(Axes):
    """The changes of a scale or a recipe to its sweep; `trial` is laid over the sweep's and its series' named parts."""

    note: str = ""
    """The changes in one sentence."""


def _check_widths(by_width: Any, where: str) -> None:
    if not isinstance(by_width, dict) or not all(isinstance(content, dict) for content in by_width.values()):
        raise ValueError(f"{where} must be a mapping from width factors to fields of the trial")
    try:
        [float(width) for width in by_width]
    except (TypeError, ValueError):
        raise ValueError(
            f"{where} must name width factors, such as 0.25, not {listed(list(map(repr, by_width)))}"
        ) from None


def chosen(axis: Any, values: Any, source: str, path: str) -> Any:
    """The axis that replaces another: `values` themselves or, for one with named parts, the parts that they name.

    Raises:
        RequestError: the axis has named parts, and `values` are not a list of some of their names.
    """
    if not isinstance(axis, dict) or isinstance(values, dict):
        return values
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise refused(source, f"{path} must be a list of names, of {', '.join(axis)}")
    unknown = [value for value in values if value not in axis]
    if unknown:
        raise refused(source, f"{path} has no {unknown[0]!r}; there are {', '.join(axis)}")
    return {value: axis[value] for value in values}
