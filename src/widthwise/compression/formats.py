"""The formats in which a smaller network is written besides its weights, for programs that lack its code."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec

from torch import nn

from widthwise.compression.example import Example
from widthwise.compression.exporting import ANY_NUMBER, Exporting
from widthwise.compression.pretrained import is_pretrained, pretrained_files
from widthwise.errors import RequestError
from widthwise.wording import listed, suggestion

FORMATS = ("pt2", "onnx", "transformers")
PACKAGES_FOR_ONNX = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Others:
    """Files besides the weights: their contents by name, what is known of them by format, and a line on each."""

    contents: dict[str, bytes] = field(default_factory=dict)
    about: dict[str, object] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def check_formats(formats: str | Iterable[str], model: nn.Module) -> list[str]:
    """The formats, each once.

    Raises:
        RequestError: there is no such format, its packages are not installed, or it is not for such a network.
    """
    chosen = list(dict.fromkeys([formats] if isinstance(formats, str) else formats))
    for name in chosen:
        if name not in FORMATS:
            raise RequestError(f"there is no format {name!r}; {suggestion(name, FORMATS)}", field="formats")
    if "onnx" in chosen and (missing := [name for name in PACKAGES_FOR_ONNX if find_spec(name) is None]):
        raise RequestError(f"onnx needs {listed(missing)}: install widthwise[onnx]", field="formats")
    if "transformers" in chosen and not is_pretrained(model):
        raise RequestError(
            f"transformers is for networks of that package (PreTrainedModel), not for {type(model).__name__}",
            field="formats",
        )
    return chosen


def in_formats(model: nn.Module, example: Example, formats: str | Iterable[str]) -> Others:
    """A network in some formats, each loaded again and compared with it.

    Args:
        model: the network.
        example: inputs for it.
        formats: of `pt2`, `onnx` and `transformers`.

    Raises:
        RequestError: a format cannot be used for it, or what is loaded from it does not answer alike.
        TrialError: there is not enough memory.
    """
    chosen = check_formats(formats, model)
    others = Others()
    if "transformers" in chosen:
        _add_pretrained(others, model, example)
    if programs := [name for name in chosen if name != "transformers"]:
        exporting = Exporting(model, example)
        for name in programs:
            _add_program(others, name, exporting)
    return others


def _add_pretrained(others: Others, model: nn.Module, example: Example) -> None:
    files = pretrained_files(model, example)
    others.contents.update(files)
    others.about["transformers"] = {"files": list(files)}
    names = listed([f"`{file}`" for file in files])
    others.lines.append(f'{names}, for `{type(model).__name__}.from_pretrained("this folder")`')


def _add_program(others: Others, name: str, exporting: Exporting) -> None:
    file = f"network.{name}"
    if name == "pt2":
        content, load = exporting.pt2(), f'torch.export.load("{file}").module()'
    else:
        content, load = exporting.onnx(), f'onnxruntime.InferenceSession("{file}")'
    others.contents[file] = content
    others.about[name] = {
        "file": file,
        "inputs": [{"name": name, "type": kind, "shape": shape} for name, kind, shape in exporting.inputs],
        "output": "scores" if exporting.gives_scores else "output",
    }
    others.lines.append(f"`{file}`, for `{load}`: {_takes(exporting)}")


def _takes(exporting: Exporting) -> str:
    """What a program takes and gives, in words."""
    inputs = [f"`{name}` ({kind}, {' × '.join(map(str, shape))})" for name, kind, shape in exporting.inputs]
    given = "the scores that labels are formed from" if exporting.gives_scores else "what the network gives"
    number = (
        "" if any(ANY_NUMBER in shape for _, _, shape in exporting.inputs) else ", for this number of examples alone"
    )
    return f"takes {listed(inputs)}{number}, and gives {given}"
