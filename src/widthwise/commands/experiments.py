"""`widthwise run` and `report`: experiments that come with the program, and sweeps of one's own."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from widthwise.commands.plan import scaled, show_plan
from widthwise.commands.terminal import (
    AsJson,
    Assignments,
    Data,
    Decoders,
    Device,
    Processes,
    Store,
    messages,
    print_json,
    results,
)
from widthwise.errors import RequestError, TrialError

Scale = Annotated[
    str,
    typer.Option(help="How much of it to run: smoke (seconds), quick (minutes) or paper (the paper's own setting)."),
]


def run(
    name: Annotated[
        str | None, typer.Argument(help="An experiment of `widthwise list`, or a sweep of your own: FILE.yaml.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every experiment of `widthwise list`.")] = False,
    scale: Scale = "paper",
    store: Store = "runs",
    data: Data = None,
    device: Device = "auto",
    processes: Processes = 1,
    decoders: Decoders = 2,
    assignments: Assignments = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes to train in; by default one for each processor, 0 for none but this one."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and how long it would take; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train and measure a sweep of networks, or all of them, test the claim, and write the report.

    Runs that the store already holds are not run again, so the same command continues what was interrupted.
    """
    from widthwise.execution.machine import Machine
    from widthwise.experiments.sweep import SCALES, Sweep, catalogue

    if (name is None) != every:
        raise RequestError("name an experiment, or give --all for every one; widthwise list shows them")
    if scale not in SCALES:
        raise RequestError(f"there is no scale {scale!r}: it must be {', '.join(SCALES[:-1])} or {SCALES[-1]}")
    names = list(catalogue()) if name is None else [name]
    sweeps = [Sweep.load(each).with_values(assignments or []) for each in names]
    machine = Machine(tuple(data or ()), device, processes, decoders=decoders)
    if dry_run:
        trials = [trial for sweep in sweeps for trial in sweep.trials(scale)]
        title = f"{sweeps[0].title if name else 'Every experiment'}, scale {scale}"
        reduced = sweeps[0].note(scale) if name else "" if scale == "paper" else "widthwise list says what each reduces"
        note = f"Not at the paper's scale: {reduced}." if reduced else ""
        show_plan(trials, store, workers, machine, as_json, title, note)
        return
    from widthwise import workflow
    from widthwise.commands.progress import shown_progress
    from widthwise.reporting.report import Report

    try:
        with shown_progress(messages) as on_progress:
            result = workflow.run(
                sweeps,
                scale,
                store,
                workers=workers,
                machine=machine,
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        raise TrialError("interrupted; finished runs are kept, and the same command continues") from None
    messages.print(
        f"{result.trained} trained in {result.seconds:.1f} s, {result.found} found finished in {store}", markup=False
    )
    shown = {f"{sweep.name}.{scale}": result.report.tables[f"{sweep.name}.{scale}"] for sweep in sweeps}
    _show_report(Report(result.report.page, shown), as_json)


def report(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store that `widthwise run` filled.")] = "runs",
    figures: Annotated[
        list[str] | None,
        typer.Option("--figure", metavar="NUMBER", help="Draw only this figure of the paper, such as 6 or B3."),
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="Of the figures' files: png, svg or pdf; svg by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the page, the figures and the tables of everything that was run into a store, or figures alone."""
    from widthwise.reporting import draw, report
    from widthwise.reporting.paths import DEFAULT_FORMATS, FORMATS, FileFormat

    unknown = [name for name in formats or () if name not in FORMATS]
    if unknown:
        raise RequestError(f"--format {unknown[0]}: there are {', '.join(FORMATS)}")
    wanted: list[FileFormat] = [name for name in FORMATS if name in (formats or DEFAULT_FORMATS)]
    if figures:
        _show_figures(draw.draw(store, figures, wanted), as_json)
    else:
        _show_report(report.report(store, formats=wanted), as_json)


def _show_figures(drawn: Any, as_json: bool) -> None:
    if as_json:
        print_json([vars(each) for each in drawn])
        return
    for each in drawn:
        for path in each.paths:
            results.print(path, soft_wrap=True, markup=False)
        if each.left_out:
            what = "left out" if each.paths else "not drawn"
            messages.print(
                f"Figure {each.name}, {each.experiment}: {what}, for nothing was run of {'; '.join(each.left_out)}",
                markup=False,
            )


def _show_report(report: Any, as_json: bool) -> None:
    if as_json:
        tables = {
            experiment: {
                name: json.loads(table.to_json(orient="records"))
                for name, table in tables.items()
                if name in ("summary", "verdicts", "comparison")
            }
            for experiment, tables in report.tables.items()
        }
        print_json({"page": report.page, "experiments": tables})
        return
    for experiment, tables in report.tables.items():
        results.print(f"\n{experiment}", style="bold", markup=False)
        if "verdicts" in tables:
            results.print(_verdict_table(tables["verdicts"]))
        elif "comparison" in tables:
            results.print(_comparison_table(tables["comparison"]))
        elif "summary" in tables:
            results.print(_parameter_table(tables["summary"]))
        else:
            results.print("no trained network yet")
    results.print(f"\nThe page: {report.page}", soft_wrap=True, markup=False)


ANSWER_STYLES = {"supported": "green", "not supported": "red", "no valid evidence": "yellow"}


def _verdict_table(verdicts: Any) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Series", no_wrap=True)
    table.add_column("Claim", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for row in verdicts.to_dict("records"):
        reason = row["reason"][0].upper() + row["reason"][1:]
        answer = Text(row["verdict"], ANSWER_STYLES[row["verdict"]])
        table.add_row(Text(str(row["series"])), answer, Text(reason))
    return table


def _comparison_table(comparison: Any) -> Table:
    """Replicates together: ranges of what was expected and measured."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Construction", "Quantity"):
        table.add_column(heading, overflow="fold")
    for heading in ("Expected", "Measured"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Holds", no_wrap=True)
    relations = {"<": "< ", "≈": "≈ ", "=": ""}
    for (series, quantity), rows in comparison.groupby(["series", "quantity"], sort=False):
        held = f"{int(rows['holds'].sum())} of {len(rows)}"
        style = "green" if rows["holds"].all() else "red"
        expected = relations[rows["relation"].iloc[0]] + _range(rows["expected"])
        table.add_row(Text(str(series)), quantity, expected, _range(rows["measured"]), Text(held, style))
    return table


def _parameter_table(summary: Any) -> Table:
    """Parameters by network and width."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Parameters", overflow="fold")
    widths = sorted(summary["width_factor"].unique())
    for width in widths:
        table.add_column(f"{width:g}x", justify="right", no_wrap=True)
    for series, rows in summary.groupby("series", sort=False):
        counts = dict(zip(rows["width_factor"], rows["parameters"], strict=True))
        table.add_row(
            Text(str(series)), *(scaled(int(counts[width]), "") if width in counts else "" for width in widths)
        )
    return table


def _range(values: Any) -> str:
    low, high = (f"{value:.3g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} – {high}"
