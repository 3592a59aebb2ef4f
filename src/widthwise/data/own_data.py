"""Data that a user's own function returns, in any of the possible forms."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import default_collate

from widthwise.data.dataset import Dataset, Inputs
from widthwise.data.examples import ResidentExamples, of_each
from widthwise.data.labels import partly_random
from widthwise.data.source import OwnData
from widthwise.data.splitting import check_largest, divided
from widthwise.errors import RequestError
from widthwise.wording import one_line, suggestion

SPLITS = ("train", "validation", "test")
FORMS = (
    "(inputs, labels), a torch.utils.data.Dataset of (input, label), or a dictionary of these with the keys train, "
    "validation and test"
)

Examples = tuple[Inputs, Int64[Tensor, " examples"]]


def own_data(source: OwnData, device: torch.device) -> Dataset:
    """The data that a user's own function returns, with its splits or drawn ones, kept on `device`.

    Raises:
        RequestError: the function fails, or returns something other than examples with labels.
    """
    where = f"{source.function}() of {source.file}"
    given = _splits(source.result("data.factory", {"seed": source.seed}), where)
    wanted = {"train": source.train_examples, "validation": source.validation_examples, "test": source.test_examples}
    largest = max(int(labels.max()) for _, labels in given.values())
    examples = sum(len(labels) for _, labels in given.values())
    if source.classes is None:
        check_largest(largest, examples, f"{where} returns")
    classes = source.classes or largest + 1
    if largest >= classes:
        raise RequestError(
            f"{where} returns the label {largest}, and labels are 0 … {classes - 1}", field="data.classes"
        )
    if classes < 2:
        raise _refused(f"all examples that {where} returns have the label 0; there must be two")

    sizes = {name: len(labels) for name, (_, labels) in given.items()}
    splits: dict[str, ResidentExamples] = {}
    for name, (held_in, chosen) in divided(sizes, wanted, source.seed, where).items():
        inputs, labels = given[held_in]
        labels = partly_random(labels[chosen], source, name, classes)
        splits[name] = ResidentExamples(of_each(inputs, itemgetter(chosen)), labels, device)
    shapes = {name: split.shape for name, split in splits.items()}
    kinds = {name: _types(split.inputs) for name, split in splits.items()}
    for what, each in (("shape", shapes), ("type", kinds)):
        for name, found in each.items():
            if found != each["train"]:
                raise _refused(f"{where} returns inputs of {what} {each['train']} to train and {found} for {name}")
    return Dataset(**splits, classes=classes, shape=shapes["train"], description=f"data of {source.factory}")


def _splits(given: Any, where: str) -> dict[str, Examples]:
    """The examples of each split that the function returns."""
    if not isinstance(given, Mapping):
        return {"train": _examples(given, where)}
    unknown = [f"{name!r}: {suggestion(str(name), SPLITS)}" for name in given if name not in SPLITS]
    if "train" not in given or unknown:
        problem = f"has {unknown[0]}" if unknown else "has no 'train'"
        raise _refused(f"the dictionary that {where} returns {problem}; it must return {FORMS}")
    return {name: _examples(part, f"{name} of {where}") for name, part in given.items()}


def _examples(given: Any, where: str) -> Examples:
    if isinstance(given, TorchDataset):
        given = _collated(given, where)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise _refused(f"{where} returns {type(given).__name__}; it must return {FORMS}")
    inputs = _inputs(given[0], where)
    labels = _tensor(given[1], "labels", where)
    parts = [inputs] if isinstance(inputs, Tensor) else list(inputs.values())
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        problem = f"labels of type {labels.dtype} and shape {tuple(labels.shape)}; one whole number an example is right"
        raise _refused(f"{where} returns {problem}")
    if any(part.ndim == 0 for part in parts):
        raise _refused(f"{where} returns a single number as inputs; each input needs the examples first")
    if not len(labels):
        raise _refused(f"{where} returns no examples")
    if any(len(part) != len(labels) for part in parts):
        problem = f"{' and '.join(str(len(part)) for part in parts)} inputs and {len(labels)} labels"
        raise _refused(f"{where} returns {problem}; each input needs one label")
    labels = labels.long()
    if labels.min() < 0:
        raise RequestError(f"{where} returns the label {int(labels.min())}; labels count from 0", field="data.factory")
    for part in parts:
        if part.is_floating_point() and part.isnan().any():
            number = int(part.isnan().nonzero()[0, 0])
            raise _refused(
                f"{where} returns inputs that are not a number (NaN), first in example {number}; replace them"
            )
    return inputs, labels


def _inputs(given: Any, where: str) -> Inputs:
    if not isinstance(given, Mapping):
        return _single(_tensor(given, "inputs", where))
    if not given or not all(isinstance(name, str) for name in given):
        raise _refused(f"{where} returns inputs without names")
    return {name: _single(_tensor(part, f"inputs[{name!r}]", where)) for name, part in given.items()}


def _single(values: Tensor) -> Tensor:
    """Numbers as networks take them: float64, NumPy's own, becomes float32."""
    return values.float() if values.dtype == torch.float64 else values


def _tensor(given: Any, what: str, where: str) -> Tensor:
    if isinstance(given, Tensor):
        if given.layout != torch.strided or given.is_meta or given.is_quantized:
            raise _refused(f"{where} returns {what} that are no plain tensor ({_kind(given)}); give a dense one")
        return given.detach().cpu()
    try:
        array = np.array(given)  # a copy, since PyTorch cannot protect what must not be written to
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except Exception:  # whatever a user's own array raises
        raise _refused(f"{where} returns {what} that are no tensor or array of numbers, but {_kind(given)}") from None


def _types(inputs: Inputs) -> dict[str, torch.dtype] | torch.dtype:
    """The type of the inputs, or of each part of them."""
    return inputs.dtype if isinstance(inputs, Tensor) else {name: part.dtype for name, part in inputs.items()}


def _kind(given: Any) -> str:
    """The type of what a function gives, and of its elements."""
    if isinstance(given, Tensor):
        return f"{given.layout}, {given.dtype}, on {given.device}"
    dtype = getattr(given, "dtype", None)
    return type(given).__name__ if dtype is None else f"{type(given).__name__} of {dtype}"


def _collated(dataset: TorchDataset, where: str) -> Any:
    """All examples of a data set, one after the other."""
    try:
        if not len(dataset):  # pyright: ignore
            raise _refused(f"{where} returns no examples")
        return default_collate([dataset[number] for number in range(len(dataset))])  # pyright: ignore
    except RequestError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's own code raises
        raise _refused(f"the examples that {where} returns cannot be put together ({one_line(error)})") from error


def _refused(problem: str) -> RequestError:
    return RequestError(problem, field="data.factory")
