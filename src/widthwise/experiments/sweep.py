"""A sweep: a base trial and the axes that vary, as one YAML file."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from widthwise.config import Config
from widthwise.errors import RequestError
from widthwise.experiments.axes import AT_WIDTH, AXES, AXIS_OF, SCALES, Axes, Scale, ScaledAxes, Value, chosen
from widthwise.experiments.claim import Claim
from widthwise.experiments.explanation import Explanation, explained
from widthwise.experiments.figure import FigureName, SweepFigure, without_panels
from widthwise.experiments.overlay import nested
from widthwise.experiments.settings import SET, Layer, by_path, combined, resolved
from widthwise.experiments.sweep_file import catalogue, read_sweep
from widthwise.experiments.trial import Trial
from widthwise.experiments.user_code import with_code, without_folders
from widthwise.experiments.validation import SETTINGS, refused, validated
from widthwise.files import digest
from widthwise.wording import listed, suggestion

__all__ = ["SCALES", "Axes", "PlannedTrial", "Scale", "Sweep", "catalogue"]

OVERRIDDEN = "+"
"""Precedes, in a sweep's name, its recipe, and a digest of the values that were set outside of its file."""
PAPER = "paper"
"""The recipe of the paper's text, which every sweep has."""
DIGEST_DIGITS = 6


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a sweep, with its series, width factor, replicate and tuned values."""

    series: str
    width_factor: float
    replicate: int
    tuned: dict[str, Value]
    trial: Trial


class Base(Config):
    """A file that a sweep extends: its fields of the trial, and of the trial in each recipe and at each scale."""

    trial: dict[str, Any] = {}
    recipes: dict[str, dict[str, Any]] = {}
    scales: dict[Scale, dict[str, Any]] = {}


RecipeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]


class Sweep(Axes):
    """An experiment: its axes, the changes of each recipe and scale, its name, its figures and its claims."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")]
    title: str
    description: str = ""
    figures: dict[FigureName, SweepFigure] = {}
    """Its figures by name, in the order of the page: for an experiment of the catalogue the paper's, such as `B5`.
    Without any it has those that suit its analysis."""
    section: str = ""
    """The section of the paper that it follows, if the paper has no figure of it."""
    publication: str = ""
    """Where it was published, if not in the paper's first version, such as `AAAI 2021`."""
    claims: list[Claim] = []
    """Outcomes stated in words, each with the check that tests it."""
    label: str = ""
    """A series' name, with fields in braces, such as `σ = {initialization.standard_deviation:g}`."""
    analysis: Literal["trend", "constructions", "parameters", "convergence"] = "trend"
    """`trend`: does a measure grow with width? `constructions`: do the measures move as Section 2.3 says?
    `parameters`: how many are there? `convergence`: `trend` at each of the epochs that were kept (Fig. B2)."""
    recipes: dict[RecipeName, ScaledAxes] = {}
    """Other ways to train the same networks, such as the authors' own program's: what each changes of the sweep. Its
    `tune` also replaces that of a scale."""
    recipe: str = PAPER
    """The recipe that it has now."""
    scales: dict[Scale, ScaledAxes] = {}
    bases: dict[str, Base] = {}
    """The files that it extends, the lowest first."""
    overrides: dict[str, Any] = {}
    """Axes by name and fields of the trial by path, set outside of its file at every scale."""

    @model_validator(mode="after")
    def _claims_have_names_of_their_own(self):
        names = [claim.identity for claim in self.claims]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"claims: two have the name {twice!r}; give one another name")
        return self

    @model_validator(mode="after")
    def _recipes_can_be_chosen(self):
        if PAPER in self.recipes:
            raise ValueError(f"recipes: {PAPER} is the sweep as it is; give the recipe another name")
        if self.recipe not in (PAPER, *self.recipes):
            raise ValueError(f"recipe: there is no {self.recipe!r}; there are {listed([PAPER, *self.recipes])}")
        return self

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
                raise RequestError(f"{name} has the name of an experiment of the catalogue; give the file another name")
            if OVERRIDDEN in sweep.name:
                raise RequestError(
                    f"{name}: a sweep's name has no {OVERRIDDEN}, which marks those with settings of their own; "
                    "give it another name"
                )
            return sweep
        files = catalogue()
        if name not in files:
            raise RequestError(
                f"there is no experiment {name!r}: {suggestion(name, files, most=3)} "
                "(for a sweep of your own, name its .yaml file)"
            )
        return cls._parse(files[name], f"{name}.yaml", name)

    @classmethod
    def _parse(cls, file: Path, source: str, name: str) -> "Sweep":
        content = {"name": name, "title": name, **read_sweep(file, source)}
        if "recipe" in content:
            raise refused(source, "recipe: a recipe is chosen when the sweep is run; leave it out")
        sweep = validated(cls, with_code(content, file.parent), source)
        for each in (sweep, *map(sweep.with_recipe, sweep.recipes)):
            for scale in sweep.scales or ("paper",):
                next(each.runs(scale, source=source), None)
        return sweep

    @property
    def experiment(self) -> str:
        """Its name without its recipe and the digest of values that were set outside of its file."""
        return self.name.partition(OVERRIDDEN)[0]

    @property
    def of_paper(self) -> bool:
        """Whether it is an experiment of the catalogue, with other values or without."""
        return self.experiment in catalogue()

    @property
    def shows(self) -> list[str]:
        """The figures of the paper that it draws, such as `1c` and `2` (2a and 2b), its section, such as `§2.3`, or the
        publication."""
        figures = without_panels(self.figures) if self.of_paper else []
        return figures or [f"§{self.section}"] * bool(self.section) or [self.publication] * bool(self.publication)

    def at(self, scale: Scale, source: str | None = None) -> Axes:
        """The axes at a scale. A sweep without scales of its own runs as it is, at scale `paper`.

        Raises:
            RequestError: the sweep has no such scale.
        """
        if scale != "paper" and scale not in self.scales:
            known = ", ".join(["paper", *(each for each in self.scales if each != "paper")])
            raise RequestError(f"{self.experiment} has no scale {scale!r}: it has {known}")
        source = source or self._source
        axes: dict[str, Any] = {field: getattr(self, field) for field in Axes.model_fields}
        for changes in (self._changes, self.scales.get(scale, ScaledAxes())):
            given = changes.model_dump(exclude_unset=True, exclude={"note", "trial"})
            if "series" in given:
                own = given["series"].items()
                given["series"] = {path: chosen(axes["series"].get(path), axis, source, path) for path, axis in own}
            axes |= given
        if "tune" in self._changes.model_fields_set:
            axes["tune"] = self._changes.tune
        for path, value in self.overrides.items():
            varied = next((axis for axis in ("series", "tune") if path in axes[axis]), None)
            if path in AXES:
                axes[path] = value
            elif varied:
                values = value if isinstance(value, list) else [value]
                axes[varied] = {**axes[varied], path: chosen(axes[varied][path], values, source, path)}
        at_scale = validated(Axes, axes, source)
        parts = [layer.content for layer in (*self._below(), *self._above(at_scale, scale))]
        named = [part for axis in at_scale.series.values() if isinstance(axis, dict) for part in axis.values()]
        parts += [_at_every_width(part) for part in named]
        parts += [content for part in named for content in part.get(AT_WIDTH, {}).values()]
        fields = {*at_scale.series, *at_scale.tune, *itertools.chain.from_iterable(map(by_path, parts))}
        for path, axis in AXIS_OF.items():
            if path in fields:
                raise refused(source, f"{path} is decided by the sweep's {axis}; set {axis} instead")
        return at_scale

    def note(self, scale: Scale) -> str:
        """A sentence on what the scale reduces; empty at the paper's."""
        return self.scales[scale].note if scale in self.scales else ""

    def with_recipe(self, recipe: str) -> "Sweep":
        """The sweep by another of its recipes, under a name of its own, so that a store keeps its results apart.

        Raises:
            RequestError: it has no such recipe.
        """
        if recipe != PAPER and recipe not in self.recipes:
            known = listed([PAPER, *self.recipes])
            raise RequestError(f"{self.experiment} has no recipe {recipe!r}: it has {known}", field="recipe")
        return self._named(recipe, self.overrides)

    def _named(self, recipe: str, overrides: Mapping[str, object]) -> "Sweep":
        """The sweep with a recipe and values set outside of its file, and the name that belongs to them."""
        parts = [self.experiment, *([recipe] if recipe != PAPER else [])]
        parts += [digest(without_folders(dict(overrides)))[:DIGEST_DIGITS]] if overrides else []
        return self.model_copy(update={"recipe": recipe, "overrides": dict(overrides), "name": OVERRIDDEN.join(parts)})

    @property
    def _changes(self) -> ScaledAxes:
        """What its recipe changes."""
        return self.recipes.get(self.recipe, ScaledAxes())

    def with_values(self, settings: Mapping[str, object]) -> "Sweep":
        """The sweep with `PATH=VALUE` set at every scale: an axis by its name, or a field of the trial by its path.

        It has a name of its own, so that a store keeps its results apart from the sweep's.

        Raises:
            RequestError: an assignment is malformed, names no field, or its value does not fit.
        """
        overrides = {**self.overrides, **with_code(settings, Path.cwd())}
        if overrides == self.overrides:
            return self
        return self._named(self.recipe, overrides)

    def trials(self, scale: Scale) -> list[Trial]:
        """Every trial at a scale."""
        return [run.trial for run in self.runs(scale)]

    def digest(self, scale: Scale) -> str:
        """A short digest of its trials at a scale, which distinguishes two versions of a sweep."""
        return digest(sorted(trial.id for trial in self.trials(scale)))[:DIGEST_DIGITS]

    def series_names(self, scale: Scale) -> list[str]:
        """The names of its series at a scale, in their order."""
        return [name for name, _, _ in self._series(self.at(scale), scale, self._source)]

    def runs(self, scale: Scale, source: str | None = None) -> Iterator[PlannedTrial]:
        """Every trial at a scale: series by series, then by width and replicate.

        Raises:
            RequestError: a path names no field of a trial, or a value does not fit its field.
        """
        source = source or self._source
        axes = self.at(scale, source)
        series = [(label, combined(layers), by_width) for label, layers, by_width in self._series(axes, scale, source)]
        tunings = [dict(zip(axes.tune, each, strict=True)) for each in itertools.product(*axes.tune.values())]
        for (label, base, by_width), width, replicate, tuned in itertools.product(
            series, axes.widths, range(axes.replicates), tunings
        ):
            if by_width and width in self.widths and width not in by_width:
                continue
            of_width = by_width.get(width, Layer(label, {}))
            content = combined([Layer(label, base), of_width, *self._of_run(width, replicate, tuned)])
            trial = resolved(content, source)
            self._check_epochs(trial, axes, source)
            yield PlannedTrial(label, width, replicate, tuned, trial)

    def explain(self, path: str, scale: Scale = "paper") -> list[Explanation]:
        """The value of a field of the trial in each series, and the layer of settings that set it.

        From the lowest, the layers are: the program's default, the paper's recipe for the network, the files that the
        sweep extends, each with its recipe, its own `trial`, with its recipe, a named part of a series, the scale,
        values set for this run (`--set`), and the axes.

        Args:
            path: a field, such as `training.epochs`, or a section, such as `training`, for each of its fields.

        Raises:
            RequestError: no series has such a field, or the sweep has no such scale.
        """
        axes = self.at(scale)
        first = {tuned: values[0] for tuned, values in axes.tune.items()}
        seeds = list(range(axes.replicates))
        varied = {**axes.tune, "network.width_factor": list(axes.widths), "seed": seeds, "data.seed": seeds}
        of_run = self._of_run(axes.widths[0], 0, first)
        series = []
        for name, layers, by_width in self._series(axes, scale, self._source):
            if not by_width:
                series.append((name, [*layers, *of_run]))
            for width, layer in by_width.items():  # each with values of its own
                series.append((f"{name} at {width:g}×", [*layers, layer, *of_run]))
        return explained(series, varied, path, self._source)

    @property
    def _source(self) -> str:
        """The origin of wrong values, for messages."""
        return SETTINGS if self.overrides else self.name

    def _below(self) -> list[Layer]:
        """The layers below the named parts of a series."""
        own = Base(trial=self.trial, recipes={name: changes.trial for name, changes in self.recipes.items()})
        files = {f"the base {name}": base for name, base in self.bases.items()}
        layers = []
        for name, file in {**files, f"the trial of {self.experiment}": own}.items():
            of_recipe = "" if file is own else f" of {name}"
            layers.append(Layer(name, file.trial))
            layers.append(Layer(f"recipe {self.recipe}{of_recipe}", file.recipes.get(self.recipe, {})))
        return layers

    def _above(self, axes: Axes, scale: Scale) -> list[Layer]:
        """The layers above the named parts of a series."""
        bases = [
            Layer(f"scale {scale} of the base {name}", base.scales.get(scale, {})) for name, base in self.bases.items()
        ]
        varied = {*AXES, *axes.series, *axes.tune}
        values = [Layer(SET, nested(*each)) for each in self.overrides.items() if each[0] not in varied]
        return [*bases, Layer(f"scale {scale}", self.scales.get(scale, ScaledAxes()).trial), *values]

    def _series(self, axes: Axes, scale: Scale, source: str) -> list[tuple[str, list[Layer], dict[float, Layer]]]:
        """The name of each series, the layers that make its base trial, and those of its widths, if they differ."""
        combinations = [dict(zip(axes.series, each, strict=True)) for each in itertools.product(*axes.series.values())]
        layers = [self._layers(axes, scale, each) for each in combinations]
        labels = [self._label(axes, *pair, source) for pair in zip(combinations, layers, strict=True)]
        if len(set(labels)) < len(labels):
            raise refused(
                source, f"label: {self.label!r} gives several series one name; add a field in which they differ"
            )
        by_width = [self._at_widths(axes, each) for each in combinations]
        return list(zip(labels, layers, by_width, strict=True))

    def _at_widths(self, axes: Axes, combination: dict[str, Value]) -> dict[float, Layer]:
        """For a series whose part has further fields by width: the widths that it has, each with a layer of these."""
        found: dict[float, Layer] = {}
        for path, value in combination.items():
            axis = axes.series[path]
            if isinstance(axis, dict) and AT_WIDTH in axis[str(value)]:
                name = f"series, {path} {value}, at a width"
                found |= {float(width): Layer(name, each) for width, each in axis[str(value)][AT_WIDTH].items()}
        return found

    def _layers(self, axes: Axes, scale: Scale, combination: dict[str, Value]) -> list[Layer]:
        """The layers of the base trial of one series, the lowest first."""
        parts, fields = [], []
        for path, value in combination.items():
            axis = axes.series[path]
            if isinstance(axis, dict):
                parts.append(Layer(f"series, {path} {value}", _at_every_width(axis[str(value)])))
            else:
                fields.append(Layer(self._axis("series", path), nested(path, value)))
        return [*self._below(), *parts, *self._above(axes, scale), *fields]

    def _of_run(self, width: float, replicate: int, tuned: dict[str, Value]) -> list[Layer]:
        """The layers of one run, above those of its series."""
        return [
            *(Layer(self._axis("tune", path), nested(path, value)) for path, value in tuned.items()),
            Layer(self._axis("widths"), nested("network.width_factor", width)),
            Layer(self._axis("replicates"), {"seed": replicate, "data": {"seed": replicate}}),
        ]

    def _axis(self, axis: str, path: str = "") -> str:
        """The name of the layer of an axis, or of one of its paths."""
        return f"the axis {axis}{f', {SET}' if (path or axis) in self.overrides else ''}"

    def _check_epochs(self, trial: Trial, axes: Axes, source: str) -> None:
        recipe = trial.training
        if self.analysis == "parameters" and recipe.epochs:
            raise refused(source, "the analysis of parameters trains nothing; training.epochs must be 0")
        if self.analysis == "convergence" and (not recipe.kept_epochs or recipe.patience or axes.series):
            raise refused(
                source,
                "the analysis of convergence makes a series of each of training.keep_epochs; it needs "
                "these, all epochs (training.patience: null), and no series",
            )

    def _label(self, axes: Axes, combination: dict[str, Value], layers: list[Layer], source: str) -> str:
        named = {path: value for path, value in combination.items() if isinstance(axes.series.get(path), dict)}
        if not self.label:
            shown = [
                str(value) if path in named else f"{path.split('.')[-1]} = {value}"
                for path, value in combination.items()
            ]
            return ", ".join(shown) or self.title
        trial = resolved(combined(layers), source)
        try:
            return self.label.format(**{field: getattr(trial, field) for field in Trial.model_fields}, **named)
        except (KeyError, AttributeError, IndexError, ValueError, TypeError) as error:
            raise refused(
                source,
                f"label: {self.label!r} cannot be filled in ({error}); "
                "name fields by their path, such as {training.optimizer}",
            ) from None


def _at_every_width(part: Mapping[str, Any]) -> dict[str, Any]:
    """A named part of a series without the fields that it has at some widths alone."""
    return {name: content for name, content in part.items() if name != AT_WIDTH}
