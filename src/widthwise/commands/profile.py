"""`widthwise profile`: measure one trained network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from widthwise.commands.measurement_options import (
    ACTIVATIONS,
    PRECISION,
    PROTOCOLS,
    THRESHOLDS,
    Activations,
    Granularity,
    Levels,
    Precision,
    Protocols,
    PrunabilityThreshold,
    Replacement,
    Sample,
    Samplings,
    SingleUnits,
    Threshold,
    Thresholds,
    Tolerance,
    activation_count,
    chosen_precision,
    chosen_protocols,
    numbers,
    part_of_data,
)
from widthwise.commands.options import AsJson, Device, Layers, Mean, Model, Split, Std, TrustCode, Weights
from widthwise.commands.targets import check_target
from widthwise.commands.terminal import messages
from widthwise.errors import RequestError, TrialError
from widthwise.measurement.settings import PAPER_SETTINGS, Measurement
from widthwise.progress import OnProgress


def profile(
    model: Model,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A Parquet file of images, a folder of them, or MODULE:FACTORY, which returns batches; of a finished "
            "run on images, their folder, or as `widthwise train` takes them."
        ),
    ] = None,
    weights: Weights = None,
    split: Split = "test",
    mean: Mean = None,
    std: Std = None,
    examples: Annotated[int | None, typer.Option(min=1, help="Only the first this many images.")] = None,
    trust_code: TrustCode = False,
    layers: Layers = None,
    units: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIMENSION",
            help="The dimension of a value along which its units lie, where they cannot be followed; can be given "
            "several times.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take: time, memory, passes; measure nothing.")
    ] = False,
    list_layers: Annotated[bool, typer.Option("--list", help="List the layers; measure nothing.")] = False,
    attention_heads: Annotated[
        bool, typer.Option("--attention-heads", help="Also measure attention heads, as units.")
    ] = False,
    granularity: Granularity = PAPER_SETTINGS.granularity,
    replacement: Replacement = PAPER_SETTINGS.replacement,
    levels: Levels = PAPER_SETTINGS.levels,
    samplings: Samplings = PAPER_SETTINGS.samplings,
    threshold: Threshold = PAPER_SETTINGS.threshold,
    thresholds: Thresholds = THRESHOLDS,
    activations: Activations = ACTIVATIONS,
    single_units: SingleUnits = PAPER_SETTINGS.single_units,
    tolerance: Tolerance = PAPER_SETTINGS.tolerance,
    protocols: Protocols = PROTOCOLS,
    prunability_threshold: PrunabilityThreshold = PAPER_SETTINGS.prunability_threshold,
    precision: Precision = PRECISION,
    sample: Sample = PAPER_SETTINGS.sample,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the random draws; by default 0, or a finished run's own.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Examples at a time; by default as many as fit in memory.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(metavar="K/N", help="Measure part K of N of the examples, to merge later.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the state there now and then; go on from it if it exists."),
    ] = None,
    device: Device = "auto",
    page: Annotated[
        str | None, typer.Option(metavar="FILE.html", help="Write a page; as .png, .svg or .pdf only its figure.")
    ] = None,
    what_can_go: Annotated[
        bool,
        typer.Option(
            "--what-can-go",
            help="Also say, on the page too, what can go at 99%, 95% and 90% of labels kept; takes minutes.",
        ),
    ] = False,
    save: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the tables, for widthwise.Profile.load.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the removable and repeated units of every layer of a trained network."""
    from widthwise.commands.loading import InputOptions, importing_user_code, load_subject
    from widthwise.commands.profile_output import add_to_page, print_layers, print_plan, print_profile, write_profile
    from widthwise.commands.removable import find_what_can_go
    from widthwise.measurement.plan import plan as find_plan
    from widthwise.measurement.profile import layers as find_layers
    from widthwise.measurement.profile import profile as measure

    check_target("page", page)
    check_target("save", save)
    chosen_part = None if part is None else part_of_data(part)
    settings = Measurement(
        levels=levels,
        samplings=samplings,
        granularity=granularity,
        threshold=threshold,
        thresholds=tuple(numbers("thresholds", thresholds) or ()),
        activations=activation_count(activations),
        replacement=replacement,
        single_units=single_units,
        tolerance=tolerance,
        protocols=chosen_protocols(protocols),
        prunability_threshold=prunability_threshold,
        precision=chosen_precision(precision),
        sample=sample,
    )
    dimensions = _unit_dimensions(units or [])
    inputs = InputOptions(data or [], split, numbers("mean", mean), numbers("std", std), examples)
    with importing_user_code():
        subject = load_subject(model, weights, inputs, device, trust_code)
        if list_layers:
            example = subject.first_batch()
            found = find_layers(
                subject.network,
                example,
                layers=layers or None,
                attention_heads=attention_heads,
                units=dimensions,
                predict=subject.predict,
            )
            print_layers(found, as_json)
            return
        if dry_run:
            planned = find_plan(
                subject.network,
                subject.batches,
                settings=settings,
                layers=layers or None,
                attention_heads=attention_heads,
                units=dimensions,
                predict=subject.predict,
                batch_size=batch_size,
            )
            print_plan(planned, as_json)
            return
        chosen_seed = subject.seed if seed is None else seed
        with _shown(checkpoint) as on_progress:
            measured = measure(
                subject.network,
                subject.batches,
                settings=settings,
                layers=layers or None,
                attention_heads=attention_heads,
                units=dimensions,
                predict=subject.predict,
                seed=chosen_seed,
                batch_size=batch_size,
                part=chosen_part,
                checkpoint=checkpoint,
                on_progress=on_progress,
            )
        write_profile(measured, page, save)
        removable = find_what_can_go(subject, chosen_seed, page, save) if what_can_go else None
    if removable is not None:
        add_to_page(measured, page, removable)
    print_profile(measured, page, save, as_json, removable)


def _unit_dimensions(given: list[str]) -> dict[str, int]:
    """The dimensions that `--units` gives, by the name of the value."""
    dimensions = {}
    for each in given:
        name, equals, dimension = each.rpartition("=")
        try:
            dimensions[name] = int(dimension)
        except ValueError:
            equals = ""
        if not name or not equals:
            raise RequestError(f"must be NAME=DIMENSION, such as encoder.relu=1, got {each!r}", field="units")
    return dimensions


@contextmanager
def _shown(checkpoint: str | None) -> Iterator[OnProgress]:
    """Show progress on the terminal.

    Args:
        checkpoint: the file that the measurement's state is written to.

    Raises:
        TrialError: the user interrupted the measurement.
    """
    from widthwise.commands.progress import shown_progress

    try:
        with shown_progress(messages) as on_progress:
            yield on_progress
    except KeyboardInterrupt:
        written = checkpoint is not None and Path(checkpoint).exists()
        remains = f"the same command goes on from {checkpoint}" if written else "nothing was written"
        raise TrialError(f"interrupted; {remains}") from None
