"""A long measurement's state in a file, from which it goes on after an interruption."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.files import check_writable, write_whole
from widthwise.measurement.accumulator import State

FORMAT = "widthwise checkpoint 1"
SECONDS_BETWEEN = 60.0
"""The time from one writing to the next, at least."""
LARGEST_SHARE = 0.05
"""Of the time, that writing may take: the larger the state, the more rarely it is written."""


class Checkpoint:
    """The file that holds the state of a measurement.

    Args:
        path: the file.
        identity: what makes the measurement the one it is, by name: its settings, its network and so on, each in few
            words or as a digest. A state of a measurement that differs in any of them is refused.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, str]):
        self.path = Path(path)
        self._identity = dict(identity)
        self._next = time.monotonic() + SECONDS_BETWEEN
        try:
            check_writable(path)
        except OSError as error:
            raise RequestError(str(error), field="checkpoint") from None

    def load(self) -> State | None:
        """The state in the file; None if there is no file.

        Raises:
            RequestError: it is no such file, or that of another measurement.
        """
        if not self.path.exists():
            return None
        try:
            found, state = unpacked(self.path.read_bytes())
        except (ValueError, OSError) as error:
            raise RequestError(f"{self.path} is no checkpoint of a measurement ({error})", field="checkpoint") from None
        if found.pop("format", None) != FORMAT:
            raise RequestError(f"{self.path} is no checkpoint of a measurement", field="checkpoint")
        for name, value in self._identity.items():
            if found.get(name) != value:
                raise RequestError(
                    f"{self.path} is the checkpoint of a measurement with another {name}; name another file, or delete "
                    "it to begin anew",
                    field="checkpoint",
                )
        return state

    @property
    def due(self) -> bool:
        """Whether it is time to write the state."""
        return time.monotonic() >= self._next

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Write the state, whole or not at all."""
        started = time.monotonic()
        write_whole(self.path, packed(state, {"format": FORMAT, **self._identity}))
        ended = time.monotonic()
        self._next = ended + max(SECONDS_BETWEEN, (ended - started) / LARGEST_SHARE)

    def remove(self) -> None:
        """Delete the file, since the measurement is done."""
        self.path.unlink(missing_ok=True)


def packed(state: Mapping[str, Tensor], facts: Mapping[str, str]) -> bytes:
    """Tensors and texts as the content of a safetensors file."""
    return save({name: value.detach().cpu().clone().contiguous() for name, value in state.items()}, dict(facts))


def unpacked(content: bytes) -> tuple[dict[str, str], State]:
    """The texts and tensors that `packed` made the content of.

    Raises:
        ValueError: it is of another kind.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        facts = json.loads(content[8 : 8 + length])["__metadata__"]
        return facts, load(content)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"it is no safetensors file of a measurement ({error})") from None


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """A digest of tensors and their names."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(_bytes(tensor))
    return found.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    plain = tensor.detach().cpu()
    if plain.layout is not torch.strided or plain.is_quantized:
        return memoryview(repr(plain).encode())
    return plain.contiguous().flatten().view(torch.uint8).numpy().data
