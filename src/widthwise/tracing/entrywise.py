"""Whether a part of a network acts entry by entry, and whether it is linear, found by calling it."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Part = Callable[[dict[int, Tensor]], Tensor]
"""A part of a network: a function of its arguments, which are numbered, that returns its value."""
SCALES = (0.5, 30.0)
"""Size of the numbers that a part is tried on: some functions are linear near 0, others far from it."""
TOLERANCE = 1e-3


def is_nonlinearity(part: Part, arguments: Mapping[int, Tensor], shape: torch.Size) -> bool:
    """Whether a part acts entry by entry on arguments that are broadcast, and is not linear in all of them together."""
    try:
        if torch.broadcast_shapes(*(value.shape for value in arguments.values())) != shape:
            return False
        return _acts_entrywise(part, arguments, shape) and not _is_affine(part, arguments)
    except Exception:  # whatever it raises at other numbers
        return False


def _acts_entrywise(part: Part, arguments: Mapping[int, Tensor], shape: torch.Size) -> bool:
    generator = torch.Generator().manual_seed(0)
    start = {number: _drawn(value, 1.0, generator) for number, value in arguments.items()}
    intact = part(_copied(start))
    for number, value in start.items():
        for place in {0, value.numel() // 2, value.numel() - 1}:
            other = value.clone()
            changed = torch.zeros(value.shape, dtype=torch.bool, device=value.device)
            other.view(-1)[place] = ~value.view(-1)[place] if value.dtype == torch.bool else value.view(-1)[place] + 2
            changed.view(-1)[place] = True
            result = part(_copied({**start, number: other}))
            moved = ~torch.isclose(result, intact, rtol=TOLERANCE, atol=1e-6, equal_nan=True)
            if (moved & ~changed.broadcast_to(shape)).any():
                return False
    return True


def _is_affine(part: Part, arguments: Mapping[int, Tensor]) -> bool:
    """Whether f(x) + f(y) = f(x + y) + f(0); truth values among the arguments are a choice, which is not linear."""
    if any(value.dtype == torch.bool for value in arguments.values()):
        return False
    generator = torch.Generator().manual_seed(1)
    zero = part({number: torch.zeros_like(value) for number, value in arguments.items()})
    for scale in SCALES:
        one, two = ({number: _drawn(value, scale, generator) for number, value in arguments.items()} for _ in range(2))
        both = {number: one[number] + two[number] for number in one}
        left, right = part(_copied(one)) + part(_copied(two)), part(_copied(both)) + zero
        size = max(left.abs().nan_to_num(0, 0, 0).max().item(), right.abs().nan_to_num(0, 0, 0).max().item())
        precision = TOLERANCE if left.dtype in (torch.float32, torch.float64) else 0.05
        if not torch.allclose(left, right, rtol=precision, atol=precision * size):
            return False
    return True


def _drawn(value: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(value.shape, generator=generator)
    made = drawn > 0 if value.dtype == torch.bool else drawn * scale
    return torch.empty(value.shape, dtype=value.dtype, device=value.device).copy_(made)


def _copied(values: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """The same values in memory that may be overwritten."""
    return {number: value.clone() for number, value in values.items()}
