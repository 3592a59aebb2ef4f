"""An experiment as tidy tables, which its figures, its verdict, its claims and its page are made from."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pandas as pd

from widthwise.errors import RequestError
from widthwise.experiments.sweep import Scale, Sweep
from widthwise.experiments.validation import refused
from widthwise.measurement.settings import Protocol
from widthwise.training.recipe import Recipe
from widthwise.wording import counted, listed, suggestion

TABLES = (
    *("summary", "verdicts", "compressibility", "claims", "comparison", "layers", "networks", "runs", "settings"),
    *("ablation", "correlation", "growth", "published", "published_series"),
)
BY_PROTOCOL = ("summary", "verdicts", "layers", "networks", "ablation", "growth")
"""The tables with a column `protocol`: a row for each way in which removability was measured."""


@dataclass(frozen=True)
class Analysis:
    """An experiment at a scale, as tidy tables.

    Some have a row for each protocol, in a column `protocol` (`BY_PROTOCOL`); `under` gives those of one alone.

    sweep, scale: the experiment.
    runs: every run, including those that diverged or are missing.
    settings: all settings of every trial, one column for each, named by its path.
    networks: the chosen networks with their measures, one row each.
    summary: means and deviations by series and width factor.
    layers: the same for each layer, in order of depth.
    ablation, correlation: curves and distributions by series, width factor and layer.
    growth: factors per doubling of width by series and measure; empty where the sweep tests no trend.
    verdicts: one row per series; empty where the sweep tests no trend.
    compressibility: one row per series: whether wider networks compress to the same size; empty where the trials do not
        measure it, or the sweep tests no trend.
    claims: one row for each claim that the sweep's author states; empty for the catalogue's, which are the paper's.
    comparison: theory beside measurement, for the constructions of Section 2.3; empty otherwise.
    published: the authors' published values beside ours, point by point; empty where none is of what was run.
    published_series: for each published series, how far ours is from it.
    environment: the environment in which the chosen networks were trained.
    data: the data that they were trained and measured on, in words.
    series: the names of the series that were planned, in their order.
    version: a digest, if another version of the experiment was run into the store later.
    """

    sweep: Sweep
    scale: Scale
    runs: pd.DataFrame
    networks: pd.DataFrame
    series: list[str]
    settings: pd.DataFrame
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    ablation: pd.DataFrame = field(default_factory=pd.DataFrame)
    correlation: pd.DataFrame = field(default_factory=pd.DataFrame)
    growth: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    compressibility: pd.DataFrame = field(default_factory=pd.DataFrame)
    claims: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparison: pd.DataFrame = field(default_factory=pd.DataFrame)
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    published_series: pd.DataFrame = field(default_factory=pd.DataFrame)
    environment: dict[str, str] = field(default_factory=dict)
    data: str = ""
    version: str = ""

    @property
    def name(self) -> str:
        """The experiment, its version where there is a later one, and its scale: `NAME.SCALE`, `NAME@DIGEST.SCALE`."""
        return f"{self.sweep.name}{f'@{self.version}' if self.version else ''}.{self.scale}"

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols that the networks were measured by; none where nothing was measured."""
        return tuple(self.networks["protocol"].unique()) if "protocol" in self.networks else ()

    @property
    def protocol(self) -> Protocol | None:
        """The protocol of what is shown and tested unless another is asked for: an experiment of the paper has its
        figures', a user's own sweep the text's, where it was measured by that; None: none."""
        preferred = "figures" if self.sweep.of_paper else "text"
        return preferred if preferred in self.protocols else next(iter(self.protocols), None)

    def under(self, protocol: Protocol | None) -> "Analysis":
        """The same with the rows of one protocol alone; None: as it is, where nothing was measured.

        Raises:
            RequestError: the networks were not measured by that protocol.
        """
        if protocol is None:
            return self
        if self.protocols and protocol not in self.protocols:
            raise RequestError(
                f"the networks of {self.sweep.name} were measured by {listed(self.protocols)} alone, not by {protocol}",
                field="protocol",
            )
        tables = {name: getattr(self, name) for name in BY_PROTOCOL}
        return replace(
            self,
            **{name: table[table["protocol"] == protocol] for name, table in tables.items() if "protocol" in table},
        )

    @property
    def label(self) -> str:
        """The experiment, and its version where there is a later one, in words."""
        return f"{self.sweep.name}{f' (earlier version {self.version})' if self.version else ''}"

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that have rows, by name."""
        return {name: table for name in TABLES if len(table := getattr(self, name))}


def planned_series(sweep: Sweep, scale: Scale) -> list[str]:
    """The names of an experiment's series at a scale, in order; for convergence, one for each kept epoch."""
    if sweep.analysis == "convergence":
        return list(names_of_epochs(next(sweep.runs(scale)).trial.training).values())
    return sweep.series_names(scale)


def check_series(sweep: Sweep, names: Collection[str], source: str, within: str) -> None:
    """Check that an experiment has series of these names at the paper's scale.

    Args:
        source, within: the file that names them, and the path there, for the error.

    Raises:
        RequestError: it does not.
    """
    series = planned_series(sweep, "paper") if names else []
    unknown = next((name for name in names if name not in series), None)
    if unknown is not None:
        raise refused(source, f"{within}: there is no series {unknown!r}; {suggestion(unknown, series)}")


def names_of_epochs(recipe: Recipe) -> dict[int, str]:
    """The names of the epochs that a recipe keeps, which are counted from 1, from the last to the first."""
    before = {epoch: recipe.epochs - epoch for epoch in sorted(recipe.kept_epochs, reverse=True)}
    return {
        epoch: f"{counted(count, 'epoch')} before the end" if count else "at the end" for epoch, count in before.items()
    }
