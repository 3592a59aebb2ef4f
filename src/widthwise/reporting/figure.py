"""A figure: a chart of an experiment's tables, with a title and a caption."""

import textwrap
from dataclasses import dataclass

from widthwise.analysis.claims.measures import ACCURACY, AUC, SIMILARITY
from widthwise.analysis.experiment import Analysis
from widthwise.experiments.sweep import PAPER
from widthwise.reporting.composing import Specification, complete
from widthwise.reporting.kinds import Kind
from widthwise.wording import counted

MOST_BESIDE = 3
TITLE_ROOM = 46
"""Characters of a title that fit above one panel."""


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
        there = set(analysis.networks["series"])
        return [name for name in self.series or analysis.series if name in there]

    def left_out(self, analysis: Analysis) -> list[str]:
        """The series that it should show and that were not run."""
        there = set(analysis.networks["series"])
        return [name for name in self.series or analysis.series if name not in there]


def specification(figure: Figure, analysis: Analysis) -> Specification:
    """The figure as a Vega-Lite specification, with its title, scale, data and number of networks on it."""
    room = TITLE_ROOM * figure.panels
    lines = [line for text in details(figure, analysis) for line in wrapped(text, room)]
    title = {"text": wrapped(figure.heading, room), "subtitle": lines}
    return complete(lambda: figure.kind.draw(analysis, figure.shown(analysis)), title=title)


def details(figure: Figure, analysis: Analysis) -> list[str]:
    """Scale, data, number of networks, error bars and missing series, one sentence each."""
    sentences = [f"Experiment {analysis.label}. {scale_in_words(analysis)}"]
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


def wrapped(text: str, room: int) -> list[str]:
    """`text` in lines of at most `room` characters, except for longer words."""
    words = " ".join(text.split())
    return textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]


def _replicates(figure: Figure, analysis: Analysis) -> str:
    shown = analysis.networks[analysis.networks["series"].isin(figure.shown(analysis))]
    counts = shown.groupby(["series", "width_factor"]).size()
    low, high = int(counts.min()), int(counts.max())
    least = "" if low == high else f"{low} to "
    return f"n = {least}{counted(high, 'replicate')} at each width."


def _bars(figure: Figure, analysis: Analysis) -> str:
    """The meaning of the error bars (Section 3, "Samplings and Replicates")."""
    replicated = bool((analysis.summary["n"] > 1).any())
    sampled = bool((analysis.summary["similarity_std"] > 0).any())
    names = {ACCURACY: "accuracy", AUC: "AUC"}
    between_networks = " and ".join(name for measure, name in names.items() if measure in figure.kind.bars)
    bars = []
    if between_networks and replicated:
        bars.append(f"of {between_networks} one SD between replicates")
    elif AUC in figure.kind.bars and sampled:
        bars.append("of AUC one SD between samplings")
    if SIMILARITY in figure.kind.bars and sampled:
        bars.append("of similarity the mean SD between samplings within a network")
    if bars:
        return f" Error bars: {', '.join(bars)}."
    few = ["replicate"] * (not replicated) + ["sampling"] * (not sampled)
    return f" No error bars: one {' and one '.join(few)} each." if figure.kind.bars else ""
