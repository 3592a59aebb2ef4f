"""A store's report: one page that opens offline, and its tables and figures as files beside it."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from importlib.metadata import version

from widthwise.analysis.experiment import TABLES, Analysis
from widthwise.experiments.store import Store
from widthwise.files import digest
from widthwise.measurement.settings import Protocol
from widthwise.reporting import paths
from widthwise.reporting.composing import Specification
from widthwise.reporting.csv_tables import to_csv
from widthwise.reporting.embedding import Drawn, drawn, views
from widthwise.reporting.figure import Figure, specification
from widthwise.reporting.figures import figures
from widthwise.reporting.files import drawing_process, render
from widthwise.reporting.html import drawing_code
from widthwise.reporting.look import DEFAULT_LOOK, Look
from widthwise.reporting.page import page
from widthwise.reporting.paths import FORMATS, FileFormat


def write(
    store: Store,
    analyses: Iterable[Analysis],
    formats: Sequence[FileFormat],
    protocol: Protocol | None = None,
    look: Look = DEFAULT_LOOK,
) -> tuple[str, list[Analysis]]:
    """Write the report of `analyses` into the store, and return the page's path and the analyses.

    Figures whose files are already up to date are not drawn again; files in other formats that were drawn before are
    kept up to date, too. Figures are drawn in another process while the next ones are prepared.

    Args:
        protocol: that of the figures; None: each experiment's own.
        look: that of the figures' files.

    Raises:
        RequestError: an experiment was not measured by the protocol.
    """
    before = _drawn_before(store)
    digests: dict[str, str] = {}
    prepared: list[Analysis] = []
    specifications: list[dict[str, Drawn]] = []
    drawing: list[tuple[str, Future[bytes]]] = []
    with drawing_process() as pool:
        code = pool.submit(drawing_code)
        for analysis in analyses:
            prepared.append(analysis)
            for name, table in analysis.tables().items():
                store.write(paths.table(analysis.name, name), to_csv(table))
            shown = analysis.under(protocol or analysis.protocol)
            by_protocol = drawn(figures(analysis), views(analysis))
            for name, contents in by_protocol.items():
                content = contents[shown.protocol]
                drawn_from = digests[f"{analysis.name}/{name}"] = _drawn_from(content, look)
                for file_format in FORMATS:
                    path = paths.figure(analysis.name, name, file_format)
                    there = store.has(path)
                    changed = before.get(f"{analysis.name}/{name}") != drawn_from
                    if (there or file_format in formats) and (changed or not there):
                        drawing.append((path, pool.submit(render, content, file_format, look)))
            specifications.append(by_protocol)
        content = page(prepared, specifications, store.location, code, protocol)
        for path, file in drawing:
            store.write(path, file.result())
    _remove_earlier(store, prepared, before.keys() - digests.keys())
    store.write_json(paths.FIGURES, {"figures": digests})
    store.write(paths.PAGE, content.encode())
    return store.path(paths.PAGE), prepared


def _remove_earlier(store: Store, analyses: Iterable[Analysis], undrawn: Iterable[str]) -> None:
    """Remove files of an earlier report that this one does not have, such as those of another version."""
    for key in undrawn:
        experiment, _, name = key.rpartition("/")
        for file_format in FORMATS:
            store.remove(paths.figure(experiment, name, file_format))
    for analysis in analyses:
        for name in set(TABLES) - analysis.tables().keys():
            store.remove(paths.table(analysis.name, name))


def write_figure(
    store: Store, analysis: Analysis, figure: Figure, formats: Sequence[FileFormat], look: Look
) -> list[str]:
    """Draw one figure into the store's report, and return the paths of its files.

    If it differs from the report's own, for example in its look, the next report draws its own again.
    """
    content = specification(figure, analysis)
    drawn, key = _drawn_before(store), f"{analysis.name}/{figure.name}"
    if key in drawn and drawn[key] != _drawn_from(content, look):
        store.remove(paths.STAMP)
        store.write_json(paths.FIGURES, {"figures": {name: each for name, each in drawn.items() if name != key}})
    names = [paths.figure(analysis.name, figure.name, file_format) for file_format in formats]
    for name, file_format in zip(names, formats, strict=True):
        store.write(name, render(content, file_format, look))
    return [store.path(name) for name in names]


def _drawn_from(content: Specification, look: Look) -> str:
    """A digest of all that a figure's files are made from."""
    return digest([version("widthwise"), content, vars(look)])


def _drawn_before(store: Store) -> dict[str, str]:
    """Digests of the specifications that figures' files were drawn from, by experiment and name; empty if unknown."""
    try:
        return dict(store.read_json(paths.FIGURES)["figures"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # not there, damaged, or of another format
        return {}
