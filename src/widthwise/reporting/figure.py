"""A figure: a chart of an experiment's tables, with a title and a caption."""

from dataclasses import dataclass

from widthwise.analysis.claims.measures import ACCURACY, AUC, SIMILARITY, Measure
from widthwise.analysis.experiment import Analysis
from widthwise.reporting.composing import Chart, Specification, complete
from widthwise.wording import counted

TITLE_ROOM = 46
"""Characters of a title that fit above one panel."""


@dataclass(frozen=True)
class Figure:
    """A chart with its title and caption.

    name: the name of its files and its HTML id: for a figure of the paper its number, such as `6a`, otherwise a word.
    title: its subject, in a few words.
    caption: the meaning of each mark, in a sentence or two.
    draw: the function that draws the chart.
    bars: the measures that have error bars.
    series: the series that it shows; empty: all of the experiment's.
    panels: the number of panels side by side.
    of_paper: whether it is a figure of the paper.
    """

    name: str
    title: str
    caption: str
    draw: Chart
    bars: tuple[Measure, ...] = ()
    series: tuple[str, ...] = ()
    panels: int = 1
    of_paper: bool = False

    @property
    def heading(self) -> str:
        """Its title, with its number if it is a figure of the paper."""
        return f"Figure {self.name}. {self.title}" if self.of_paper else self.title

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
    return complete(lambda: figure.draw(analysis, figure.shown(analysis)), title=title)


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
    words = f"Scale {analysis.scale}{f': {note}' if note else ''}."
    return f"{words} Set otherwise: {changed}." if changed else words


def wrapped(text: str, room: int) -> list[str]:
    """`text` in lines of at most `room` characters, except for longer words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if len(longer) > room and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


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
    between_networks = " and ".join(name for measure, name in names.items() if measure in figure.bars)
    bars = []
    if between_networks and replicated:
        bars.append(f"of {between_networks} one SD between replicates")
    elif AUC in figure.bars and sampled:
        bars.append("of AUC one SD between samplings")
    if SIMILARITY in figure.bars and sampled:
        bars.append("of similarity the mean SD between samplings within a network")
    if bars:
        return f" Error bars: {', '.join(bars)}."
    few = ["replicate"] * (not replicated) + ["sampling"] * (not sampled)
    return f" No error bars: one {' and one '.join(few)} each." if figure.bars else ""
