"""The figures of an experiment: those that its file chooses, or those that fit any experiment of its analysis."""

from widthwise.analysis.experiment import Analysis, check_series
from widthwise.experiments.figure import NUMBER, SweepFigure
from widthwise.experiments.sweep import Sweep
from widthwise.experiments.validation import of_kind, refused
from widthwise.reporting.figure import Figure
from widthwise.reporting.kinds import KINDS, OF_ANALYSIS, OF_TREND

OF_ANY = {
    "panels": SweepFigure(title="Accuracy, removability and similarity", chart={"kind": "measures"}),
    "ablation-curves": SweepFigure(title="Ablation curves", chart={"kind": "ablation_curves"}),
    "correlation-violins": SweepFigure(title="Correlations", chart={"kind": "correlation_violins"}),
}
COMPRESSED = {
    "compressed-parameters": SweepFigure(title="Compressed networks", chart={"kind": "compressed_parameters"})
}
CONSTRUCTIONS = SweepFigure(title="Section 2.3: expected and measured", chart={"kind": "constructions"})


def figures(analysis: Analysis) -> list[Figure]:
    """The figures of an experiment, in the order of the page: those of its file, or those of any such experiment.

    A figure of the paper shows the paper's experiment, so one with values set otherwise has the general figures.
    Every layer's curves and correlations are in the page's explorer, too.
    """
    sweep = analysis.sweep
    if sweep.of_paper:
        chosen = [] if sweep.overrides else chosen_figures(Sweep.load(sweep.experiment))
    else:
        chosen = chosen_figures(sweep)
    return chosen or [_figure(name, figure, sweep.analysis) for name, figure in _general(analysis).items()]


def chosen_figures(sweep: Sweep) -> list[Figure]:
    """The figures that a sweep's file chooses, in its order.

    Raises:
        RequestError: a figure's kind of chart, argument or series does not exist; it names file and field.
    """
    source = f"{sweep.experiment}.yaml"
    drawn = []
    for name, figure in sweep.figures.items():
        of_paper = sweep.of_paper and bool(NUMBER.fullmatch(name))
        drawn.append(_figure(name, figure, sweep.analysis, of_paper, source))
        if figure.chart["kind"] == "compressed_parameters" and not _compressed(sweep):
            raise refused(
                source, f"figures.{name}: no trial is compressed; set compressibility: true in the sweep's trial"
            )
        check_series(sweep, figure.series, source, f"figures.{name}.series")
    return drawn


def _figure(name: str, figure: SweepFigure, analysis: str, of_paper: bool = False, source: str = "") -> Figure:
    possible, reason = OF_ANALYSIS.get(analysis, OF_TREND), f"the analysis of {analysis}"
    within = f"figures.{name}"
    kind = of_kind(KINDS, figure.chart, source, f"{within}.chart", possible=possible, reason=reason)
    if kind.one_series and len(figure.series) != 1:
        raise refused(source, f"{within}.series: a chart of {figure.chart['kind']} shows one series; name it")
    return Figure(name, figure.title, kind, figure.series, of_paper)


def _compressed(sweep: Sweep) -> bool:
    """Whether any trial of a sweep finds out how small its network can be made."""
    return any(trial.compressibility for trial in sweep.trials("paper"))


def _general(analysis: Analysis) -> dict[str, SweepFigure]:
    """The figures that any experiment has."""
    match analysis.sweep.analysis:
        case "parameters":
            title = f"Parameters of {analysis.sweep.title}"
            return {"parameters": SweepFigure(title=title, chart={"kind": "parameters"}, series=tuple(analysis.series))}
        case "constructions":
            return {"constructions": CONSTRUCTIONS}
        case _:
            return OF_ANY | (COMPRESSED if len(analysis.compressibility) else {})
