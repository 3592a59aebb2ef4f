"""`widthwise list`: the paper's Table 1, experiment by experiment."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from widthwise.commands.options import AsJson
from widthwise.commands.terminal import print_json, results, scaled
from widthwise.wording import counted

if TYPE_CHECKING:
    from widthwise.experiments.catalogue_table import Difference, Entry, Setting
    from widthwise.experiments.sweep import Sweep

STAR = "★"
FEW = 2
"""Up to this many values of a setting are listed; more are counted."""
COLUMNS = ("Network", "Initialization", "Optimizer", "Regularizers", "Rate × batch")


def list_experiments(
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="Only the experiment that draws this figure of the paper, such as 6 or B3."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the experiments that come with the program: what each trains, which figures of the paper it draws, and its
    cost."""
    from widthwise.experiments.catalogue_table import entry, named_figures
    from widthwise.experiments.sweep import Sweep, catalogue

    names = catalogue() if figure is None else named_figures(figure)
    entries = [entry(Sweep.load(name)) for name in names]
    if as_json:
        print_json([_plain(each) for each in entries])
        return
    for each in entries:
        _show(each)
    results.print(
        f"{STAR} varied between the series. BN batch normalization, DA data augmentation, DO dropout, WD weight decay; "
        "the rate is the first epoch's, and best where it is tuned. FLOPs are those of all epochs, without measuring; "
        "--dry-run says how long it takes here.",
        style="dim",
    )
    results.print(f"Run one:  widthwise run {entries[0].sweep.name} --scale quick --store runs", style="dim")


def _show(each: "Entry") -> None:
    sweep = each.sweep
    figures = ", ".join(sweep.shows)
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True)
    head.add_column(justify="right")
    head.add_row(Text(sweep.name, "bold"), Text(f"{'Fig. ' if each.numbered else ''}{figures}", "cyan"))
    results.print(head)
    results.print(Padding(Text(sweep.title), (0, 0, 0, 2)))
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False, expand=False)
    for heading in COLUMNS:
        table.add_column(heading, overflow="fold", min_width=len(heading))
    for row in each.rows:
        settings = (row.initialization, row.optimizer, row.regularizers, row.rate_and_batch)
        table.add_row(row.network, *map(_setting, settings))
    results.print(Padding(table, (0, 0, 0, 2)))
    data = dict.fromkeys(str(_setting(row.data)) for row in each.rows)
    results.print(Padding(Text.assemble(("data   ", "dim"), "; ".join(data)), (0, 0, 0, 2)))
    counts = Table.grid(padding=(0, 2))
    counts.add_column(style="dim")
    counts.add_column(justify="right", no_wrap=True)
    counts.add_column(overflow="fold")
    for scale, trials in reversed(each.trials.items()):
        cost = f"{scaled(each.flops, 'FLOP')}" if each.flops else "counted, not trained"
        note = f"{cost}, {_widths(sweep)}" if scale == "paper" else sweep.note(scale) or "the same"
        counts.add_row(scale, counted(trials, "run"), Text(note))
    results.print(Padding(counts, (0, 0, 0 if each.recipes else 1, 2)))
    for name, differences in each.recipes.items():
        _show_recipe(name, sweep.recipes[name].note, differences)


def _show_recipe(name: str, note: str, differences: "Sequence[Difference]") -> None:
    """A recipe: what it is, and each setting beside the paper's."""
    results.print(Padding(Text.assemble(("recipe ", "dim"), (name, "bold"), f"  {note}"), (0, 0, 0, 2)))
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False, expand=False)
    for heading in ("Setting", "paper", name):
        table.add_column(heading, overflow="fold")
    for each in differences:
        table.add_row(each.path, *(", ".join(map(_short, values)) or "–" for values in (each.paper, each.recipe)))
    results.print(Padding(table, (0, 0, 1, 4)))


def _short(value: object) -> str:
    """A value as YAML writes it."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _widths(sweep: "Sweep") -> str:
    axes = sweep.at("paper")
    return f"{counted(len(axes.widths), 'width')}, {counted(axes.replicates, 'replicate')}"


def _setting(setting: "Setting") -> Text:
    """A setting's values; if there are many, the first, the last and their number."""
    values = setting.values
    shown = ", ".join(values) if len(values) <= FEW else f"{values[0]} … {values[-1]} ({len(values)})"
    return Text(f"{shown} {STAR}" if setting.starred else shown)


def _plain(each: "Entry") -> dict[str, object]:
    sweep = each.sweep
    return {
        "name": sweep.name,
        "title": sweep.title,
        "figures": sweep.shows,
        "networks": [asdict(row) for row in each.rows],
        "trials": each.trials,
        "notes": {scale: sweep.note(scale) for scale in sweep.scales},
        "training_flops": each.flops,
        "recipes": {
            name: {"note": sweep.recipes[name].note, "differences": list(map(asdict, differences))}
            for name, differences in each.recipes.items()
        },
    }
