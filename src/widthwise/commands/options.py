"""Options that several commands share, and how the text of `--set` is read."""

from collections.abc import Iterable
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for a program to read.")]
Store = Annotated[str, typer.Option(help="The folder or fsspec URL of finished runs, which are not run again.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DIR",
        help="The images to train on: CIFAR-10, ImageNet or your own, or hub:OWNER/NAME; for widthwise train also a "
        "function of your own, FILE.py:FUNCTION. Given twice, as cifar10=DIR and imagenet=DIR, if both are needed.",
    ),
]
Device = Annotated[
    str, typer.Option(help="The device to compute on: cpu, cuda, cuda:1; auto is a GPU if there is one.")
]
Processes = Annotated[
    int, typer.Option(min=1, help="Share each batch of images between this many processes, on a GPU each.")
]
Decoders = Annotated[int, typer.Option(min=0, help="Processes that decode photographs.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would run and what it would cost here; run nothing, and read no data."),
]
Explain = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Say which value a field of the trial has, such as training.epochs, and what set it; run nothing.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field of the trial, such as training.epochs=20; of a sweep also an axis, such as replicates=5.",
    ),
]

Model = Annotated[
    str,
    typer.Argument(
        help="MODULE:FACTORY or FILE.py:FACTORY, a function that returns a torch.nn.Module; or a finished run of a "
        "store, STORE/trials/ID."
    ),
]
Weights = Annotated[str | None, typer.Option(metavar="FILE.safetensors", help="The model's weights.")]
Split = Annotated[str, typer.Option(help="The files of a folder of data to read.")]
Mean = Annotated[str | None, typer.Option(metavar="R,G,B", help="Subtracted from images, whose values are in [0, 1].")]
Std = Annotated[str | None, typer.Option(metavar="R,G,B", help="Divides images after --mean is subtracted.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the network or data code that a finished run holds.")
]
Layers = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="A layer, or a pattern with *; can be given several times.")
]


def parsed_settings(texts: Iterable[str] | None) -> dict[str, object]:
    """Values by path, of `PATH=VALUE` with the value in YAML.

    Raises:
        RequestError: one of them has another form.
    """
    import yaml

    from widthwise.errors import RequestError
    from widthwise.experiments.yaml_files import read_yaml

    values: dict[str, object] = {}
    for text in texts or ():
        path, equals, value = text.partition("=")
        if not equals:
            raise RequestError(f"--set {text} must be PATH=VALUE, such as training.epochs=20")
        try:
            values[path] = read_yaml(value)
        except yaml.YAMLError:
            raise RequestError(f"--set {text}: {value!r} is not a value in YAML") from None
    return values
