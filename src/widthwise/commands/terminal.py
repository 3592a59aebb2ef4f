"""Where commands print: results to stdout, everything else to stderr."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console

messages = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for a program to read.")]
Store = Annotated[str, typer.Option(help="Where finished runs are kept: a folder or an fsspec URL. It is continued.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DIR",
        help="The images to train on: CIFAR-10 or ImageNet, or hub:OWNER/NAME; given twice, as cifar10=DIR and "
        "imagenet=DIR, where both are needed.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto is a GPU where there is one.")]
Processes = Annotated[
    int, typer.Option(min=1, help="Share each batch of images between so many processes, on a GPU each.")
]
Decoders = Annotated[int, typer.Option(min=0, help="Processes that decode photographs.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field of the trial, such as training.epochs=20; of a sweep also an axis, such as replicates=5.",
    ),
]


def print_json(content: Any) -> None:
    """One JSON value to stdout."""
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
