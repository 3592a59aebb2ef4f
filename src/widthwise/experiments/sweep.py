"""A sweep: a base trial and the axes that vary, as one YAML file."""

import difflib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from widthwise.errors import RequestError
from widthwise.experiments.settings import assigned, nested, overlaid, read_yaml, resolved, validated
from widthwise.experiments.trial import Trial
from widthwise.section import Section

Scale = Literal["smoke", "quick", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "quick", "paper")
Value = bool | int | float | str
AXIS_OF = {"network.width_factor": "widths", "seed": "replicates", "data.seed": "replicates"}
"""Fields of a trial that an axis of every sweep decides."""


@dataclass(frozen=True)
class Run:
    """One trial at its place in a sweep: which series, width factor, replicate and tuned values it stands for."""

    series: str
    width_factor: float
    replicate: int
    tuned: dict[str, Value]
    trial: Trial


class Axes(Section):
    """What a sweep varies. A field of the trial is named by its path, such as `training.learning_rate`."""

    trial: dict[str, Any] = {}
    """The base trial, section by section; what it leaves out has its default."""
    series: dict[str, Annotated[list[Value], Field(min_length=1)]] = {}
    """Fields whose values, in every combination, make the series of a figure."""
    widths: list[PositiveFloat] = Field(default=[0.25, 0.5, 1.0, 2.0, 4.0], min_length=1)
    """Width factors."""
    tune: dict[str, Annotated[list[Value], Field(min_length=1)]] = {}
    """Fields of which the best value is chosen for each series, width and replicate (`analysis.selection`)."""
    replicates: PositiveInt = 3
    """Independently trained copies: replicate r has seed r and its own data, drawn with seed r."""


class ScaledAxes(Axes):
    """What a scale changes in its sweep; `trial` is laid over the sweep's, field by field."""

    note: str = ""
    """What the scale reduces, in one sentence."""


class Sweep(Axes):
    """An experiment: its axes, what it is called and shown as, and what each scale changes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")]
    title: str
    description: str = ""
    figures: list[str] = []
    """What it makes of the paper, such as `B5`."""
    label: str = ""
    """A series' name, with fields in braces, such as `σ = {initialization.standard_deviation:g}`."""
    analysis: Literal["trend", "constructions"] = "trend"
    """`trend`: does a measure grow with width? `constructions`: do the measures move as Section 2.3 says?"""
    scales: dict[Scale, ScaledAxes] = {}
    overrides: dict[str, Any] = {}
    """Axes by name and fields of the trial by path, set from outside at every scale."""

    @model_validator(mode="before")
    @classmethod
    def _accept_single_figure(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(content.get("figures"), str):
            return {**content, "figures": [content["figures"]]}
        return content

    @classmethod
    def load(cls, name: str) -> "Sweep":
        """A sweep of the catalogue by its name, or of a YAML file by its path.

        Raises:
            RequestError: there is no such sweep or file, or the file has a wrong field, which is named.
        """
        if name.endswith((".yaml", ".yml")):
            path = Path(name)
            if not path.is_file():
                raise RequestError(f"there is no sweep file {name}")
            if path.stem in catalogue():
                raise RequestError(f"{name} has the name of an experiment of the catalogue; name the file otherwise")
            try:
                return cls._parse(path.read_text(encoding="utf-8"), str(path), path.stem)
            except UnicodeDecodeError:
                raise RequestError(f"{name} is not a text file in UTF-8") from None
        files = catalogue()
        if name not in files:
            near = difflib.get_close_matches(name, files, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(files)}"
            raise RequestError(
                f"there is no experiment {name!r}: {hint} (for a sweep of your own, name its .yaml file)"
            )
        return cls._parse(files[name].read_text(encoding="utf-8"), f"{name}.yaml", name)

    @classmethod
    def _parse(cls, text: str, source: str, name: str) -> "Sweep":
        try:
            content = read_yaml(text)
        except yaml.YAMLError as error:
            raise RequestError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise RequestError(f"{source} must be a mapping with the fields {', '.join(cls.model_fields)}")
        content = {"name": name, "title": name, **content}
        sweep = validated(cls, content, source)
        for scale in sweep.scales or ("paper",):
            next(sweep.runs(scale, source=source))
        return sweep

    def at(self, scale: Scale, source: str | None = None) -> Axes:
        """The axes at a scale. A sweep without scales of its own runs as it stands, at scale `paper`.

        Raises:
            RequestError: the sweep has no such scale.
        """
        if scale != "paper" and scale not in self.scales:
            known = ", ".join(["paper", *(each for each in self.scales if each != "paper")])
            raise RequestError(f"{self.name.partition('+')[0]} has no scale {scale!r}: it has {known}")
        changes = self.scales.get(scale, ScaledAxes())
        given = changes.model_dump(exclude_unset=True, exclude={"note", "trial"})
        axes = {field: getattr(self, field) for field in Axes.model_fields}
        axes |= {**given, "trial": overlaid(self.trial, changes.trial)}
        for path, value in self.overrides.items():
            varied = next((axis for axis in ("series", "tune") if path in axes[axis]), None)
            if path in ("widths", "replicates"):
                axes[path] = value
            elif varied:
                axes[varied] = {**axes[varied], path: value if isinstance(value, list) else [value]}
            else:
                axes["trial"] = overlaid(axes["trial"], nested(path, value))
        source = source or ("--set" if self.overrides else self.name)
        resolved = validated(Axes, axes, source)
        for path, axis in AXIS_OF.items():
            if path in resolved.series or path in resolved.tune or _holds(resolved.trial, path):
                raise RequestError(f"{source}: {path} is decided by the sweep's {axis}; set {axis} instead")
        return resolved

    def note(self, scale: Scale) -> str:
        """What the scale reduces; empty at the paper's."""
        return self.scales[scale].note if scale in self.scales else ""

    def with_values(self, assignments: Iterable[str]) -> "Sweep":
        """The sweep with `PATH=VALUE` set at every scale: an axis by its name, or a field of the trial by its path.

        It has a name of its own, so that a store keeps its results apart from the sweep's.

        Raises:
            RequestError: an assignment is malformed, names no field, or its value does not fit.
        """
        overrides = {**self.overrides, **assigned(assignments)}
        if overrides == self.overrides:
            return self
        digest = hashlib.sha256(json.dumps(overrides, sort_keys=True).encode()).hexdigest()[:6]
        return self.model_copy(update={"overrides": overrides, "name": f"{self.name.partition('+')[0]}+{digest}"})

    def trials(self, scale: Scale) -> list[Trial]:
        """Every trial at a scale."""
        return [run.trial for run in self.runs(scale)]

    def runs(self, scale: Scale, source: str | None = None) -> Iterator[Run]:
        """Every trial at a scale with its place in the sweep: series by series, then by width and replicate.

        Raises:
            RequestError: a path names no field of a trial, or a value does not fit its field.
        """
        source = source or ("--set" if self.overrides else self.name)
        axes = self.at(scale, source)
        combinations = [dict(zip(axes.series, each, strict=True)) for each in itertools.product(*axes.series.values())]
        tunings = [dict(zip(axes.tune, each, strict=True)) for each in itertools.product(*axes.tune.values())]
        labels = [self._label(combination, axes, source) for combination in combinations]
        if len(set(labels)) < len(labels):
            raise RequestError(
                f"{source}: label: {self.label!r} gives several series one name; name what tells them apart"
            )
        for (label, combination), width, replicate, tuned in itertools.product(
            zip(labels, combinations, strict=True), axes.widths, range(axes.replicates), tunings
        ):
            content: dict[str, Any] = axes.trial
            varied = {**combination, **tuned, "network.width_factor": width}
            for path, value in {**varied, "seed": replicate, "data.seed": replicate}.items():
                content = overlaid(content, nested(path, value))
            trial = resolved(content, source)
            yield Run(label, width, replicate, tuned, trial)

    def _label(self, combination: dict[str, Value], axes: Axes, source: str) -> str:
        if not self.label:
            return ", ".join(f"{path.split('.')[-1]} = {value}" for path, value in combination.items()) or self.title
        content = axes.trial
        for path, value in combination.items():
            content = overlaid(content, nested(path, value))
        trial = resolved(content, source)
        try:
            return self.label.format(**{field: getattr(trial, field) for field in Trial.model_fields})
        except (KeyError, AttributeError, IndexError, ValueError, TypeError) as error:
            raise RequestError(
                f"{source}: label: {self.label!r} cannot be filled in ({error}); "
                "name fields by their path, such as {training.optimizer}"
            ) from None


def catalogue() -> dict[str, Any]:
    """The experiments that come with the package: name → YAML file."""
    folder = resources.files("widthwise.experiments") / "catalogue"
    files = {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
    return dict(sorted(files.items()))


def _holds(content: dict[str, Any], path: str) -> bool:
    here: Any = content
    for part in path.split("."):
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True
