"""Figures of the paper by their numbers, as files, from what was run into a store."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.errors import RequestError
from widthwise.experiments.catalogue_table import named_figures
from widthwise.experiments.store import Store
from widthwise.measurement.settings import Protocol
from widthwise.reporting.look import DEFAULT_LOOK, Look
from widthwise.reporting.paths import DEFAULT_FORMATS, FileFormat
from widthwise.reporting.report import stored_sweeps


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of the paper from one experiment at one scale.

    name: such as `6a`.
    experiment: `EXPERIMENT.SCALE`.
    paths: its files.
    left_out: the series that were not run. If these are all of them, there are no files.
    """

    name: str
    experiment: str
    paths: list[str]
    left_out: list[str]


def draw(
    store: str | os.PathLike[str] | Store,
    figures: Sequence[str],
    formats: Sequence[FileFormat] = DEFAULT_FORMATS,
    protocol: Protocol | None = None,
    look: Look = DEFAULT_LOOK,
) -> list[DrawnFigure]:
    """Draw figures of the paper by name (`6` is 6a and 6b, `§2.3` those of a section) from the results in a store.

    Args:
        store: a store, its folder or its URL.
        figures: their names.
        formats: the formats of the files.
        protocol: how removability was measured in what they show; None: as in the paper's figures.
        look: their caption, width and colours.

    Raises:
        RequestError: the paper has no such figure, or the experiment that draws it was not run into the store, or not
            measured by the protocol.
    """
    from widthwise.analysis.analyze import analyze
    from widthwise.reporting.figures import figures as figures_of
    from widthwise.reporting.write import write_figure

    source = store if isinstance(store, Store) else Store(store)
    sweeps = stored_sweeps(source)
    drawn: list[DrawnFigure] = []
    analyzed = functools.cache(lambda index: analyze(source, *sweeps[index]))
    for wanted in figures:
        for experiment, names in named_figures(wanted).items():
            found = [
                index
                for index, (sweep, _, _) in enumerate(sweeps)
                if sweep.experiment == experiment and not sweep.overrides
            ]
            if not found:
                raise RequestError(
                    f"figure {wanted} is made by {experiment}, and nothing of it was run into {source.location}; "
                    "run that experiment first"
                )
            for whole in map(analyzed, found):
                analysis = whole.under(protocol or whole.protocol)
                for figure in (each for each in figures_of(analysis) if each.name in names or not names):
                    paths = write_figure(source, analysis, figure, formats, look) if figure.shown(analysis) else []
                    drawn.append(DrawnFigure(figure.name, analysis.name, paths, figure.left_out(analysis)))
    return drawn
