"""A figure: a chart of an experiment's tables, with a title and a caption."""

from dataclasses import dataclass

from widthwise.analysis.experiment import Analysis
from widthwise.experiments.sweep import PAPER
from widthwise.measurement.settings import Protocol
from widthwise.reporting import published_layer
from widthwise.reporting.composing import Specification, complete
from widthwise.reporting.kinds import Kind
from widthwise.reporting.quantities import QuantityName, protocol_of
from widthwise.wording import counted, duration, listed

MOST_BESIDE = 3
A_MINUTE = 60
TIMES = ["training_seconds", "measuring_seconds"]
PROTOCOLS: dict[Protocol, str] = {
    "text": (
        "Removability by the paper's text: units of one layer at a time are dropped, and numbers are means of the "
        "layers."
    ),
    "figures": (
        "Removability as in the paper's figures: whole channels of all layers are dropped together, and the AUC is the "
        "mean of the curve's points."
    ),
}
BY_LAYER: dict[Protocol, str] = {
    "text": "Removability by the paper's text: units of one layer at a time are dropped.",
    "figures": "Removability as in the paper's figures, where whole channels are dropped, here of each layer alone.",
}
REFERENCE = "Similarity as in the paper's figures, where a unit of constant activity counts as −1."
WORDS: dict[QuantityName, str] = {
    "test_accuracy": "accuracy",
    "auc": "AUC",
    "similarity": "similarity",
    "prunability": "prunability",
    "non_prunability": "non-prunability",
    "redundancy_pca": "redundancy",
}


@dataclass(frozen=True)
class Figure:
    """A chart with its title and caption.

    name: the name of its files and its HTML id: for a figure of the paper its number, such as `6a`, otherwise a word.
    title: its subject, in a few words.
    kind: how it is drawn and explained.
    series: the series that it shows; empty: all of the experiment's.
    of_paper: whether it is a figure of the paper.
    """

    name: str
    title: str
    kind: Kind
    series: tuple[str, ...] = ()
    of_paper: bool = False

    @property
    def heading(self) -> str:
        """Its title, with its number if it is a figure of the paper."""
        return f"Figure {self.name}. {self.title}" if self.of_paper else self.title

    @property
    def panels(self) -> int:
        """The number of panels side by side."""
        return self.kind.panels or min(len(self.series) or MOST_BESIDE, MOST_BESIDE)

    def shown(self, analysis: Analysis) -> list[str]:
        """The series that it can show, in order."""
        networks = analysis.networks
        if needed := self.kind.needs:
            networks = networks.dropna(subset=needed) if needed in networks else networks[:0]
        there = set(networks["series"])
        return [name for name in self.series or analysis.series if name in there]

    def left_out(self, analysis: Analysis) -> list[str]:
        """The series that it should show and that were not run."""
        there = set(analysis.networks["series"])
        return [name for name in self.series or analysis.series if name not in there]


def specification(figure: Figure, analysis: Analysis) -> Specification:
    """The figure as a Vega-Lite specification of its panels alone; its heading and captions are under `usermeta`.

    Args:
        analysis: the experiment, reduced to one protocol.
    """
    meta = {
        "heading": figure.heading,
        "caption": caption(figure, analysis),
        "caption_on_page": caption(figure, analysis, on_page=True),
    }
    return complete(
        lambda: figure.kind.draw(analysis, figure.shown(analysis)), description=figure.heading, usermeta=meta
    )


def caption(figure: Figure, analysis: Analysis, on_page: bool = False) -> str:
    """The meaning of its marks, then how it was made."""
    return " ".join([figure.kind.caption, *details(figure, analysis, on_page)])


def details(figure: Figure, analysis: Analysis, on_page: bool = False) -> list[str]:
    """Protocol, scale, time, data, number of networks, error bars and missing series, one sentence each.

    On the page the experiment's own lines above its figures say what its scale reduces.
    """
    sentences = _protocol(figure, analysis)
    if figure.kind.bars and len(figure.shown(analysis)) > 1:
        sentences.append("Series are set apart a little along the axis, so that none hides another.")
    measures = [*figure.kind.bars, *figure.kind.published]
    sentences += published_layer.caption(analysis, measures, figure.shown(analysis), figure.kind.one_series)
    if not on_page:
        sentences.append(f"Experiment {analysis.label}. {scale_in_words(analysis)}")
    elif analysis.sweep.note(analysis.scale):
        sentences.append(f"Scale {analysis.scale}, reduced as said above.")
    sentences += time_in_words(analysis)
    if analysis.data:
        sentences.append(f"Data: {analysis.data}.")
    if analysis.sweep.analysis != "parameters":
        sentences.append(f"{_replicates(figure, analysis)}{_bars(figure, analysis)}")
    left_out = figure.left_out(analysis)
    if left_out:
        sentences.append(f"Not run, so not shown: {'; '.join(left_out)}.")
    return sentences


def scale_in_words(analysis: Analysis) -> str:
    """The scale, and its reductions."""
    sweep = analysis.sweep
    note = sweep.note(analysis.scale)
    changed = ", ".join(f"{path} = {value}" for path, value in sweep.overrides.items())
    recipe = "" if sweep.recipe == PAPER else f"Recipe {sweep.recipe}. "
    words = f"{recipe}Scale {analysis.scale}{f': {note}' if note else ''}."
    return f"{words} Set otherwise: {changed}." if changed else words


def time_in_words(analysis: Analysis) -> list[str]:
    """How long the trainings took, if each of them says so and it was a minute or more."""
    runs = analysis.runs.drop_duplicates("trial")
    times = runs[runs["status"].isin(["trained", "diverged"])].reindex(columns=TIMES)
    seconds = float(times.to_numpy(dtype=float).sum())
    if not seconds >= A_MINUTE:  # nor where one of them is missing
        return []
    return [f"Training and measuring {counted(len(times), 'network')} took {duration(seconds)}, all added up."]


def _protocol(figure: Figure, analysis: Analysis) -> list[str]:
    protocol = protocol_of(analysis)
    words = BY_LAYER if figure.kind.one_series else PROTOCOLS
    reference = protocol == "figures" and "similarity" in figure.kind.bars
    return [words[protocol]] * figure.kind.ablates + [REFERENCE] * reference


def _replicates(figure: Figure, analysis: Analysis) -> str:
    shown = analysis.networks[analysis.networks["series"].isin(figure.shown(analysis))]
    counts = shown.groupby(["series", "width_factor"]).size()
    low, high = int(counts.min()), int(counts.max())
    least = "" if low == high else f"{low} to "
    return f"n = {least}{counted(high, 'replicate')} at each width."


def _bars(figure: Figure, analysis: Analysis) -> str:
    """The meaning of the error bars (Section 3, "Samplings and Replicates")."""
    of_networks = [WORDS[name] for name in figure.kind.bars if name != "similarity"]
    replicated = bool((analysis.summary["n"] > 1).any())
    sampled = bool((analysis.summary["similarity_std"] > 0).any())
    between_units = protocol_of(analysis) == "figures"
    bars = []
    if of_networks and replicated:
        bars.append(f"of {listed(of_networks)} one SD between replicates")
    elif sampled and (ablated := [word for word in of_networks if word != WORDS["test_accuracy"]]):
        bars.append(f"of {listed(ablated)} one SD between samplings")
    if "similarity" in figure.kind.bars and between_units:
        bars.append("of similarity the mean SD between the units of a layer")
    elif "similarity" in figure.kind.bars and sampled:
        bars.append("of similarity the mean SD between samplings within a network")
    if bars:
        return f" Error bars: {', '.join(bars)}."
    few = ["replicate"] * (not replicated) + ["sampling"] * (not sampled)
    return f" No error bars: one {' and one '.join(few)} each." if figure.kind.bars else ""
