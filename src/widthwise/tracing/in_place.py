"""Calls that write to existing tensors, and tensors that share memory."""

from collections.abc import Sequence

from torch import Tensor
from torch._ops import OpOverload


def function_name(function: object) -> str:
    """The name of a PyTorch function: `relu` also for the operator `aten.relu.default`, which exported models call."""
    name = getattr(function, "__name__", str(function))
    return name.partition(".")[0] if isinstance(function, OpOverload) else name


def writes_in_place(name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> bool:
    """Whether a call of the PyTorch function of that name overwrites its first argument."""
    if not args or not isinstance(args[0], Tensor):
        return False
    if name in ("__setitem__", "__set__") or (name.startswith("__i") and name[3:-2] in _OPERATORS):
        return True
    if kwargs.get("inplace"):
        return True
    flagged = name in _POSITIONAL_INPLACE and any(argument is True for argument in args[_POSITIONAL_INPLACE[name] :])
    return flagged or (name.endswith("_") and not name.endswith("__") and name not in ("requires_grad_", "retain_grad"))


_OPERATORS = {"add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "div"}
_POSITIONAL_INPLACE = {
    **dict.fromkeys(("relu", "relu6", "selu", "silu", "mish", "hardswish", "hardsigmoid"), 1),
    **dict.fromkeys(("elu", "celu", "leaky_relu"), 2),
    **dict.fromkeys(("threshold", "hardtanh", "dropout", "alpha_dropout", "dropout2d", "dropout3d"), 3),
    "rrelu": 4,
}
"""Index of the positional argument `inplace`, for functions that have one."""


def write_counts(tensors: Sequence[Tensor]) -> list[int]:
    """Number of writes to each; always 0 for tensors made in inference mode, whose writes are not counted."""
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]


def storage(tensor: Tensor) -> int:
    """The address of a tensor's memory, the same for all tensors that share it."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # a sparse or a wrapped tensor has none
        return id(tensor)


def storages(tensors: Sequence[Tensor]) -> set[int]:
    """The addresses of the tensors' memory."""
    return {storage(tensor) for tensor in tensors}
