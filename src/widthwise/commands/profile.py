"""`widthwise profile`: measure one trained network."""

import json
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from widthwise.commands.terminal import AsJson, Device, messages, print_json, results
from widthwise.errors import RequestError, TrialError


def profile(
    model: Annotated[
        str,
        typer.Argument(
            help="MODULE:FACTORY or FILE.py:FACTORY, a function that gives a torch.nn.Module; or a finished run of a "
            "store, STORE/trials/ID."
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A Parquet file of images, a folder of them, or MODULE:FACTORY, which gives batches; of a finished "
            "run on images, their folder, or as `widthwise train` takes them."
        ),
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
    device: Device = "auto",
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

    from widthwise.commands.loading import load_batches, load_model, load_trial
    from widthwise.commands.progress import shown_progress
    from widthwise.execution.machine import Machine, chosen_device
    from widthwise.measurement.profile import layers as find_layers
    from widthwise.measurement.profile import profile as measure
    from widthwise.measurement.settings import Measurement
    from widthwise.progress import Progress
    from widthwise.reporting.report import report as report_profile

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
            others = {"--weights": weights, "--mean": mean, "--std": std, "--examples": examples}
            for option, given in others.items():
                if given is not None:
                    raise RequestError(f"a finished run has its own weights and test images; leave out {option}")
            trial, network, batches = load_trial(Path(model), Machine(tuple(data or ()), place))
            if data and trial.data.name == "teacher":
                raise RequestError("a finished run of a perceptron has its own data; leave out --data")
            seed = trial.seed if seed is None else seed
        else:
            if not data:
                raise RequestError("--data is missing: a folder of images, or MODULE:FACTORY, which gives batches")
            if len(data) > 1:
                raise RequestError(f"--data is given {len(data)} times; a model is measured on one set of inputs")
            network = load_model(model, weights)
            batches = load_batches(data[0], split, _numbers("mean", mean), _numbers("std", std), examples)
        network.to(place)
        if list_layers:
            example = next(iter(batches), None)
            if example is None:
                raise RequestError(
                    f"{data[0] if data else model} gives no batches, so there is nothing to list layers with"
                )
            table = find_layers(network, example, layers=layers, attention_heads=attention_heads)
            print_json(json.loads(table.to_json(orient="records"))) if as_json else _show_layers(table)
            return
        with shown_progress(messages) as on_progress:
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
                on_progress=lambda done, total: on_progress(Progress("measuring", done, total, "examples")),
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
        print_json({**measured.summary(), "layers": layers_table, "mechanisms": mechanisms})
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
