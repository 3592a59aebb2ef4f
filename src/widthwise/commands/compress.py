"""`widthwise compress`: a smaller network that answers alike."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from widthwise.commands.options import AsJson, Device, Layers, Mean, Model, Split, Std, TrustCode, Weights
from widthwise.commands.terminal import messages, number_column, plain_table, print_json, results, scaled, text_column
from widthwise.errors import RequestError
from widthwise.wording import listed

if TYPE_CHECKING:
    from pandas import DataFrame

    from widthwise.compression.compressed import Compressed


def compress(
    model: Model,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A Parquet file of images, a folder of them, or MODULE:FACTORY, which returns batches. Labels are not "
            "needed. Of a finished run as for `widthwise profile`."
        ),
    ] = None,
    keep: Annotated[
        float | None, typer.Option(help="The share of each layer's units that stays; by default a half.")
    ] = None,
    labels: Annotated[
        float | None, typer.Option(help="In place of --keep: the share of labels that stays in the smallest network.")
    ] = None,
    parameters: Annotated[
        float | None, typer.Option(help="In place of --keep: the share of parameters of the largest network.")
    ] = None,
    flops: Annotated[
        float | None, typer.Option(help="In place of --keep: the share of operations of the largest network.")
    ] = None,
    round_to: Annotated[
        int, typer.Option(min=1, metavar="UNITS", help="Keep a multiple of this many units of each layer.")
    ] = 1,
    whole_frontier: Annotated[
        bool,
        typer.Option(
            "--frontier", help="Say what networks of several sizes keep; write none. With --page, show that there."
        ),
    ] = False,
    page: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.html", help="Write a page about the smaller network; as .png, .svg or .pdf only its figure."
        ),
    ] = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="Show the ablation curves of both networks on the page; takes two profiles."),
    ] = False,
    out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Write the smaller network there, for widthwise.load_compressed."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Write it to --out as pt2, onnx (needs the extra onnx) or transformers, too; can be given several "
            "times.",
        ),
    ] = None,
    weights: Weights = None,
    split: Split = "train",
    mean: Mean = None,
    std: Std = None,
    examples: Annotated[
        int | None, typer.Option(min=1, help="Only the first this many images; a few hundred will do.")
    ] = None,
    layers: Layers = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Let units go, too, that are added to those of other layers."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws of rows that the fit is over.")] = 0,
    trust_code: TrustCode = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Make a smaller network that gives the same labels, from a few hundred inputs, without training."""
    from widthwise.commands.compression_page import both_profiles, check_page, with_held_back
    from widthwise.commands.loading import InputOptions, importing_user_code, load_subject
    from widthwise.commands.measurement_options import numbers
    from widthwise.commands.progress import shown_progress
    from widthwise.compression.compress import compress as make_smaller
    from widthwise.compression.compress import frontier
    from widthwise.compression.files import check_folder
    from widthwise.compression.formats import check_formats
    from widthwise.reporting.report import report

    if out is not None:
        check_folder(out)
    elif formats:
        raise RequestError("is for the files of --out, which is missing", field="formats")
    check_page(page, curves)
    inputs = InputOptions(data or [], split, numbers("mean", mean), numbers("std", std), examples)
    with importing_user_code():
        subject = load_subject(model, weights, inputs, device, trust_code)
        check_formats(formats or (), subject.network)
        curve, check = None, None
        if curves:
            subject, check = with_held_back(subject)
        if whole_frontier:
            if page is None:
                _refuse_with_frontier(keep=keep, labels=labels, parameters=parameters, flops=flops, out=out)
            with shown_progress(messages) as on_progress:
                curve = frontier(
                    subject.network,
                    subject.batches,
                    layers=layers or None,
                    check=check,
                    predict=subject.predict,
                    stream=stream,
                    round_to=round_to,
                    seed=seed,
                    on_progress=on_progress,
                )
            if page is None:
                _show_frontier(curve, as_json)
                return
        with shown_progress(messages) as on_progress:
            found = make_smaller(
                subject.network,
                subject.batches,
                keep=keep,
                labels=labels,
                parameters=parameters,
                flops=flops,
                layers=layers or None,
                check=check,
                predict=subject.predict,
                stream=stream,
                round_to=round_to,
                seed=seed,
                on_progress=on_progress,
            )
        if out is not None:
            found.save(out, formats or ())
        if page is not None:
            profiles = None if check is None else both_profiles(subject, found, check, seed, out)
            report(found, page, frontier=curve, profiles=profiles)
    if as_json:
        print_json(
            {"folder": out, "page": page, "comparison": json.loads(found.comparison.to_json()), **_tables(found)}
        )
        return
    _show(found, out, page)


def _refuse_with_frontier(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise RequestError("a frontier is of several sizes; leave it out", field=name)


def _show_frontier(curve: "DataFrame", as_json: bool) -> None:
    if as_json:
        print_json(json.loads(curve.to_json(orient="records")))
        return
    table = plain_table(
        *map(number_column, ("Units", "Labels kept", "95% interval", "Parameters", "FLOPs", "One input"))
    )
    for row in curve.to_dict("records"):
        interval = "" if row["keep"] == 1 else f"{row['labels_kept_low']:.1%} to {row['labels_kept_high']:.1%}"
        table.add_row(
            f"{row['keep']:.1%}",
            f"{row['labels_kept']:.1%}",
            interval,
            scaled(row["parameters"], ""),
            scaled(row["flops"], ""),
            f"{1e3 * row['seconds_one']:.2f} ms",
        )
    results.print(table)
    if curve["collapsed"].any():
        shares = listed([f"{keep:.1%}" for keep in curve.loc[curve["collapsed"], "keep"]])
        results.print(f"\nWith {shares} of the units the network gives one label to nearly all of the examples.")


def _tables(found: "Compressed") -> dict[str, object]:
    return {name: json.loads(getattr(found, name).to_json(orient="records")) for name in ("layers", "left", "classes")}


def _show(found: "Compressed", out: str | None, page: str | None) -> None:
    known = found.comparison
    results.print(f"{found.keep:.1%} of the units of these layers stay.")
    low, high = known["labels_kept_low"], known["labels_kept_high"]
    results.print(
        f"{known['labels_kept']:.1%} of {known['labels']:,} labels stay, with 95% confidence {low:.1%} to {high:.1%}."
    )
    for line in found.of_labels():
        results.print(line)
    sizes = plain_table(Column(""), *map(number_column, ("Before", "After", "Share")))
    for title, name, unit in (("parameters", "parameters", ""), ("one example", "flops", "FLOP"), ("", "bytes", "B")):
        before, after = known[f"{name}_before"], known[f"{name}_after"]
        sizes.add_row(title or "memory", scaled(before, unit), scaled(after, unit), f"{after / before:.0%}")
    for title, name in (("one at a time", "one"), (f"{known['batch']} at a time", "batch")):
        before, after = known[f"seconds_{name}_before"], known[f"seconds_{name}_after"]
        sizes.add_row(title, f"{1e3 * before:.2f} ms", f"{1e3 * after:.2f} ms", f"{after / before:.0%}")
    results.print(sizes)
    table = plain_table(
        text_column("Layer"),
        number_column("Units"),
        number_column("Stay"),
        number_column("Error"),
        text_column("Reader"),
    )
    for row in found.layers.to_dict("records"):
        table.add_row(row["layer"], str(row["units"]), str(row["kept"]), f"{row['error']:.3f}", row["reader"])
    results.print()
    results.print(table)
    _show_reasons(found)
    for note in found.notes():
        results.print(f"\n{note}", markup=False)
    if len(found.left):
        whole = plain_table(text_column("Left whole"), text_column("Since"))
        for names, reason in found.left_by_reason():
            whole.add_row(names, reason)
        results.print()
        results.print(whole)
    if out is not None:
        results.print(f"\nThe smaller network: {out}", soft_wrap=True, markup=False)
    if page is not None:
        results.print(f"\nThe page: {page}", soft_wrap=True, markup=False)


def _show_reasons(found: "Compressed") -> None:
    """How many units of each layer went for each reason for which any did."""
    from widthwise.compression.reasons import REASONS

    named = [reason for reason in REASONS if found.layers[reason].any()]
    if not named:
        return
    table = plain_table(text_column("Went from"), *(number_column(reason.capitalize()) for reason in named))
    for row in found.layers.to_dict("records"):
        table.add_row(row["layer"], *(str(row[reason]) for reason in named))
    results.print()
    results.print(table)
