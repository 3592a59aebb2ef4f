"""Arrays from pickles, without running any other code that a pickle may ask for."""

import io
import pickle
from typing import Any

import numpy as np

from widthwise.errors import RequestError


def unpickle_arrays(content: bytes, name: str) -> Any:
    """The content of a pickle of plain values and arrays of bytes; nothing else that it asks for is loaded or run.

    Args:
        content: the pickle, written by Python 2 or 3.
        name: for errors.

    Raises:
        RequestError: the pickle asks for something else, or is damaged.
    """
    try:
        return _Arrays(io.BytesIO(content), name).load()
    except RequestError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise RequestError(f"{name} is damaged: {error}") from None


class _Arrays(pickle.Unpickler):
    def __init__(self, content: io.BytesIO, name: str):
        super().__init__(content, encoding="latin1")
        self._name = name

    def find_class(self, module_name: str, global_name: str) -> Any:
        asked = f"{module_name}.{global_name}"
        if asked in ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"):
            return np.empty(0).__reduce__()[0]  # the function itself: its module has another name in each numpy
        if asked == "numpy.ndarray":
            return np.ndarray
        if asked == "numpy.dtype":
            return self._type_of_bytes
        raise RequestError(f"{self._name} is refused: it asks for {asked}, which no array of bytes needs")

    def _type_of_bytes(self, kind: str, *_: Any) -> np.dtype:
        """Instead of `numpy.dtype`, which warns of how old pickles call it, and knows arrays of Python objects."""
        if kind != "u1":
            raise RequestError(f"{self._name} is refused: it has an array of the type {kind}, not of bytes")
        return np.dtype(kind, copy=True)
