"""A digest of a batch, by which it is noticed that data gives other examples when it is read again."""

import hashlib

import torch
from torch import Tensor

from widthwise.tracing.inputs import Inputs


def digest(inputs: Inputs) -> bytes:
    """A short text of bytes that differs between batches with different tensors, or the same in another order."""
    hashed = hashlib.sha1(usedforsecurity=False)
    for tensor in inputs.tensors:
        _add(hashed, tensor)
    return hashed.digest()


def _add(hashed: "hashlib._Hash", tensor: Tensor) -> None:
    hashed.update(f"{tensor.dtype} {tensor.layout} {tensor.dim()}".encode())
    if tensor.layout == torch.sparse_coo:
        whole = tensor.coalesce()
        _add(hashed, whole.indices())
        _add(hashed, whole.values())
    elif tensor.is_nested or tensor.layout != torch.strided:
        hashed.update(repr(tensor).encode())
    else:
        plain = tensor.detach().resolve_conj().resolve_neg().contiguous().cpu().flatten()
        hashed.update(str(tuple(tensor.shape)).encode())
        hashed.update(plain.view(torch.uint8).numpy().data)
