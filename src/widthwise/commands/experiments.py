"""`widthwise list`, `run` and `report`: experiments that come with the program, and sweeps of one's own."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from widthwise.commands.plan import show_plan
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


def list_experiments(as_json: AsJson = False) -> None:
    """List the experiments that come with the program, and what each makes of the paper."""
    from widthwise.experiments.sweep import SCALES, Sweep, catalogue

    sweeps = [Sweep.load(name) for name in catalogue()]
    rows = [
        {
            "name": sweep.name,
            "title": sweep.title,
            "figures": sweep.figures,
            "trials": {
                scale: len(sweep.trials(scale)) for scale in SCALES if scale == "paper" or scale in sweep.scales
            },
            "notes": {scale: sweep.note(scale) for scale in sweep.scales},
        }
        for sweep in sweeps
    ]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Experiment", "What varies", "Figure"):
        table.add_column(heading, overflow="fold")
    for scale in SCALES:
        table.add_column(f"{scale}", justify="right")
    for row in rows:
        counts = [str(row["trials"].get(scale, "–")) for scale in SCALES]
        table.add_row(row["name"], row["title"], ", ".join(row["figures"]), *counts)
    results.print(table)
    results.print("\nThe last columns count the training runs at each scale.", style="dim")
    results.print("Run one:  widthwise run mlp10-initialization --scale quick --store runs", style="dim")


def run(
    name: Annotated[str, typer.Argument(help="An experiment of `widthwise list`, or a sweep of your own: FILE.yaml.")],
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
    """Train and measure a sweep of networks, test the claim, and write the report.

    Runs that the store already holds are not run again, so the same command continues what was interrupted.
    """
    from widthwise.experiments.machine import Machine
    from widthwise.experiments.sweep import SCALES, Sweep

    if scale not in SCALES:
        raise RequestError(f"there is no scale {scale!r}: it must be {', '.join(SCALES[:-1])} or {SCALES[-1]}")
    sweep = Sweep.load(name).with_values(assignments or [])
    machine = Machine(data, device, processes, decoders=decoders)
    if dry_run:
        title = f"{sweep.title}, scale {scale}"
        note = f"Not at the paper's scale: {sweep.note(scale)}." if sweep.note(scale) else ""
        show_plan(sweep.trials(scale), store, workers, machine, as_json, title, note)
        return
    from widthwise import workflow
    from widthwise.progress import shown_progress
    from widthwise.workflow import Report

    def on_damage(identity: str, reason: str) -> None:
        messages.print(f"trial {identity} is damaged ({reason}); it is run again", markup=False)

    try:
        with shown_progress(messages) as on_step:
            result, report = workflow.run(
                sweep,
                scale,
                store,
                workers=workers,
                on_step=on_step,
                on_damage=on_damage,
                machine=machine,
            )
    except KeyboardInterrupt:
        raise TrialError("interrupted; finished runs are kept, and the same command continues") from None
    messages.print(
        f"{result.trained} trained in {result.seconds:.1f} s, {result.found} found finished in {store}", markup=False
    )
    name = f"{sweep.name}.{scale}"
    _show_report(Report(report.page, {name: report.tables[name]}), as_json)


def report(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store that `widthwise run` filled.")],
    as_json: AsJson = False,
) -> None:
    """Write the page, the figures and the tables of everything that was run into a store."""
    from widthwise import workflow

    _show_report(workflow.report(store), as_json)


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
        results.print(f"\n{experiment}", style="bold")
        if "verdicts" in tables:
            results.print(_verdict_table(tables["verdicts"]))
        elif "comparison" in tables:
            results.print(_comparison_table(tables["comparison"]))
        else:
            results.print("no trained network yet")
    results.print(f"\nThe page: {report.page}", soft_wrap=True)


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


def _range(values: Any) -> str:
    low, high = (f"{value:.3g}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} – {high}"
