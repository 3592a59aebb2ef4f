"""Local response normalization with a gradient of its own, several times as fast as the one that PyTorch derives."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LocalResponseNorm(nn.LocalResponseNorm):
    """x / (k + α/n · Σ x²)^β over the n channels around each; the exponent β is 0.75, as in AlexNet.

    Without gradients it is PyTorch's own.
    """

    def __init__(self, size: int, alpha: float, k: float):
        super().__init__(size, alpha, 0.75, k)

    def forward(self, input: Tensor) -> Tensor:
        if torch.is_grad_enabled() and input.requires_grad:
            return _Normalize.apply(input, self.size, self.alpha / self.size, self.k)
        return super().forward(input)


def sum_of_neighbours(values: Float[Tensor, "batch channels *places"], size: int) -> Tensor:
    """Of each channel the sum over the `size` channels around it, itself in the middle."""
    total, channels = values.clone(), values.shape[1]
    for distance in range(1, min(size // 2, channels - 1) + 1):
        total[:, distance:] += values[:, : channels - distance]
        total[:, : channels - distance] += values[:, distance:]
    return total


class _Normalize(torch.autograd.Function):
    """With d = k + α/n Σ x² and g the gradient of y = x d^-β, that of x is g d^-β - 2 β α/n x Σ (g x d^-β / d)."""

    @staticmethod
    def forward(ctx, values: Tensor, size: int, share: float, k: float) -> Tensor:  # pyright: ignore
        divisor = sum_of_neighbours(values * values, size).mul_(share).add_(k)
        factor = divisor.rsqrt()
        factor.mul_(factor.sqrt())
        ctx.save_for_backward(values, divisor, factor)
        ctx.size, ctx.share = size, share
        return values * factor

    @staticmethod
    def backward(ctx, gradient: Tensor):  # pyright: ignore
        values, divisor, factor = ctx.saved_tensors
        shared = (gradient * values).mul_(factor).div_(divisor)
        around = sum_of_neighbours(shared, ctx.size).mul_(values).mul_(-1.5 * ctx.share)
        return torch.addcmul(around, gradient, factor), None, None, None
