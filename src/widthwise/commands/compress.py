"""`widthwise compress`: a smaller network that answers alike."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from widthwise.commands.options import AsJson, Device, Layers, Mean, Model, Split, Std, TrustCode, Weights
from widthwise.commands.shown_compression import show_compressed, show_frontier, show_plan, tables_of
from widthwise.commands.terminal import messages, print_json
from widthwise.errors import RequestError


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
    same_width: Annotated[
        bool, typer.Option("--same-width", help="Keep the same share of each layer's units whatever is asked for.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would stay and what cannot go; fit and write nothing.")
    ] = False,
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
    from widthwise.compression.plan import compression_plan
    from widthwise.reporting.report import report

    if out is not None:
        check_folder(out)
    elif formats:
        raise RequestError("is for the files of --out, which is missing", field="formats")
    check_page(page, curves)
    if plan:
        given = {"labels": labels, "frontier": whole_frontier, "page": page, "out": out}
        _refuse("takes a fit, and a plan is made without one; leave it out", given)
    inputs = InputOptions(data or [], split, numbers("mean", mean), numbers("std", std), examples)
    with importing_user_code():
        subject = load_subject(model, weights, inputs, device, trust_code)
        check_formats(formats or (), subject.network)
        curve, check = None, None
        if curves:
            subject, check = with_held_back(subject)
        if plan:
            with shown_progress(messages) as on_progress:
                planned = compression_plan(
                    subject.network,
                    subject.batches,
                    keep=keep,
                    parameters=parameters,
                    flops=flops,
                    layers=layers or None,
                    predict=subject.predict,
                    stream=stream,
                    round_to=round_to,
                    same_width=same_width,
                    seed=seed,
                    on_progress=on_progress,
                )
            show_plan(planned, as_json)
            return
        if whole_frontier:
            if page is None:
                given = {"keep": keep, "labels": labels, "parameters": parameters, "flops": flops, "out": out}
                _refuse("a frontier is of several sizes; leave it out", given)
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
                show_frontier(curve, as_json)
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
                same_width=same_width,
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
            {"folder": out, "page": page, "comparison": json.loads(found.comparison.to_json()), **tables_of(found)}
        )
        return
    show_compressed(found, out, page)


def _refuse(sentence: str, given: Mapping[str, object]) -> None:
    """Raise a `RequestError` if an option is given that makes no sense with another."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise RequestError(sentence, field=name)
