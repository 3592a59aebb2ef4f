"""The options of a measurement on the command line: one for each field of `Measurement`."""

from typing import Annotated, cast

import typer

from widthwise.errors import RequestError
from widthwise.measurement import settings

Levels = Annotated[int, typer.Option(help="Number of shares of dropped units, from 0 to 1.")]
Samplings = Annotated[int, typer.Option(help="Number of random draws that a mean is taken over.")]
Granularity = Annotated[
    settings.Granularity,
    typer.Option(help="What is dropped: each application of a unit by itself, or the whole channel."),
]
Threshold = Annotated[float, typer.Option(help="Units with at least this |r| are similar.")]
Activations = Annotated[
    str, typer.Option(metavar="N|all", help="The most activation vectors used for a layer's correlations.")
]
Replacement = Annotated[settings.Replacement, typer.Option(help="What a dropped unit's activity becomes.")]
Thresholds = Annotated[
    str, typer.Option(metavar="R,R,…", help="Further values of |r| for which similarity is reported.")
]
SingleUnits = Annotated[
    bool, typer.Option("--single-units", help="Also drop every unit alone, to find out why it is removable.")
]
Tolerance = Annotated[float, typer.Option(help="The share of labels that may change while a unit counts as removable.")]
Protocols = Annotated[
    str,
    typer.Option(
        metavar="text,figures", help="How removability is measured: as in the paper's text, its figures, or both."
    ),
]
PrunabilityThreshold = Annotated[
    float, typer.Option(help="Prunability is the share dropped at which unchanged labels fall below this.")
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="ERROR|exact", help="Stop a layer's ablations at this standard error of its AUC; exact: run them all."
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(metavar="N", help="Positions of each example whose activity is correlated; by default all."),
]

PRECISION = "0.01"
PROTOCOLS = ",".join(settings.PAPER_SETTINGS.protocols)
ACTIVATIONS = str(settings.PAPER_SETTINGS.activations)
THRESHOLDS = ",".join(map(str, settings.PAPER_SETTINGS.thresholds))


def activation_count(text: str) -> int | None:
    """The number of activation vectors that `--activations` asks for; None: all.

    Raises:
        RequestError: the text is not a number.
    """
    if text != "all" and not text.isdigit():
        raise RequestError(f"must be a whole number or all, not {text!r}", field="activations")
    return None if text == "all" else int(text)


def chosen_precision(text: str) -> float | None:
    """The standard error that `--precision` asks for; None: every ablation is run.

    Raises:
        RequestError: the text is not a number.
    """
    if text in ("exact", "none"):
        return None
    try:
        return float(text)
    except ValueError:
        raise RequestError(f"must be a number such as 0.01, or exact, not {text!r}", field="precision") from None


def chosen_protocols(text: str) -> tuple[settings.Protocol, ...]:
    """The protocols that `--protocols` names; `Measurement` checks them."""
    return cast("tuple[settings.Protocol, ...]", tuple(part for part in text.split(",") if part))


def part_of_data(text: str) -> tuple[int, int]:
    """The part of the examples that `--part` names, such as 1/4.

    Raises:
        RequestError: the text names none.
    """
    number, _, parts = text.partition("/")
    if not number.isdigit() or not parts.isdigit():
        raise RequestError(
            f"must be two whole numbers such as 1/4, the first of four parts, not {text!r}", field="part"
        )
    return int(number), int(parts)


def numbers(option: str, text: str | None) -> list[float] | None:
    """Numbers separated by commas; None: the option is not given.

    Raises:
        RequestError: the text is not a list of numbers.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",") if part]
    except ValueError:
        raise RequestError(
            f"must be numbers with commas between, such as 0.5,0.5,0.5, not {text!r}", field=option
        ) from None
