"""Loading what the command line names to be measured: a model, its weights and inputs, or a finished run."""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from widthwise.data.parquet_images import ParquetImages
from widthwise.errors import RequestError
from widthwise.execution.machine import Machine, chosen_device
from widthwise.execution.outcome import predicted_by
from widthwise.execution.trained_trial import load_trained
from widthwise.experiments.store import Store
from widthwise.tracing.failures import check_initialized, check_values, failure
from widthwise.tracing.predicted_labels import Predict
from widthwise.wording import one_line


@dataclass(frozen=True)
class InputOptions:
    """The location of the inputs, and how images are read; None: not given."""

    data: list[str]
    split: str
    mean: list[float] | None
    std: list[float] | None
    examples: int | None


@dataclass(frozen=True)
class Subject:
    """A network on the device and its inputs; of a finished run its seed, and the function that finds its scores."""

    name: str
    network: nn.Module
    batches: Iterable[object]
    seed: int = 0
    predict: Predict | None = None

    def first_batch(self) -> object:
        """The first batch.

        Raises:
            RequestError: there is none.
        """
        try:
            for batch in self.batches:
                return batch
        except Exception as error:  # whatever the user's own code raises
            raise failure(f"the first batch of {self.name} cannot be read: {one_line(error)}", error) from error
        raise RequestError(f"{self.name} returns no batches, so there is nothing to list layers with", field="data")


def load_subject(model: str, weights: str | None, inputs: InputOptions, device: str, trust_code: bool) -> Subject:
    """The network that `model` names, and its inputs.

    Raises:
        RequestError: something that was named does not exist, or the arguments do not go together.
    """
    on_device = chosen_device(device)
    if Path(model).is_dir():
        given = {"weights": weights, "mean": inputs.mean, "std": inputs.std, "examples": inputs.examples}
        for option, value in given.items():
            if value is not None:
                raise RequestError("a finished run has its own weights and test images; leave it out", field=option)
        subject = load_trial(Path(model), Machine(tuple(inputs.data), on_device), trust_code)
    else:
        if not inputs.data:
            raise RequestError(
                "missing; give a folder of images, or MODULE:FACTORY, which returns batches", field="data"
            )
        if len(inputs.data) > 1:
            raise RequestError(
                f"given {len(inputs.data)} times, but a model is measured on one set of inputs", field="data"
            )
        subject = Subject(inputs.data[0], load_model(model, weights), load_batches(inputs))
    check_values(subject.network)
    try:
        subject.network.to(on_device)
    except Exception as error:  # of parameters of a user's own type
        raise failure(f"{model} cannot be moved to {on_device}: {one_line(error)}", error) from error
    return subject


def load_model(reference: str, weights: str | None) -> nn.Module:
    """The network that `MODULE:FACTORY` or `FILE.py:FACTORY` returns, with weights from a safetensors file.

    Raises:
        RequestError: there is no such factory, it fails or returns no network, or the weights do not fit.
    """
    model = _from_factory(reference, "model")
    if not isinstance(model, nn.Module):
        raise RequestError(
            f"{reference} returns {type(model).__name__}; it must return a torch.nn.Module", field="model"
        )
    if weights is not None:
        _load_weights(model, weights)
    return model


def load_batches(inputs: InputOptions) -> Iterable[object]:
    """Batches from a Parquet file or folder of images, or those that `MODULE:FACTORY` returns.

    Raises:
        RequestError: there are none.
    """
    reference = inputs.data[0]
    if Path(reference).exists() or ":" not in reference:
        return ParquetImages(Path(reference), inputs.split, inputs.mean, inputs.std, inputs.examples)
    for option, value in (("mean", inputs.mean), ("std", inputs.std), ("examples", inputs.examples)):
        if value is not None:
            raise RequestError(
                f"only for images in Parquet files; {reference} returns batches as they are", field=option
            )
    batches = _from_factory(reference, "data")
    if not isinstance(batches, Iterable):
        raise RequestError(
            f"{reference} returns {type(batches).__name__}; it must return an iterable of batches", field="data"
        )
    return batches


def load_trial(folder: Path, machine: Machine, trust_code: bool = False) -> Subject:
    """The network of a finished trial in a store, and its test set.

    Raises:
        RequestError: the trial is not finished, or damaged, or has code that is not trusted; or its images are not
            those that `machine` names.
    """
    if folder.parent.name != "trials":
        raise RequestError(f"{folder} is no trial of a store; its folder is STORE/trials/ID", field="model")
    try:
        trial, network, batches = load_trained(Store(folder.parent.parent), folder.name, machine, trust_code=trust_code)
    except FileNotFoundError as error:
        raise RequestError(f"the trial {folder} is not finished or lost its network ({error.filename})") from None
    except RequestError:
        raise
    except ValueError as error:
        raise RequestError(f"the trial {folder} cannot be read: {error}") from None
    if machine.data and not trial.data.on_disk:
        raise RequestError("a finished run of this network has its own data; leave it out", field="data")
    return Subject(str(folder), network, batches, trial.seed, predicted_by(trial))


@contextmanager
def importing_user_code() -> Iterator[None]:
    """Let a user's modules import files beside them, also later on; `sys.path` is restored at the end."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


def _from_factory(reference: str, option: str) -> object:
    """The result of the factory that a reference names; an object that is not a function is used as it is."""
    source, _, name = reference.rpartition(":")
    if not source or not name:
        raise RequestError(f"{reference!r} must be MODULE:FACTORY or FILE.py:FACTORY", field=option)
    try:
        module = _imported(source)
    except ModuleNotFoundError as error:
        raise RequestError(f"{reference}: there is no module {error.name!r} here", field=option) from None
    except FileNotFoundError:
        raise RequestError(f"{reference}: there is no file {source}", field=option) from None
    except Exception as error:  # whatever the user's own code raises
        raise RequestError(f"{reference}: importing {source} raised {one_line(error)}", field=option) from error
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = ", ".join(each for each in vars(module) if not each.startswith("_"))
            raise RequestError(f"{reference}: {source} has no {name!r}; it has {public}", field=option)
        found = getattr(found, part)
    if isinstance(found, nn.Module) or not callable(found):
        return found
    try:
        return found()
    except Exception as error:  # whatever the user's own code raises
        raise RequestError(f"{reference}: {name}() raised {one_line(error)}", field=option) from error


def _imported(source: str) -> ModuleType:
    """A module by its name, or from a file. Its folder is put on `sys.path`, as when Python runs it."""
    if not source.endswith(".py"):
        _make_importable(Path.cwd())
        return importlib.import_module(source)
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(source)
    _make_importable(path.parent.resolve())
    return _imported_file(path.resolve())


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@functools.lru_cache
def _imported_file(path: Path) -> ModuleType:
    """The module of a file, which runs only once: a network and its data may come from the same file."""
    name = f"widthwise_file_{path.stem}"  # no other module's
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _load_weights(model: nn.Module, file: str) -> None:
    try:
        weights = safetensors.torch.load_file(file)
    except FileNotFoundError:
        raise RequestError(f"there is no file of weights {file}", field="weights") from None
    except (SafetensorError, OSError) as error:
        if _is_pickled(Path(file)):
            raise RequestError(
                f"{file} holds pickled weights, which could run any code when they are loaded; turn a state dict that "
                "you trust into safetensors by two lines of Python: `import torch, safetensors.torch` and "
                f"`safetensors.torch.save_file(torch.load({file!r}, weights_only=True), "
                f"{str(Path(file).with_suffix('.safetensors'))!r})`",
                field="weights",
            ) from None
        raise RequestError(f"{file} is no whole safetensors file ({error})", field="weights") from None
    check_initialized(model)
    expected = model.state_dict()
    for name, value in weights.items():
        if name not in expected:
            hint = "; its names begin with module., so take that away" if name.startswith("module.") else ""
            raise RequestError(
                f"{file} holds {name}, which {type(model).__name__} does not have{hint}", field="weights"
            )
        if value.shape != expected[name].shape:
            shapes = f"{tuple(value.shape)} in the file and {tuple(expected[name].shape)} in {type(model).__name__}"
            raise RequestError(f"{file}: {name} has the shape {shapes}", field="weights")
    loaded = {expected[name].data_ptr() for name in weights}  # a tied weight is there under another name
    missing = [
        name
        for name, value in expected.items()
        if name not in weights
        and not name.endswith("num_batches_tracked")
        and (value.is_meta or value.data_ptr() not in loaded)
    ]
    if missing:
        raise RequestError(
            f"{file} lacks {missing[0]} and {len(missing) - 1} more of {type(model).__name__}'s values", field="weights"
        )
    on_meta = any(value.is_meta for value in expected.values())  # has no memory to load into
    model.load_state_dict(weights, strict=False, assign=on_meta)


def _is_pickled(file: Path) -> bool:
    """Whether a file was written by `torch.save`, now a ZIP archive and formerly a pickle, or by `pickle.dump`."""
    try:
        with file.open("rb") as opened:
            start = opened.read(4)
    except OSError:
        return False
    return start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))
