"""A network of the package transformers as files that `from_pretrained` loads: its config is found by trying."""

import copy
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from widthwise.compression.example import Example, Reference
from widthwise.errors import RequestError, TrialError
from widthwise.tracing.failures import is_out_of_memory
from widthwise.wording import one_line

Shapes = dict[str, tuple[int, ...]]
"""The shapes of parameters and buffers, by name."""
MOST_CONFIGS = 20
"""This many that fit, or that cannot be made to fit better, are looked at."""


def is_pretrained(model: nn.Module) -> bool:
    """Whether a network is one of the package transformers, which is imported then."""
    transformers = sys.modules.get("transformers")
    return transformers is not None and isinstance(model, transformers.PreTrainedModel)


def pretrained_files(model: nn.Module, example: Example) -> dict[str, bytes]:
    """The files that `from_pretrained` of the network's class reads, by name.

    They are loaded again, and compared with the network.

    Args:
        model: a network of transformers, some of whose units are gone.
        example: inputs for it.

    Raises:
        RequestError: no config of its class gives networks with its widths; or what is loaded does not answer alike.
        TrialError: there is not enough memory, or the disk is full.
    """
    try:
        with _quiet():
            return _files(Reference(model, example))
    except (RequestError, TrialError):
        raise
    except Exception as error:  # of any part of transformers
        problem = f"{type(model).__name__} cannot be saved for from_pretrained: {one_line(error)}"
        if is_out_of_memory(error) or isinstance(error, OSError):  # a full disk
            raise TrialError(problem) from error
        raise RequestError(problem, field="formats") from error


def _files(reference: Reference) -> dict[str, bytes]:
    """The files with the first config that fits and with which the network answers alike."""
    name = type(reference.model).__name__
    wanted = _shapes(reference.model)
    problem, fewest = "", len(wanted) + 1
    for config, built in islice(_configs(reference.model, wanted), MOST_CONFIGS):
        if mismatches := _mismatches(wanted, built):
            if len(mismatches) < fewest:
                problem, fewest = _why_none(name, wanted, built), len(mismatches)
            continue
        files, difference = _saved(reference, config, {each: built[each] for each in built.keys() - wanted.keys()})
        if not difference:
            return files
        problem, fewest = f"{name} loaded by from_pretrained {difference}, so it was not written", 0
    raise RequestError(problem or f"{name} cannot be built from its config alone", field="formats")


def _saved(reference: Reference, config: Any, added: Shapes) -> tuple[dict[str, bytes], str]:
    """The files, and how the network that they are loaded as differs."""
    whole: Any = copy.copy(reference.model)  # shares its parameters
    whole.config = config
    like = next(parameter for parameter in whole.parameters() if parameter.is_floating_point())
    zeros = {name: like.new_zeros(shape) for name, shape in added.items()}
    with tempfile.TemporaryDirectory() as folder:
        whole.save_pretrained(folder, state_dict={**whole.state_dict(), **zeros})
        again = type(whole).from_pretrained(folder).eval()
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
    reference.simplify(again)
    return files, reference.difference(lambda inputs: inputs.call(again))


def _configs(model: Any, wanted: Shapes, config: Any = None) -> Iterator[tuple[Any, Shapes]]:
    """Configs with which the class gives networks that are as like a network as can be, and their shapes.

    For a size that has changed, numbers in the config are changed; for biases that were made where there were none,
    switches are turned on. Each change brings more shapes in line, and those that bring most are tried first.
    """
    config = copy.deepcopy(model.config) if config is None else config
    built = _built(model, config)
    if built is None:
        return
    now = len(_mismatches(wanted, built))
    better: list[tuple[int, Any]] = []
    for other in _changed(config, wanted, built):
        shapes = _built(model, other)
        if shapes is not None and (count := len(_mismatches(wanted, shapes))) < now:
            better.append((count, other))
    if not better:
        yield config, built
    for _, other in sorted(better, key=lambda pair: pair[0]):
        yield from _configs(model, wanted, other)


def _changed(config: Any, wanted: Shapes, built: Shapes) -> Iterator[Any]:
    """The config with one field changed."""
    for old, new in _changed_sizes(wanted, built):
        yield from _with_integer(config, old, new)
    if wanted.keys() - built.keys():
        yield from _with_switch(config)


def _shapes(model: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _built(model: Any, config: Any) -> Shapes | None:
    """The shapes in a network of a model's class with another config; None if there can be none."""
    try:
        with torch.device("meta"):
            network = type(model)(copy.deepcopy(config))
        return _shapes(network)
    except Exception:  # whatever the class raises for a config that it cannot use
        return None


def _changed_sizes(wanted: Shapes, built: Shapes) -> list[tuple[int, int]]:
    """The sizes that are others in both, the larger ones first: as they were, and as they are."""
    return sorted(
        {
            (old, new)
            for name in wanted.keys() & built.keys()
            for old, new in zip(built[name], wanted[name], strict=False)
            if old != new
        },
        reverse=True,
    )


def _mismatches(wanted: Shapes, built: Shapes) -> list[str]:
    """The names of what has other shapes, or is in one of both alone, less biases that can be 0."""
    biases = {name for name in built.keys() - wanted.keys() if name.endswith("bias") and len(built[name]) == 1}
    return [name for name in sorted({*wanted, *built} - biases) if wanted.get(name) != built.get(name)]


def _with_integer(config: Any, old: int, new: int) -> Iterator[Any]:
    """Configs with a number in place of another, in the order of how likely they are.

    The other is as large as a layer was; or smaller in proportion, as the number of heads is; or None.
    """
    numbers = [
        (path, value) for path, value in _fields(config) if isinstance(value, int) and value and value is not True
    ]
    equal = [(path, new) for path, value in numbers if value == old]
    scaled = [(path, value * new // old) for path, value in numbers if value != old and value * new % old == 0]
    absent = [(path, new) for path, value in _fields(config) if value is None]
    for path, value in (*equal, *scaled, *absent):
        yield from _with(config, path, value)


def _with_switch(config: Any) -> Iterator[Any]:
    """Configs with one more switch turned on."""
    for path, value in _fields(config):
        if value is False:
            yield from _with(config, path, True)


def _fields(config: Any) -> Iterator[tuple[tuple[str, ...], object]]:
    """The fields of a config and of the configs in it, by path."""
    for name, value in list(vars(config).items()):
        if isinstance(value, sys.modules["transformers"].PretrainedConfig):
            yield from (((name, *path), inner) for path, inner in _fields(value))
        else:
            yield (name,), value


def _with(config: Any, path: tuple[str, ...], value: object) -> Iterator[Any]:
    """The config with a field changed; nothing if it refuses the value."""
    changed = inner = copy.deepcopy(config)
    try:
        for name in path[:-1]:
            inner = getattr(inner, name)
        setattr(inner, path[-1], value)
    except Exception:  # of the checks that some configs have
        return
    yield changed


def _why_none(class_name: str, wanted: Shapes, built: Shapes) -> str:
    """A sentence that says what no config gives."""
    subject = f"no config of {class_name}"
    for name in _mismatches(wanted, built):
        layer, _, tensor = name.rpartition(".")
        if name not in built:
            return f"{subject} gives {layer} a {tensor}, which its units that stay were fitted with"
        if name not in wanted:
            return f"{subject} leaves out the {tensor} of {layer}"
        for other in wanted:
            alike = built.get(other) == built[name] and _role(other) == _role(name)
            if alike and wanted[other] != wanted[name]:
                return _unlike(subject, (name, wanted[name]), (other, wanted[other]))
    name = _mismatches(wanted, built)[0]
    before, after = next(pair for pair in zip(built[name], wanted[name], strict=False) if pair[0] != pair[1])
    return f"{subject} makes the {before} units of {_layer(name)} {after}; name other layers in layers="


def _unlike(subject: str, one: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]) -> str:
    sizes = next(pair for pair in zip(one[1], other[1], strict=True) if pair[0] != pair[1])
    return (
        f"{subject} gives layers of unlike widths: {_layer(one[0])} has {sizes[0]} units and {_layer(other[0])} "
        f"{sizes[1]}; give all of them one width with same_width=True, or name other layers in layers="
    )


def _role(name: str) -> str:
    """A parameter's name without the numbers of its layers."""
    return re.sub(r"\d+", "", name)


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and the messages of transformers."""
    talk = sys.modules["transformers"].utils.logging
    level, bars = talk.get_verbosity(), talk.is_progress_bar_enabled()
    talk.set_verbosity_error()
    if bars:
        talk.disable_progress_bar()
    try:
        yield
    finally:
        talk.set_verbosity(level)
        if bars:
            talk.enable_progress_bar()
