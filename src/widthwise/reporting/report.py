"""`report`: the page of a profile, of a smaller network, or of everything in a store."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

import pandas as pd

from widthwise.errors import RequestError
from widthwise.experiments.store import Store, StoredSweep
from widthwise.experiments.sweep import Sweep
from widthwise.files import write_whole
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Protocol
from widthwise.reporting import paths
from widthwise.reporting.cache import read_tables, stamp
from widthwise.reporting.look import CaptionPosition, Look, Theme, look_of
from widthwise.reporting.paths import DEFAULT_FORMATS, FORMATS, FileFormat

if TYPE_CHECKING:
    from widthwise.compression.compressed import Compressed

ONLY_ON = {
    "what_can_go": "a profile",
    "frontier": "a smaller network",
    "profiles": "a smaller network",
}


@dataclass(frozen=True)
class Report:
    """A written report.

    page: the path or URL of the page.
    tables: each experiment's tables by `EXPERIMENT.SCALE` and name.
    protocols: the protocol of each experiment's figures; None: nothing was measured.
    """

    page: str
    tables: dict[str, dict[str, pd.DataFrame]]
    protocols: dict[str, Protocol | None]


@overload
def report(source: Profile, path: str | os.PathLike[str], *, what_can_go: pd.DataFrame | str | None = None) -> str: ...


@overload
def report(
    source: "Compressed",
    path: str | os.PathLike[str],
    *,
    frontier: pd.DataFrame | None = None,
    profiles: Sequence[Profile] | None = None,
) -> str: ...


@overload
def report(
    source: str | os.PathLike[str] | Store,
    path: str | os.PathLike[str] | None = None,
    *,
    formats: Sequence[FileFormat] = DEFAULT_FORMATS,
    protocol: Protocol | None = None,
    caption: CaptionPosition = "below",
    width: int | None = None,
    theme: Theme = "light",
) -> Report: ...


def report(
    source: object,
    path: str | os.PathLike[str] | None = None,
    *,
    what_can_go: pd.DataFrame | str | None = None,
    frontier: pd.DataFrame | None = None,
    profiles: Sequence[Profile] | None = None,
    formats: Sequence[FileFormat] = DEFAULT_FORMATS,
    protocol: Protocol | None = None,
    caption: CaptionPosition = "below",
    width: int | None = None,
    theme: Theme = "light",
) -> Report | str:
    """Write the page of a profile or of a smaller network to `path`, or the report of all that was run into a store.

    If `path` ends in .png, .svg or .pdf, only the figure of the page is written. The report of a store is written into
    the store, with each figure in `formats` beside the page; files that are up to date are not written again. With a
    `path`, its page, which needs no other file, is written there, too.

    Args:
        source: a `Profile`; a `Compressed`; or a store, its folder or its URL.
        path: a file whose folder exists.
        what_can_go: for the page of a profile: the table that `what_can_go` returns for the network, or the reason why
            nothing can go.
        frontier: for the page of a smaller network: the table that `frontier` returns for the network as it was.
        profiles: for the page of a smaller network: two profiles, of the network as it was and of the smaller one, on
            the same examples, whose ablation curves are shown.
        formats: the file formats of a store's figures.
        protocol: how removability was measured in what a store's figures show, `text` or `figures`; None: in the
            paper's experiments as in its figures, in others as its text says.
        caption: in the figures' files, `below` the picture, or `none`. The page has its captions in any case.
        width: the width of the figures' files, in pixels; None: as large as their panels need, and twice that in a PNG.
        theme: the ground of the figures' files, `light` or `dark`.

    Returns: the path of the page, or the store's report.

    Raises:
        RequestError: nothing was run into the store, or not measured by `protocol`; `path` is missing or of the wrong
            kind; there is no such caption, width or theme; or the page does not show a table that is given.
        OSError: the page cannot be written.
    """
    if isinstance(source, Profile):
        _refuse(frontier=frontier, profiles=profiles)
        return _report_profile(source, path, what_can_go)
    if not isinstance(source, (str, os.PathLike, Store)):
        _refuse(what_can_go=what_can_go)
        return _report_compressed(source, path, frontier, profiles)
    _refuse(what_can_go=what_can_go, frontier=frontier, profiles=profiles)
    if path is not None and Path(path).suffix.lower() != ".html":
        raise RequestError(
            f"{os.fspath(path)!r} must end in .html: a store's figures are files beside the page in the store",
            field="path",
        )
    look = look_of(caption, width, theme)
    store = source if isinstance(source, Store) else Store(source)
    written = _report_store(store, formats, protocol, look)
    if path is None:
        return written
    write_whole(path, store.read(paths.PAGE))
    return replace(written, page=os.fspath(path))


def stored_sweeps(source: Store) -> list[StoredSweep]:
    """The sweeps that were run into a store.

    Raises:
        RequestError: there are none.
    """
    sweeps = source.sweeps() if source.exists else []
    if not sweeps:
        raise RequestError(f"the store {source.location} holds no experiment; run one into it first")
    return sweeps


def check_figures_and_claims(sweep: Sweep) -> None:
    """Refuse, before anything is trained, a user's sweep whose figures cannot be drawn or claims cannot be tested.

    Raises:
        RequestError: a kind, an argument, a measure or a series does not exist; it names file and field.
    """
    if sweep.of_paper or not (sweep.figures or sweep.claims):
        return
    # SciPy and the charts are needed only for these
    from widthwise.analysis.claims import checked
    from widthwise.reporting.figures import chosen_figures

    checked(sweep)
    chosen_figures(sweep)


def _refuse(**given: object) -> None:
    """Refuse what only the page of something else shows."""
    for name, value in given.items():
        if value is not None:
            raise RequestError(f"is shown on the page of {ONLY_ON[name]}, and not on this one", field=name)


def _report_profile(
    profile: Profile, path: str | os.PathLike[str] | None, what_can_go: pd.DataFrame | str | None
) -> str:
    from widthwise.reporting.profile_page import draw_profile, profile_page

    if path is None:
        raise RequestError('it says where the page is written: report(profile, "profile.html")', field="path")
    if file_format := _figure_format(path):
        if what_can_go is not None:
            raise RequestError("is shown on the page, and not in its figure; leave it out", field="what_can_go")
        draw_profile(profile, path, file_format)
    else:
        write_whole(path, profile_page(profile, what_can_go).encode())
    return os.fspath(path)


def _report_compressed(
    source: object,
    path: str | os.PathLike[str] | None,
    frontier: pd.DataFrame | None,
    profiles: Sequence[Profile] | None,
) -> str:
    from widthwise.compression.compressed import Compressed
    from widthwise.reporting.compressed_page import compressed_page, draw_compressed

    if not isinstance(source, Compressed):
        raise RequestError(
            f"must be a profile, what compress returns, or a store, not {type(source).__name__}", field="source"
        )
    if path is None:
        raise RequestError('it says where the page is written: report(found, "smaller.html")', field="path")
    if file_format := _figure_format(path):
        if profiles is not None:
            raise RequestError("are shown on the page, and not in its figure; leave them out", field="profiles")
        draw_compressed(source, path, file_format, frontier)
    else:
        write_whole(path, compressed_page(source, frontier, profiles).encode())
    return os.fspath(path)


def _figure_format(path: str | os.PathLike[str]) -> FileFormat | None:
    """The format of a figure that a path asks for; None: it is that of a page."""
    suffix = Path(path).suffix[1:].lower()
    return suffix if suffix in FORMATS else None


def _report_store(source: Store, formats: Sequence[FileFormat], protocol: Protocol | None, look: Look) -> Report:
    sweeps = stored_sweeps(source)
    made_from = stamp(source, sweeps, formats, protocol, look)
    found = read_tables(source, made_from, formats)
    if found is not None:
        return Report(source.path(paths.PAGE), *found)

    # SciPy and the drawing code are needed only for what is new
    from widthwise.analysis.analyze import analyze
    from widthwise.reporting.write import write

    page, analyses = write(source, (analyze(source, *stored) for stored in sweeps), formats, protocol, look)
    tables = {each.name: each.tables() for each in analyses}
    protocols: dict[str, Protocol | None] = {each.name: protocol or each.protocol for each in analyses}
    names = {key: list(value) for key, value in tables.items()}
    source.write_json(paths.STAMP, {"stamp": made_from, "tables": names, "protocols": protocols})
    return Report(page, tables, protocols)
