"""The experiments that come with the program as a table, like the paper's Table 1, and found by their figures."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from widthwise.errors import RequestError
from widthwise.experiments.axes import AXIS_OF
from widthwise.experiments.figure import NUMBER, in_order_of_paper, is_named
from widthwise.experiments.settings import by_path
from widthwise.experiments.sweep import PAPER, SCALES, PlannedTrial, Scale, Sweep, catalogue
from widthwise.experiments.trial import Trial

VARIANCES = {"glorot": "Glorot", "he": "He", "lecun": "LeCun", "given": ""}


@dataclass(frozen=True)
class Setting:
    """The values that the trials of one network have in one column; `starred` where the experiment varies it."""

    values: tuple[str, ...]
    starred: bool


@dataclass(frozen=True)
class Row:
    """One network of an experiment, as in the paper's Table 1."""

    network: str
    data: Setting
    initialization: Setting
    optimizer: Setting
    regularizers: Setting
    rate_and_batch: Setting


@dataclass(frozen=True)
class Difference:
    """A field of the trial, or an axis, that another recipe sets otherwise: the values of each, over all series."""

    path: str
    paper: tuple[object, ...]
    recipe: tuple[object, ...]


@dataclass(frozen=True)
class Entry:
    """An experiment: its rows, at each scale its trials and its arithmetic in floating-point operations, and what each
    other recipe changes."""

    sweep: Sweep
    rows: tuple[Row, ...]
    trials: dict[Scale, int]
    flops: int
    recipes: dict[str, tuple[Difference, ...]]

    @property
    def numbered(self) -> bool:
        """Whether it draws figures of the paper."""
        return any(map(NUMBER.fullmatch, self.sweep.figures))


def entry(sweep: Sweep) -> Entry:
    """An experiment at the paper's scale, as the table has it; the arithmetic is that of all of a recipe's epochs."""
    runs = list(sweep.runs("paper"))
    groups: dict[str, list[PlannedTrial]] = {}
    for run in runs:
        groups.setdefault(_network(run.trial), []).append(run)
    scales: list[Scale] = [scale for scale in SCALES if scale == "paper" or scale in sweep.scales]
    return Entry(
        sweep,
        tuple(_row(network, of_network) for network, of_network in groups.items()),
        {scale: len({trial.id for trial in sweep.trials(scale)}) for scale in scales},
        training_flops(run.trial for run in runs),
        {name: differences(sweep, name) for name in sweep.recipes},
    )


def differences(sweep: Sweep, recipe: str) -> tuple[Difference, ...]:
    """The fields of the trial, and the axes, in which a recipe differs from the paper's at the paper's scale."""
    of_paper, of_recipe = (_values(each) for each in (sweep.with_recipe(PAPER), sweep.with_recipe(recipe)))
    paths = dict.fromkeys([*of_paper, *of_recipe])
    pairs = {path: (of_paper.get(path, ()), of_recipe.get(path, ())) for path in paths}
    return tuple(Difference(path, *pair) for path, pair in pairs.items() if pair[0] != pair[1])


def _values(sweep: Sweep) -> dict[str, tuple[object, ...]]:
    """The values of each field of the trial by path, over all series; and those of the axes."""
    axes = sweep.at("paper")
    found: dict[str, tuple[object, ...]] = {"replicates": (axes.replicates,), "widths": tuple(axes.widths)}
    trials = [by_path(run.trial.model_dump(mode="json")) for run in sweep.runs("paper")]
    for path in dict.fromkeys(itertools.chain.from_iterable(trials)):
        if path not in AXIS_OF:
            values = [each[path] for each in trials if path in each]
            found[path] = tuple(value for index, value in enumerate(values) if value not in values[:index])
    return found


def named_figures(wanted: str) -> dict[str, tuple[str, ...]]:
    """The experiments that draw a figure of the paper, each with the names of its figures: `6` is 6a and 6b.

    For a whole section, such as `§2.3`, there are no names.

    Raises:
        RequestError: the paper has no such figure.
    """
    sweeps = [Sweep.load(name) for name in catalogue()]
    named = {
        sweep.name: tuple(name for name in sweep.figures if NUMBER.fullmatch(name) and is_named(name, wanted))
        for sweep in sweeps
    }
    found = {
        sweep.name: named[sweep.name]
        for sweep in sweeps
        if named[sweep.name] or (sweep.section and wanted.strip() == f"§{sweep.section}")
    }
    if not found:
        names = in_order_of_paper(name for sweep in sweeps for name in sweep.figures if NUMBER.fullmatch(name))
        raise RequestError(f"the paper has no figure {wanted!r}: it has {', '.join(names)}")
    return found


def training_flops(trials: Iterable[Trial]) -> int:
    """Floating-point operations to train all of them, each for all epochs of its recipe."""
    return sum(_flops(trial) for trial in {trial.id: trial for trial in trials}.values() if trial.training.epochs)


def _flops(trial: Trial) -> int:
    from widthwise.networks.cost import arithmetic

    data, examples = trial.data, trial.data.training_examples
    assert data.shape is not None, "the catalogue's data have known sizes"
    assert data.classes is not None
    assert examples is not None
    examples = trial.training.epochs * trial.training.examples_in_epoch(examples)
    return arithmetic(trial.network, data.shape, data.classes).training_flops * examples


def _row(network: str, runs: list[PlannedTrial]) -> Row:
    def setting(describe: Callable[[PlannedTrial], str]) -> Setting:
        values = tuple(dict.fromkeys(describe(run) for run in runs))
        return Setting(values, len(values) > 1)

    return Row(
        network,
        setting(lambda run: run.trial.data.in_short()),
        setting(lambda run: _initialization(run.trial)),
        setting(lambda run: run.trial.training.optimizer),
        setting(lambda run: _regularizers(run.trial)),
        setting(_rate_and_batch),
    )


def _network(trial: Trial) -> str:
    layer = "-layer" if trial.network.varied_layers else ""
    return f"{trial.network.title}{layer}"


def _initialization(trial: Trial) -> str:
    settings: Any = trial.initialization
    if settings.scheme == "as_built":
        return "as built"
    distribution = settings.distribution.replace("_", " ")
    deviation = f" σ {settings.standard_deviation:g}" if settings.standard_deviation else ""
    return f"{VARIANCES[settings.variance]} {distribution}{deviation}".strip()


def _regularizers(trial: Trial) -> str:
    present = {
        "BN": trial.network.normalized,
        "DA": trial.training.augmentation or trial.training.colour_augmentation,
        "DO": getattr(trial.network, "dropout", 0.0) > 0,
        "WD": trial.training.weight_decay > 0,
    }
    return " ".join(name for name, there in present.items() if there) or "none"


def _rate_and_batch(run: PlannedTrial) -> str:
    recipe = run.trial.training
    rate = "best" if "training.learning_rate" in run.tuned else f"{recipe.learning_rate * recipe.scale:g}"
    return f"{rate} × {recipe.scaled_batch_size}"
