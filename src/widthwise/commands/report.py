"""`widthwise report`: the page, figures and tables of what was run."""

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from widthwise.commands.options import AsJson
from widthwise.commands.report_tables import show_tables
from widthwise.commands.terminal import messages, print_json, results
from widthwise.errors import RequestError
from widthwise.measurement.settings import Protocol
from widthwise.reporting.look import CAPTIONS, THEMES, look_of
from widthwise.reporting.paths import DEFAULT_FORMATS, FORMATS, FileFormat
from widthwise.wording import listed

if TYPE_CHECKING:
    from widthwise.reporting.draw import DrawnFigure


PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


def report(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store that `widthwise run` filled.")] = "runs",
    figures: Annotated[
        list[str] | None,
        typer.Option("--figure", metavar="NUMBER", help="Draw only this figure of the paper, such as 6 or B3."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            autocompletion=lambda: FORMATS,
            help="The format of the figures' files; svg by default; can be given several times.",
        ),
    ] = None,
    caption: Annotated[
        str,
        typer.Option(
            metavar="|".join(CAPTIONS),
            autocompletion=lambda: CAPTIONS,
            help="In the figures' files, the caption is below the picture, or there is none.",
        ),
    ] = "below",
    width: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="The width of the figures' files; by default as large as their panels need, in a PNG twice that.",
        ),
    ] = None,
    theme: Annotated[
        str,
        typer.Option(metavar="|".join(THEMES), autocompletion=lambda: THEMES, help="The ground of the figures' files."),
    ] = "light",
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(PROTOCOLS),
            autocompletion=lambda: PROTOCOLS,
            help="How removability was measured in what the figures show; by default as in the paper's own figures for "
            "its experiments.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the page, the figures and the tables of everything that was run into a store, or figures alone."""
    from widthwise.reporting import draw, report

    unknown = [name for name in formats or () if name not in FORMATS]
    if unknown:
        raise RequestError(f"there is no format {unknown[0]!r}; there are {listed(FORMATS)}", field="formats")
    chosen: Protocol | None = next((each for each in PROTOCOLS if each == protocol), None)
    if protocol is not None and chosen is None:
        raise RequestError(f"there is no protocol {protocol!r}; there are {listed(PROTOCOLS)}", field="protocol")
    wanted: list[FileFormat] = [each for each in FORMATS if each in (formats or DEFAULT_FORMATS)]
    look = look_of(caption, width, theme)
    if figures:
        _show_figures(draw.draw(store, figures, wanted, chosen, look), as_json)
    else:
        written = report.report(store, formats=wanted, protocol=chosen, **vars(look))
        show_tables(written, written.tables, as_json)


def _show_figures(drawn: "list[DrawnFigure]", as_json: bool) -> None:
    if as_json:
        print_json([vars(each) for each in drawn])
        return
    for each in drawn:
        for path in each.paths:
            results.print(path, soft_wrap=True, markup=False)
        if each.left_out:
            shown = "shown" if each.paths else "drawn"
            messages.print(
                f"Figure {each.name}, {each.experiment}: not run, so not {shown}: {'; '.join(each.left_out)}",
                markup=False,
            )
