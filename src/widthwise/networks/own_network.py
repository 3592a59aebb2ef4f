"""Networks of a user's own: what they give."""

from typing import Any

import torch

from widthwise.errors import RequestError


def logits_of(output: Any) -> torch.Tensor:
    """The logits in what a network gives: itself, the first of a tuple, or the field `logits`.

    Raises:
        RequestError: there are none.
    """
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if isinstance(output, dict):
        output = output.get("logits")
    elif not isinstance(output, torch.Tensor):
        output = getattr(output, "logits", None)
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise RequestError(f"a network must give logits of shape (examples, classes), not {shape}", field="network")
    return output
