"""`widthwise train`: one network."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from widthwise.commands.explain import show_origins
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
from widthwise.commands.terminal import messages, number_column, plain_table, print_json, results, text_column
from widthwise.wording import duration

if TYPE_CHECKING:
    from pandas import DataFrame

    from widthwise.execution.train import Trained

ACCURACIES = ("train", "validation", "test")


def train(
    network: Annotated[
        str,
        typer.Argument(
            help="mlp, alexnet, resnet56, resnet18 or inception-v3; or a function of your own, FILE.py:FUNCTION."
        ),
    ],
    width_factor: Annotated[float, typer.Option(help="Multiplies every layer's units.")] = 1.0,
    data: Data = None,
    store: Store = "runs",
    settings: Settings = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Seed of the initial weights, the order of examples, augmentation, measurement and data."
        ),
    ] = 0,
    device: Device = "auto",
    processes: Processes = 1,
    decoders: Decoders = 2,
    checkpoint_epochs: Annotated[int, typer.Option(min=1, help="Write a checkpoint after this many epochs …")] = 1,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="… or this many minutes.")] = 5.0,
    dry_run: DryRun = False,
    explain: Explain = None,
    as_json: AsJson = False,
) -> None:
    """Train one network as the paper does, and measure it; an interrupted training continues.

    Any field of its recipe is set with --set, such as --set training.epochs=20.
    """
    from widthwise.commands.progress import shown_progress
    from widthwise.execution import train as training
    from widthwise.execution.machine import Machine
    from widthwise.experiments.explanation import origins
    from widthwise.experiments.single_trial import own_data, single_layers, single_trial

    function, files = own_data(data or [])
    machine = Machine(
        data=files,
        device=device,
        processes=processes,
        decoders=decoders,
        checkpoint_epochs=checkpoint_epochs,
        checkpoint_minutes=checkpoint_minutes,
    )
    if explain is not None:
        layers = single_layers(network, width_factor, parsed_settings(settings), seed, data=function)
        show_origins(origins(layers, explain, f"the network {network!r}"), as_json)
        return
    trial = single_trial(network, width_factor, parsed_settings(settings), seed, data=function)
    title = f"{network} at {width_factor:g}x on {trial.data.called}"
    if dry_run:
        show_plan([trial], store, 1, machine, as_json, title)
        return
    kept = "the same command continues from the last checkpoint"
    with shown_progress(messages, every_epoch=True, interrupted=kept) as on_progress:
        trained = training.train(trial, store=store, machine=machine, on_progress=on_progress)
    if as_json:
        layers = json.loads(trained.layers.to_json(orient="records", double_precision=15))
        about = {"id": trained.id, "folder": trained.folder, "status": trained.status}
        print_json({**about, "results": trained.results, "layers": layers})
        return
    _show(trained, title, store)


def _show(trained: "Trained", title: str, store: str) -> None:
    numbers = trained.results
    if trained.found:
        messages.print(f"found finished in {store}", markup=False)
    results.print(title, style="bold", markup=False)
    took = duration(numbers["training_seconds"])
    if trained.status == "diverged":
        results.print(f"Diverged in epoch {numbers['kept_epoch']}, after {took}: its loss is no longer a number.")
    else:
        kept = f", epoch {numbers['kept_epoch']} kept" if numbers["kept_epoch"] != numbers["epochs"] else ""
        results.print(f"{numbers['parameters']:,} parameters, {numbers['epochs']} epochs in {took}{kept}")
        accuracies = ", ".join(f"{name} {numbers[f'{name}_accuracy']:.4f}" for name in ACCURACIES)
        results.print(f"Accuracy: {accuracies}")
        if numbers.get("damaged_images"):
            count = numbers["damaged_images"]
            results.print(f"{count} images could not be decoded and were left out; damaged.parquet names them.")
        if "compressed_parameters" in numbers:
            size, share = numbers["compressed_parameters"], numbers["compressibility"]
            kept = numbers["compressed_labels_kept"]
            results.print(
                f"Compressed: {size:,} parameters ({share:.1%}) keep {kept:.1%} of the labels of test examples"
            )
        elif trained.trial.compressibility:
            results.print("It could not be compressed; not_compressed.parquet says why.")
        if numbers["degenerate"]:
            results.print("It gives nearly every example one label, so what follows means nothing.", style="yellow")
        results.print(_layer_table(trained.layers))
    results.print(f"\nKept in {trained.folder}", soft_wrap=True, markup=False)


def _layer_table(layers: "DataFrame") -> Table:
    table = plain_table(text_column("Layer"), *map(number_column, ("Units", "AUC", "Similarity", "Dead")))
    for row in layers.to_dict("records"):
        auc = f"{row['auc']:.3f} ± {row['auc_std']:.3f}"
        similarity = f"{row['similarity']:.2f} ± {row['similarity_std']:.2f}"
        table.add_row(Text(row["layer"]), str(row["units"]), auc, similarity, f"{row['dead_fraction']:.1%}")
    return table
