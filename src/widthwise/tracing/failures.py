"""Failures of a user's model or data as one sentence."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from widthwise.errors import RequestError, TrialError
from widthwise.wording import one_line

OUT_OF_MEMORY = (
    *("out of memory", "can't allocate memory", "not enough memory", "Cannot allocate memory", "bad_alloc"),
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
)
"""PyTorch's words on GPUs, on Linux and on Windows, and those of the libraries below it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def failure(problem: str, error: Exception) -> RequestError | TrialError:
    """The exception to raise for an error of the model's code; too little memory is not an error of the request."""
    if is_out_of_memory(error):
        return TrialError(f"{problem}; a smaller batch_size takes less memory")
    return RequestError(problem)


@contextmanager
def in_one_sentence(model: nn.Module, others: Sequence[Exception] = ()) -> Iterator[None]:
    """Turn whatever a measurement of the model raises into a sentence; an interruption stays what it is.

    Args:
        model: the model.
        others: exceptions that stay what they are: those of functions that are not the model's.

    Raises:
        RequestError: the model or its data made something fail.
        TrialError: there is not enough memory.
    """
    try:
        yield
    except (RequestError, TrialError):
        raise
    except Exception as error:  # from any function that PyTorch calls for the model's own types
        if any(error is each for each in others):
            raise
        name = type(model).__name__
        if is_out_of_memory(error):
            raise TrialError(
                f"there is not enough memory to measure {name} ({one_line(error)}); a smaller batch_size, or fewer "
                "layers at a time, take less"
            ) from error
        raise RequestError(f"{name} cannot be measured: {one_line(error)}") from error


def check_model(model: nn.Module) -> None:
    """Refuse a model that is not ready to be measured.

    Raises:
        RequestError: it is compiled; or a part of it is not initialized, has no values, or holds NaN.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise RequestError(
            f"the model is scripted or traced ({type(model).__name__}), so that nothing inside of it can be seen; give "
            "the torch.nn.Module that it was made of"
        )
    check_values(model)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if holds_nan(tensor):
            raise RequestError(f"the parameter {name} holds NaN, so the network cannot be measured")


def check_values(model: nn.Module) -> None:
    """Refuse a model whose parameters and buffers are not all there.

    Raises:
        RequestError: a part of it is not initialized, or has no values.
    """
    check_initialized(model)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if problem := without_values(tensor):
            raise RequestError(f"the parameter {name} {problem} and has no values; load the weights first")


def check_initialized(model: nn.Module) -> None:
    """Refuse a model that is not whole yet.

    Raises:
        RequestError: a module's `__init__` did not end well, or a parameter of a lazy module has no shape.
    """
    try:
        tensors = [*model.named_parameters(), *model.named_buffers()]
        list(model.named_modules())
    except AttributeError as error:  # of a module whose __init__ did not call super().__init__()
        raise RequestError(
            f"a module of {type(model).__name__} is not initialized ({one_line(error)}); its __init__ must call "
            "super().__init__() first"
        ) from error
    for name, tensor in tensors:
        if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
            raise RequestError(
                f"the parameter {name} of a lazy module is not initialized; run the model once on a batch before"
            )


def without_values(tensor: Tensor) -> str:
    """The reason why a tensor has a shape but no values; empty if it has values."""
    if tensor.is_meta:
        return "is on the meta device"
    return "is a FakeTensor" if type(tensor).__name__ == "FakeTensor" else ""


def holds_nan(tensor: Tensor) -> bool:
    """Whether a tensor holds NaN; False for types that cannot say."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    try:
        values = tensor.values() if tensor.layout not in (torch.strided, torch.jagged) else tensor
        return bool(values.isnan().any())
    except Exception:  # numbers of 8 bits, quantized ones, and what a user's own type raises
        return False
