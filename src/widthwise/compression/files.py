"""A smaller network as files, and back: its weights, what is known of it, and a page that says so in words."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from widthwise.compression.shortcuts import Rearrangement, rearranged
from widthwise.compression.surgery import aliases, resize, set_attributes
from widthwise.errors import RequestError, TrialError
from widthwise.files import as_json, write_whole
from widthwise.wording import listed

FORMAT = 1
WEIGHTS, ABOUT, CARD = "network.safetensors", "compressed.json", "README.md"
IN_METADATA = "widthwise.compressed"


def write(
    folder: str | os.PathLike[str],
    model: nn.Module,
    about: Mapping[str, object],
    card: str,
    others: Mapping[str, bytes],
) -> None:
    """Write a network's weights, what is known of it, a page about it and other files into a new or an empty folder.

    Raises:
        RequestError: the folder holds something, or is a file.
        TrialError: something cannot be written; what was written is removed.
    """
    target = check_folder(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(model).items()}
    marked = {"program": "widthwise", "format": FORMAT, "version": version("widthwise"), **about}
    contents = {
        WEIGHTS: safetensors.torch.save(tensors, metadata={IN_METADATA: str(FORMAT)}),
        **others,
        CARD: card.encode(),
        ABOUT: as_json(marked, sort_keys=False),
    }
    new = [each for each in (target, *target.parents) if not each.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(target / name, content)
    except BaseException as error:
        for name in contents if target.is_dir() else ():
            (target / name).unlink(missing_ok=True)
        for each in new:
            if each.is_dir():
                each.rmdir()
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise TrialError(f"{folder} cannot be written, so the smaller network is not there: {reason}") from error
        raise


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """The path of a folder that can be written: there is none, or it is empty.

    Raises:
        RequestError: it holds something, or is a file.
    """
    target = Path(folder)
    for each in (target, *target.parents):
        if each.is_file():
            raise RequestError(f"{each} is a file; name a new or an empty folder")
    if target.is_dir() and any(target.iterdir()):
        raise RequestError(f"{folder} is not empty; name a new or an empty folder")
    return target


def load_compressed(folder: str | os.PathLike[str], factory: Callable[[], nn.Module]) -> nn.Module:
    """A smaller network, of the class of the network that it was made from.

    Args:
        folder: where `Compressed.save` wrote it.
        factory: a function that returns a network as it was before; its parameters get the sizes and the values of the
            smaller one.

    Returns: the network, in the mode in which `factory` returns it.

    Raises:
        RequestError: there is no such network in the folder, its files are damaged, or the factory's network has other
            parameters.
    """
    try:
        about = json.loads((Path(folder) / ABOUT).read_bytes())
        tensors = safetensors.torch.load((Path(folder) / WEIGHTS).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise RequestError(f"{folder} holds no compressed network") from None
    except (ValueError, SafetensorError):
        raise RequestError(f"the compressed network in {folder} is damaged") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RequestError(f"the network in {folder} was saved in a format that this version does not read")
    model = factory()
    if not isinstance(model, nn.Module):
        raise RequestError(f"must return a torch.nn.Module, not {type(model).__name__}", field="factory")
    rearranged(model, {path: Rearrangement(**each) for path, each in about["rearrangements"].items()})
    missing = sorted(_tensors(model).keys() - tensors.keys())
    if missing:
        raise RequestError(f"its network has {listed(missing[:3])}, which {folder} does not hold", field="factory")
    same = aliases(model)
    changed = {alias.rpartition(".")[0] for name in tensors for alias in same.get(name, [name])}
    with _evaluating(model):
        for name, tensor in tensors.items():
            new = _sized(model, name, tensor)
            for alias in same.get(name, [name]):
                path, _, attribute = alias.rpartition(".")
                setattr(model.get_submodule(path), attribute, new)
        for path in changed:
            resize(model.get_submodule(path))
    set_attributes(model, about["attributes"])
    return model


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, in which reading a weight that is computed does not change it; then the modes as before."""
    modes = {module: module.training for module in model.modules()}
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _sized(model: nn.Module, name: str, tensor: Tensor) -> Tensor:
    """A parameter or buffer of a model in the size and with the value of a saved one."""
    path, _, attribute = name.rpartition(".")
    try:
        module = model.get_submodule(path)
        old = getattr(module, attribute)
    except AttributeError:
        raise RequestError(f"its network has no {name}", field="factory") from None
    value = tensor.clone()
    if not isinstance(old, nn.Parameter) and attribute not in module._parameters:
        return value.to(old.device)
    known = old if isinstance(old, nn.Parameter) else getattr(module, "weight", None)
    value = value if known is None else value.to(known.device)
    return nn.Parameter(value, requires_grad=known is None or known.requires_grad)
