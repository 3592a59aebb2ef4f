"""The command line: one thin command a verb."""

import json
import sys
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from widthwise.errors import RequestError, TrialError

app = typer.Typer(
    name="widthwise",
    help="What networks do with the units that they do not need: measure removable and repeated units in a network of "
    "your own, train width sweeps, test the claim that one of the two grows with width, and draw the results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
messages = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False)

Scale = Annotated[
    str,
    typer.Option(help="How much of it to run: smoke (seconds), quick (minutes) or paper (the paper's own setting)."),
]
Store = Annotated[str, typer.Option(help="Where finished runs are kept: a folder or an fsspec URL. It is continued.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for a program to read.")]


@app.command("list")
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
        _print_json(rows)
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


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="An experiment of `widthwise list`, or a sweep of your own: FILE.yaml.")],
    scale: Scale = "paper",
    store: Store = "runs",
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Set a field of every trial, such as training.epochs=20, or an axis, such as replicates=5.",
        ),
    ] = None,
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
    from widthwise.experiments.sweep import SCALES, Sweep

    if scale not in SCALES:
        raise RequestError(f"there is no scale {scale!r}: it must be {', '.join(SCALES[:-1])} or {SCALES[-1]}")
    sweep = Sweep.load(name).with_values(assignments or [])
    if dry_run:
        _show_plan(sweep, scale, store, workers, as_json)
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
            )
    except KeyboardInterrupt:
        raise TrialError("interrupted; finished runs are kept, and the same command continues") from None
    messages.print(
        f"{result.trained} trained in {result.seconds:.1f} s, {result.found} found finished in {store}", markup=False
    )
    name = f"{sweep.name}.{scale}"
    _show_report(Report(report.page, {name: report.tables[name]}), as_json)


@app.command()
def report(
    store: Annotated[str, typer.Argument(metavar="DIR", help="A store that `widthwise run` filled.")],
    as_json: AsJson = False,
) -> None:
    """Write the page, the figures and the tables of everything that was run into a store."""
    from widthwise import workflow

    _show_report(workflow.report(store), as_json)


@app.command()
def profile(
    model: Annotated[
        str,
        typer.Argument(
            help="MODULE:FACTORY or FILE.py:FACTORY, a function that gives a torch.nn.Module; or a finished run of a "
            "store, STORE/trials/ID."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="A Parquet file of images, a folder of them, or MODULE:FACTORY, which gives batches."),
    ] = None,
    weights: Annotated[str | None, typer.Option(metavar="FILE.safetensors", help="The model's weights.")] = None,
    split: Annotated[str, typer.Option(help="Which files of a folder of data.")] = "test",
    mean: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Subtracted from images, whose values are in [0, 1].")
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="By which they are divided afterwards.")] = None,
    examples: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    layers: Annotated[
        list[str] | None, typer.Option("--layer", metavar="NAME", help="A layer, or a pattern with *; several times.")
    ] = None,
    list_layers: Annotated[bool, typer.Option("--list", help="List the layers; measure nothing.")] = False,
    attention_heads: Annotated[
        bool, typer.Option("--attention-heads", help="Also measure attention heads, as units.")
    ] = False,
    granularity: Annotated[
        Literal["application", "channel"],
        typer.Option(help="What is dropped: each application of a unit by itself, or the whole channel."),
    ] = "application",
    replacement: Annotated[
        Literal["zero", "mean"], typer.Option(help="What a dropped unit's activity becomes.")
    ] = "zero",
    levels: Annotated[int, typer.Option(help="Shares of dropped units, from 0 to 1.")] = 7,
    samplings: Annotated[int, typer.Option(help="Random draws that a mean is taken over.")] = 3,
    threshold: Annotated[float, typer.Option(help="Units with at least this |r| are similar.")] = 0.5,
    activations: Annotated[
        str, typer.Option(metavar="N|all", help="Activation vectors that enter a layer's correlations, at most.")
    ] = "50000",
    single_units: Annotated[
        bool, typer.Option("--single-units", help="Also drop every unit alone, to tell why it is removable.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(help="The share of labels that may change while a unit counts as removable.")
    ] = 0.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the random draws; by default 0, or a finished run's own.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Examples at a time; by default as many as fit in memory.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto is a GPU where there is one.")] = "auto",
    page: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Write a page; as .png, .svg or .pdf only its figure.")
    ] = None,
    save: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the tables, for widthwise.Profile.load.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the removable and repeated units of every layer of a trained network."""
    from pathlib import Path

    from widthwise.loading import chosen_device, load_batches, load_model, load_trial
    from widthwise.measurement.profile import layers as find_layers
    from widthwise.measurement.profile import profile as measure
    from widthwise.measurement.settings import Measurement
    from widthwise.progress import shown_examples
    from widthwise.workflow import report as report_profile

    for target in (page, save):
        if target is not None and not Path(target).absolute().parent.is_dir():
            raise RequestError(f"{target} cannot be written: there is no folder {Path(target).absolute().parent}")
        if target is not None and Path(target).is_dir():
            raise RequestError(f"{target} cannot be written: it is a folder")
    place = chosen_device(device)
    try:
        settings = Measurement(
            levels=levels,
            samplings=samplings,
            granularity=granularity,
            similarity_threshold=threshold,
            activations=None if activations == "all" else _whole("activations", activations),
        )
        if Path(model).is_dir():
            if data or weights:
                raise RequestError("a finished run has its own data and weights; leave out --data and --weights")
            trial, network, batches = load_trial(Path(model))
            seed = trial.seed if seed is None else seed
        else:
            if data is None:
                raise RequestError("--data is missing: a folder of images, or MODULE:FACTORY, which gives batches")
            network = load_model(model, weights)
            batches = load_batches(data, split, _numbers("mean", mean), _numbers("std", std), examples)
        network.to(place)
        if list_layers:
            example = next(iter(batches), None)
            if example is None:
                raise RequestError(f"{data or model} gives no batches, so there is nothing to list layers with")
            table = find_layers(network, example, layers=layers, attention_heads=attention_heads)
            _print_json(json.loads(table.to_json(orient="records"))) if as_json else _show_layers(table)
            return
        with shown_examples(messages) as on_progress:
            measured = measure(
                network,
                batches,
                layers=layers or None,
                attention_heads=attention_heads,
                settings=settings,
                replacement=replacement,
                single_units=single_units,
                tolerance=tolerance,
                seed=seed or 0,
                batch_size=batch_size,
                on_progress=on_progress,
            )
    except ValueError as error:
        raise RequestError(str(error)) from None
    except KeyboardInterrupt:
        raise TrialError("interrupted; nothing was written") from None
    if save is not None:
        measured.save(save)
    if page is not None:
        report_profile(measured, page)
    if as_json:
        layers_table = json.loads(measured.layers.to_json(orient="records", double_precision=15))
        kinds = measured.units.fillna({"mechanism": "not told"}).groupby("layer")["mechanism"].value_counts()
        mechanisms = {row["layer"]: kinds[row["layer"]].to_dict() for row in layers_table}
        _print_json({**measured.summary(), "layers": layers_table, "mechanisms": mechanisms})
        return
    results.print(str(measured), markup=False, soft_wrap=True)
    for target, what in ((page, "The page"), (save, "The tables")):
        if target is not None:
            results.print(f"{what}: {target}", soft_wrap=True, markup=False)


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise RequestError(
            f"--{option} must be numbers with commas between, such as 0.5,0.5,0.5, not {text!r}"
        ) from None


def _whole(option: str, text: str) -> int:
    if not text.isdigit():
        raise RequestError(f"--{option} must be a whole number or all, not {text!r}")
    return int(text)


def _show_layers(layers: Any) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Layer", "Units", "Shape", "Kind", "Follows"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "Units" else "left")
    for row in layers.to_dict("records"):
        shape = "×".join(map(str, row["shape"]))
        table.add_row(Text(row["layer"]), str(row["units"]), shape, Text(row["kind"]), Text(row["follows"]))
    results.print(table)


def _show_plan(sweep: Any, scale: Any, store: str, workers: int | None, as_json: bool) -> None:
    from widthwise.experiments.plan import plan

    with messages.status("timing one epoch of each kind of network on this machine"):
        planned = plan(sweep, scale, store, workers)
    if as_json:
        _print_json(planned.as_dict())
        return
    results.print(f"{sweep.title}, scale {scale}", style="bold")
    if sweep.note(scale):
        results.print(f"Not at the paper's scale: {sweep.note(scale)}.")
    results.print(
        f"{planned.trials} training runs, {planned.finished} of them finished in {store}; "
        f"{planned.missing} to run, in {planned.stacks} stacks."
    )
    low, high = planned.parameters
    results.print(f"Parameters of a network: {low:,} to {high:,}.")
    if planned.missing:
        results.print(f"About {_duration(planned.seconds)} on this machine, in {planned.workers} processes.")


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
        _print_json({"page": report.page, "experiments": tables})
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


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))


def main() -> None:
    """Run the command line: 0 done, 1 failed while working, 2 the request was wrong."""
    try:
        code = app(standalone_mode=False)
    except RequestError as error:
        code = _fail(str(error), 2)
    except typer.TyperException as error:
        said = error.format_message().rstrip(".")
        code = _fail(f"{said}; see widthwise --help", 2) if said else 2
    except TrialError as error:
        code = _fail(str(error), 1)
    except OSError as error:
        code = _fail(f"{error}; what was finished is kept, and the same command continues", 1)
    sys.exit(code or 0)


def _fail(message: str, code: int) -> int:
    messages.print(f"widthwise: {message}", markup=False)
    return code
