"""`widthwise run`: a sweep of networks, from training to verdict."""

from typing import Annotated, Literal

import typer

from widthwise.commands.explain import show_explanation
from widthwise.commands.options import (
    AsJson,
    Data,
    Decoders,
    Device,
    DryRun,
    Explain,
    Processes,
    Settings,
    Store,
    parsed_settings,
)
from widthwise.commands.plan import show_plan
from widthwise.commands.report_tables import show_tables
from widthwise.commands.terminal import messages
from widthwise.errors import RequestError

Scale = Annotated[
    Literal["smoke", "quick", "paper"],
    typer.Option(help="The size of the run: smoke (seconds), quick (minutes) or paper (the paper's own setting)."),
]


def _experiments() -> list[str]:
    from widthwise.experiments.sweep import catalogue

    return list(catalogue())


def run(
    name: Annotated[
        str | None,
        typer.Argument(
            help="An experiment of `widthwise list`, or a sweep of your own: FILE.yaml.", autocompletion=_experiments
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every experiment of `widthwise list`.")] = False,
    scale: Scale = "paper",
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How to train: paper, as its text says, or another one that `widthwise list` shows, such as "
            "authors-code, as the authors' own program did. With --all: the experiments that have it.",
        ),
    ] = "paper",
    store: Store = "runs",
    data: Data = None,
    device: Device = "auto",
    processes: Processes = 1,
    decoders: Decoders = 2,
    settings: Settings = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes to train in; by default one for each processor; 0: train in this process."),
    ] = None,
    dry_run: DryRun = False,
    explain: Explain = None,
    as_json: AsJson = False,
) -> None:
    """Train and measure a sweep of networks, or all of them, test the claim, and write the report.

    Runs that the store already holds are not run again, so the same command continues what was interrupted.
    """
    from widthwise.execution.machine import Machine
    from widthwise.experiments.sweep import PAPER, Sweep, catalogue
    from widthwise.reporting.report import check_figures_and_claims

    if (name is None) != every:
        raise RequestError("name an experiment, or give --all for every one; widthwise list shows them")
    names = list(catalogue()) if name is None else [name]
    given = parsed_settings(settings)
    loaded = [Sweep.load(each) for each in names]
    having = [each for each in loaded if name or recipe in (PAPER, *each.recipes)]
    if not having:
        raise RequestError(f"no experiment has the recipe {recipe!r}; widthwise list shows them", field="recipe")
    sweeps = [each.with_recipe(recipe).with_values(given) for each in having]
    if explain is not None:
        if name is None:
            raise RequestError("name one experiment whose field is explained", field="explain")
        show_explanation(sweeps[0], explain, scale, as_json)
        return
    for sweep in sweeps:
        check_figures_and_claims(sweep)
    machine = Machine(tuple(data or ()), device, processes, decoders=decoders)
    if dry_run:
        trials = [trial for sweep in sweeps for trial in sweep.trials(scale)]
        of_recipe = "" if recipe == PAPER else f", recipe {recipe}"
        title = f"{sweeps[0].title if name else 'Every experiment'}{of_recipe}, scale {scale}"
        reduced = sweeps[0].note(scale) if name else "" if scale == "paper" else "widthwise list says what each reduces"
        note = f"Not at the paper's scale: {reduced}." if reduced else ""
        show_plan(trials, store, workers, machine, as_json, title, note)
        return
    from widthwise import workflow
    from widthwise.commands.progress import shown_progress

    kept = "finished runs are kept, and the same command continues"
    with shown_progress(messages, interrupted=kept) as on_progress:
        result = workflow.run(sweeps, scale, store, workers=workers, machine=machine, on_progress=on_progress)
    messages.print(
        f"{result.trained} trained in {result.seconds:.1f} s, {result.found} found finished in {store}", markup=False
    )
    tables = {experiment: result.report.tables[experiment] for experiment in result.experiments}
    show_tables(result.report, tables, as_json)
