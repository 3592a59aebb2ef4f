"""What a user names on the command line: a model, its weights, its data, a trained trial of a store."""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from widthwise.data.parquet_images import ParquetImages
from widthwise.errors import RequestError
from widthwise.execution.machine import Machine
from widthwise.execution.trained_trial import load_trained
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial


def load_model(reference: str, weights: str | None) -> nn.Module:
    """The network that `MODULE:FACTORY` or `FILE.py:FACTORY` gives, with weights from a safetensors file.

    Raises:
        RequestError: there is no such factory, it fails or gives no network, or the weights do not fit.
    """
    model = _made(reference, "model")
    if not isinstance(model, nn.Module):
        raise RequestError(f"{reference} gives {type(model).__name__}; it must give a torch.nn.Module")
    if weights is not None:
        _load_weights(model, weights)
    return model


def load_batches(
    reference: str, split: str, mean: list[float] | None, deviation: list[float] | None, examples: int | None
) -> Iterable:
    """Batches from a Parquet file or folder of images, or those that `MODULE:FACTORY` gives.

    Raises:
        RequestError: there are none.
    """
    path = Path(reference)
    if path.exists() or ":" not in reference:
        return ParquetImages(path, split, mean, deviation, examples)
    for option, given in (("--mean", mean), ("--std", deviation), ("--examples", examples)):
        if given is not None:
            raise RequestError(f"{option} is for images in Parquet files; {reference} gives batches as they are")
    batches = _made(reference, "data")
    if not isinstance(batches, Iterable):
        raise RequestError(f"{reference} gives {type(batches).__name__}; it must give an iterable of batches")
    return batches


def load_trial(folder: Path, machine: Machine) -> tuple[Trial, nn.Module, Iterable]:
    """The network of a finished trial in a store, and its test set.

    Raises:
        RequestError: the trial is not finished, or damaged, or its images are not those that `machine` names.
    """
    if folder.parent.name != "trials":
        raise RequestError(f"{folder} is no trial of a store; its folder is STORE/trials/ID")
    try:
        return load_trained(Store(folder.parent.parent), folder.name, machine)
    except FileNotFoundError as error:
        raise RequestError(f"the trial {folder} is not finished or lost its network ({error.filename})") from None
    except RequestError:
        raise
    except ValueError as error:
        raise RequestError(f"the trial {folder} cannot be read: {error}") from None


def _made(reference: str, what: str) -> Any:
    """What the factory of a reference gives; an object that is no function is taken as it is."""
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise RequestError(f"the {what} {reference!r} must be MODULE:FACTORY or FILE.py:FACTORY")
    try:
        module = _imported(place)
    except ModuleNotFoundError as error:
        raise RequestError(f"the {what} {reference}: there is no module {error.name!r} here") from None
    except FileNotFoundError:
        raise RequestError(f"the {what} {reference}: there is no file {place}") from None
    except Exception as error:  # whatever the user's own code raises
        raise RequestError(f"the {what} {reference}: importing {place} raised {_said(error)}") from error
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = ", ".join(each for each in vars(module) if not each.startswith("_"))
            raise RequestError(f"the {what} {reference}: {place} has no {name!r}; it has {public}")
        found = getattr(found, part)
    if isinstance(found, nn.Module) or not callable(found):
        return found
    try:
        return found()
    except Exception as error:  # whatever the user's own code raises
        raise RequestError(f"the {what} {reference}: {name}() raised {_said(error)}") from error


@functools.lru_cache
def _imported(place: str) -> Any:
    if not place.endswith(".py"):
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(place)
    path = Path(place)
    if not path.is_file():
        raise FileNotFoundError(place)
    name = f"widthwise_file_{path.stem}"  # no other module's
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    if str(path.parent.resolve()) not in sys.path:  # as when Python runs a file
        sys.path.insert(0, str(path.parent.resolve()))
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _load_weights(model: nn.Module, file: str) -> None:
    try:
        weights = safetensors.torch.load_file(file)
    except FileNotFoundError:
        raise RequestError(f"there is no file of weights {file}") from None
    except (SafetensorError, OSError) as error:
        hint = ""
        if file.endswith((".pt", ".pth", ".bin", ".ckpt")):
            hint = "; safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW) makes one of a state dict"
        raise RequestError(f"{file} is no whole safetensors file ({error}){hint}") from None
    expected = model.state_dict()
    for name, value in weights.items():
        if name not in expected:
            hint = "; its names begin with module., so take that away" if name.startswith("module.") else ""
            raise RequestError(f"{file} holds {name}, which {type(model).__name__} does not have{hint}")
        if value.shape != expected[name].shape:
            shapes = f"{tuple(value.shape)} in the file and {tuple(expected[name].shape)} in {type(model).__name__}"
            raise RequestError(f"{file}: {name} has the shape {shapes}")
    loaded = {expected[name].data_ptr() for name in weights}  # a tied weight is there under another name
    missing = [
        name
        for name, value in expected.items()
        if name not in weights and not name.endswith("num_batches_tracked") and value.data_ptr() not in loaded
    ]
    if missing:
        raise RequestError(f"{file} lacks {missing[0]} and {len(missing) - 1} more of {type(model).__name__}'s values")
    model.load_state_dict(weights, strict=False)
