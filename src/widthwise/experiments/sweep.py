"""A sweep: a base trial and the axes that vary, as one YAML file."""

import difflib
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, field_validator

from widthwise.config import Config
from widthwise.errors import RequestError
from widthwise.experiments.settings import LISTED, NAMED, assigned, nested, overlaid, read_yaml, resolved, validated
from widthwise.experiments.trial import Trial
from widthwise.experiments.user_code import with_code, without_folders

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
"""Fields of a trial that an axis of every sweep decides."""
AXES = ("widths", "replicates")
EXTENDS = "extends"
OVERRIDDEN = "+"
"""What follows it in a sweep's name stands for the values that were set from outside."""
NOT_INHERITED = ("name", "figures")


@dataclass(frozen=True)
class PlannedTrial:
    """One trial at its place in a sweep: which series, width factor, replicate and tuned values it stands for."""

    series: str
    width_factor: float
    replicate: int
    tuned: dict[str, Value]
    trial: Trial


class Axes(Config):
    """What a sweep varies. A field of the trial is named by its path, such as `training.learning_rate`."""

    trial: dict[str, Any] = {}
    """The base trial, section by section; what it leaves out has its default."""
    series: dict[str, Axis] = {}
    """What makes the series of a figure, in every combination: a field and its values, or under a name of its own a
    mapping from names to parts of a trial."""
    widths: list[PositiveFloat] = Field(default=[0.25, 0.5, 1.0, 2.0, 4.0], min_length=1)
    """Width factors."""
    tune: dict[str, Values] = {}
    """Fields of which the best value is chosen for each series, width and replicate (`analysis.selection`)."""
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
        return series


class ScaledAxes(Axes):
    """What a scale changes in its sweep; `trial` is laid over the sweep's and over its series' named parts."""

    note: str = ""
    """What the scale reduces, in one sentence."""


class AxesAtScale(Axes):
    """The axes of a sweep at a scale."""

    above: dict[str, Any] = {}
    """What the scale and `--set` change in the trial, laid over the series' named parts too."""


class Sweep(Axes):
    """An experiment: its axes, what it is called and shown as, and what each scale changes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")]
    title: str
    description: str = ""
    figures: list[str] = []
    """What it makes of the paper, such as `B5`."""
    label: str = ""
    """A series' name, with fields in braces, such as `σ = {initialization.standard_deviation:g}`."""
    analysis: Literal["trend", "constructions", "parameters", "convergence"] = "trend"
    """`trend`: does a measure grow with width? `constructions`: do the measures move as Section 2.3 says?
    `parameters`: how many are there? `convergence`: `trend` at each of the epochs that were kept (Fig. B2)."""
    scales: dict[Scale, ScaledAxes] = {}
    overrides: dict[str, Any] = {}
    """Axes by name and fields of the trial by path, set from outside at every scale."""

    @field_validator("figures", mode="before")
    @classmethod
    def _accept_single_figure(cls, figures: Any) -> Any:
        listed = figures if isinstance(figures, list) else [figures]
        return [str(each) if isinstance(each, int) else each for each in listed]

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
            sweep = cls._parse(path, str(path), path.stem)
            if sweep.name in catalogue():
                raise RequestError(f"{name} has the name of an experiment of the catalogue; name the file otherwise")
            if OVERRIDDEN in sweep.name:
                raise RequestError(
                    f"{name}: a sweep's name has no {OVERRIDDEN}, which --set puts there; name it otherwise"
                )
            return sweep
        files = catalogue()
        if name not in files:
            near = difflib.get_close_matches(name, files, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(files)}"
            raise RequestError(
                f"there is no experiment {name!r}: {hint} (for a sweep of your own, name its .yaml file)"
            )
        return cls._parse(files[name], f"{name}.yaml", name)

    @classmethod
    def _parse(cls, file: Any, source: str, name: str) -> "Sweep":
        content = {"name": name, "title": name, **_content(file, source)}
        if isinstance(file, Path):
            content = with_code(content, file.parent)
        sweep = validated(cls, content, source)
        for scale in sweep.scales or ("paper",):
            next(sweep.runs(scale, source=source))
        return sweep

    @property
    def experiment(self) -> str:
        """Its name without what stands for values that were set from outside."""
        return self.name.partition(OVERRIDDEN)[0]

    def at(self, scale: Scale, source: str | None = None) -> AxesAtScale:
        """The axes at a scale. A sweep without scales of its own runs as it stands, at scale `paper`.

        Raises:
            RequestError: the sweep has no such scale.
        """
        if scale != "paper" and scale not in self.scales:
            known = ", ".join(["paper", *(each for each in self.scales if each != "paper")])
            raise RequestError(f"{self.experiment} has no scale {scale!r}: it has {known}")
        changes = self.scales.get(scale, ScaledAxes())
        given = changes.model_dump(exclude_unset=True, exclude={"note", "trial"})
        axes: dict[str, Any] = {field: getattr(self, field) for field in Axes.model_fields}
        axes["series"] = dict(axes["series"])
        source = source or ("--set" if self.overrides else self.name)
        for path, value in given.pop("series", {}).items():
            axes["series"] = {**axes["series"], path: _chosen(axes["series"].get(path), value, source, path)}
        if "series" in changes.model_fields_set:
            axes["series"] = {path: axes["series"][path] for path in changes.series}
        axes |= {**given, "above": changes.trial}
        for path, value in self.overrides.items():
            varied = next((axis for axis in ("series", "tune") if path in axes[axis]), None)
            if path in AXES:
                axes[path] = value
            elif varied:
                values = value if isinstance(value, list) else [value]
                axes[varied] = {**axes[varied], path: _chosen(axes[varied][path], values, source, path)}
            else:
                axes["above"] = overlaid(axes["above"], nested(path, value))
        resolved = validated(AxesAtScale, axes, source)
        parts = [resolved.trial, resolved.above]
        parts += [part for axis in resolved.series.values() if isinstance(axis, dict) for part in axis.values()]
        for path, axis in AXIS_OF.items():
            if path in resolved.series or path in resolved.tune or any(_holds(part, path) for part in parts):
                raise RequestError(f"{source}: {path} is decided by the sweep's {axis}; set {axis} instead")
        return resolved

    def note(self, scale: Scale) -> str:
        """What the scale reduces; empty at the paper's."""
        return self.scales[scale].note if scale in self.scales else ""

    def with_values(self, assignments: Iterable[str] | Mapping[str, Any]) -> "Sweep":
        """The sweep with `PATH=VALUE` set at every scale: an axis by its name, or a field of the trial by its path.

        It has a name of its own, so that a store keeps its results apart from the sweep's.

        Raises:
            RequestError: an assignment is malformed, names no field, or its value does not fit.
        """
        overrides = {**self.overrides, **with_code(assigned(assignments), Path.cwd())}
        if overrides == self.overrides:
            return self
        digest = hashlib.sha256(json.dumps(without_folders(overrides), sort_keys=True).encode()).hexdigest()[:6]
        return self.model_copy(update={"overrides": overrides, "name": f"{self.experiment}{OVERRIDDEN}{digest}"})

    def trials(self, scale: Scale) -> list[Trial]:
        """Every trial at a scale."""
        return [run.trial for run in self.runs(scale)]

    def digest(self, scale: Scale) -> str:
        """What tells two versions of a sweep apart: a short digest of their trials."""
        content = json.dumps(sorted(trial.id for trial in self.trials(scale)))
        return hashlib.sha256(content.encode()).hexdigest()[:6]

    def runs(self, scale: Scale, source: str | None = None) -> Iterator[PlannedTrial]:
        """Every trial at a scale with its place in the sweep: series by series, then by width and replicate.

        Raises:
            RequestError: a path names no field of a trial, or a value does not fit its field.
        """
        source = source or ("--set" if self.overrides else self.name)
        axes = self.at(scale, source)
        combinations = [dict(zip(axes.series, each, strict=True)) for each in itertools.product(*axes.series.values())]
        tunings = [dict(zip(axes.tune, each, strict=True)) for each in itertools.product(*axes.tune.values())]
        contents = [_varied(axes, combination) for combination in combinations]
        labels = [self._label(*pair, source) for pair in zip(combinations, contents, strict=True)]
        if len(set(labels)) < len(labels):
            raise RequestError(
                f"{source}: label: {self.label!r} gives several series one name; name what tells them apart"
            )
        for (label, base), width, replicate, tuned in itertools.product(
            zip(labels, contents, strict=True), axes.widths, range(axes.replicates), tunings
        ):
            content = base
            decided = {"network.width_factor": width, "seed": replicate, "data.seed": replicate}
            for path, value in {**tuned, **decided}.items():
                content = overlaid(content, nested(path, value))
            trial = resolved(content, source)
            self._check_epochs(trial, axes, source)
            yield PlannedTrial(label, width, replicate, tuned, trial)

    def _check_epochs(self, trial: Trial, axes: Axes, source: str) -> None:
        recipe = trial.training
        if self.analysis == "parameters" and recipe.epochs:
            raise RequestError(f"{source}: the analysis of parameters trains nothing; training.epochs must be 0")
        if self.analysis == "convergence" and (not recipe.kept_epochs or recipe.patience or axes.series):
            raise RequestError(
                f"{source}: the analysis of convergence makes a series of each of training.keep_epochs; it needs "
                "these, all epochs (training.patience: null), and no series"
            )

    def _label(self, combination: dict[str, Value], content: dict[str, Any], source: str) -> str:
        named = {path: value for path, value in combination.items() if path in self.named_axes}
        if not self.label:
            shown = [
                str(value) if path in named else f"{path.split('.')[-1]} = {value}"
                for path, value in combination.items()
            ]
            return ", ".join(shown) or self.title
        trial = resolved(content, source)
        try:
            return self.label.format(**{field: getattr(trial, field) for field in Trial.model_fields}, **named)
        except (KeyError, AttributeError, IndexError, ValueError, TypeError) as error:
            raise RequestError(
                f"{source}: label: {self.label!r} cannot be filled in ({error}); "
                "name fields by their path, such as {training.optimizer}"
            ) from None

    @property
    def named_axes(self) -> list[str]:
        """The axes of series whose values have names."""
        return [path for path, axis in self.series.items() if isinstance(axis, dict)]


def _varied(axes: AxesAtScale, combination: dict[str, Value]) -> dict[str, Any]:
    """The base trial of one series."""
    content = axes.trial
    fields = {}
    for path, value in combination.items():
        axis = axes.series[path]
        if isinstance(axis, dict):
            content = overlaid(content, axis[str(value)])
        else:
            fields[path] = value
    content = overlaid(content, axes.above)
    for path, value in fields.items():
        content = overlaid(content, nested(path, value))
    return content


def _chosen(axis: Any, values: Any, source: str, path: str) -> Any:
    """What takes an axis's place: of one with names, those parts that `values` names."""
    if not isinstance(axis, dict) or isinstance(values, dict):
        return values
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RequestError(f"{source}: {path} must be a list of names, of {', '.join(axis)}")
    unknown = [value for value in values if value not in axis]
    if unknown:
        raise RequestError(f"{source}: {path} has no {unknown[0]!r}; there are {', '.join(axis)}")
    return {value: axis[value] for value in values}


def _content(file: Any, source: str) -> dict[str, Any]:
    """What a sweep's file says, laid over the file that it extends."""
    try:
        content = read_yaml(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise RequestError(f"{source} is not a text file in UTF-8") from None
    except yaml.YAMLError as error:
        raise RequestError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RequestError(f"{source} must be a mapping with the fields {', '.join(Sweep.model_fields)}")
    if EXTENDS not in content:
        return content
    base = content.pop(EXTENDS)
    files = {**_yaml_files("catalogue/bases"), **catalogue()}
    if base not in files:
        raise RequestError(f"{source}: {EXTENDS}: there is no experiment {base!r}; there are {', '.join(catalogue())}")
    below = _content(files[base], f"{base}.yaml")
    for holder in (content, *_mapping(content, "scales", source).values()):
        for field in ("trial", "series"):
            _mapping(holder, field, source)
    named, own = below.get("series", {}), _mapping(content, "series", source)
    if own:
        content["series"] = {path: _chosen(named.get(path), axis, source, path) for path, axis in own.items()}
    scales = {}
    for scale in {**below.get("scales", {}), **content.get("scales", {})}:
        inherited = below.get("scales", {}).get(scale, {})
        changes = content.get("scales", {}).get(scale, {})
        kept = {field: value for field, value in inherited.items() if field == "trial" or field not in content}
        replaced = [
            field for field in Axes.model_fields if field in content and field in inherited and field != "trial"
        ]
        if replaced and kept.get("note"):
            kept["note"] += f"; of these {' and '.join(replaced)} as this sweep has them"
        trial = overlaid(inherited.get("trial", {}), changes.get("trial", {}))
        scales[scale] = {**kept, **changes, **({"trial": trial} if trial else {})}
    inherited = {field: value for field, value in below.items() if field not in NOT_INHERITED}
    merged = {**inherited, **content, "trial": overlaid(below.get("trial", {}), content.get("trial", {}))}
    return {**merged, "scales": scales} if scales else merged


def _mapping(content: Any, field: str, source: str) -> dict[str, Any]:
    """A field that is a mapping, or left out.

    Raises:
        RequestError: it is something else.
    """
    if not isinstance(content, dict) or not isinstance(content.get(field, {}), dict):
        what = field if isinstance(content, dict) else "each scale"
        raise RequestError(f"{source}: {what} must be a mapping of fields and values")
    return content.get(field, {})


def catalogue() -> dict[str, Any]:
    """The experiments that come with the package: name → YAML file."""
    return _yaml_files("catalogue")


def _yaml_files(within: str) -> dict[str, Any]:
    folder = resources.files("widthwise.experiments").joinpath(*within.split("/"))
    files = {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
    return dict(sorted(files.items()))


def _holds(content: dict[str, Any], path: str) -> bool:
    here: Any = content
    for part in path.split("."):
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True
