"""Convolution as products in the frequency domain: for many channels and a large kernel a fraction of the arithmetic.

A 5×5 kernel over 16×16 pixels takes 6,400 multiplications for each pair of an input and an output channel. At the
frequencies of 18×18 pixels, of which 180 contain everything, it takes 720. The transformations there and back are
products with constant matrices, the fastest operation of a processor. A period of `size + padding` pixels is large
enough: values that run over one edge meet only zeros at the other.
"""

import functools
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEWEST_PRODUCTS = 12_000
"""With fewer pairs of an input and an output channel the transformations cost more than the products save."""


class FourierConv2d(nn.Conv2d):
    """A convolution with an odd square kernel, stride 1 and as many pixels after as before, on square images.

    It uses frequencies while training on a CPU if it has enough channels, and PyTorch's own convolution otherwise. The
    two agree except for rounding errors.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, input: Tensor) -> Tensor:
        pays = self.in_channels * self.out_channels >= FEWEST_PRODUCTS
        training = torch.is_grad_enabled() and self.weight.requires_grad and not torch.is_autocast_enabled("cpu")
        if pays and training and input.device.type == "cpu" and self.bias is not None:
            return convolve(input, self.weight, self.bias)
        return super().forward(input)


def convolve(
    images: Float[Tensor, "batch channels size size"],
    weight: Float[Tensor, "outputs channels kernel kernel"],
    bias: Float[Tensor, " outputs"],
) -> Float[Tensor, "batch outputs size size"]:
    """The value of `torch.nn.functional.conv2d` with stride 1 and a padding of half the kernel."""
    return _Convolve.apply(images, weight, bias)


class _Bases(NamedTuple):
    """Matrices from pixels to frequencies, the real parts of all before the imaginary parts, and back."""

    to_image: Float[Tensor, "frequencies pixels"]
    from_image: Float[Tensor, "pixels frequencies"]
    to_kernel: Float[Tensor, "frequencies kernel_places"]
    from_kernel: Float[Tensor, "kernel_places frequencies"]


@functools.lru_cache(maxsize=8)
def _bases(size: int, kernel: int, dtype: torch.dtype) -> _Bases:
    reach = kernel // 2
    period = size + reach
    half = period // 2 + 1  # the other frequencies are their mirror images, since images are real
    counted = torch.full((half,), 2.0, dtype=torch.float64)
    counted[0] = 1.0
    if period % 2 == 0:
        counted[-1] = 1.0
    counted = counted.expand(period, half).reshape(-1, 1) / period**2
    down = torch.arange(period, dtype=torch.float64)[:, None, None, None]
    across = torch.arange(half, dtype=torch.float64)[:, None, None]

    def angles(offsets: Float[Tensor, " offsets"]) -> Float[Tensor, "half_frequencies square"]:
        turns = (down * offsets[:, None] + across * offsets) / period
        return (2 * math.pi * turns).reshape(period * half, -1)

    image = angles(torch.arange(size, dtype=torch.float64))
    offsets = angles(torch.arange(-reach, reach + 1, dtype=torch.float64))
    back = torch.cat([counted, -counted])
    matrices = (
        torch.cat([image.cos(), -image.sin()]),
        (back * torch.cat([image.cos(), image.sin()])).T.contiguous(),
        torch.cat([offsets.cos(), offsets.sin()]),
        (back * torch.cat([offsets.cos(), offsets.sin()])).T.contiguous(),
    )
    return _Bases(*(matrix.to(dtype) for matrix in matrices))


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.bases = bases = _bases(images.shape[2], weight.shape[2], images.dtype)
        image = _to_frequencies(bases.to_image, images.permute(2, 3, 0, 1))
        kernel = _to_frequencies(bases.to_kernel, weight.permute(2, 3, 1, 0))
        ctx.save_for_backward(*image, *kernel)
        ctx.sizes = images.shape[2], weight.shape[2]
        output = _from_frequencies(bases.from_image, _product(image, kernel, -1), images.shape[2])
        batch, outputs = len(images), len(weight)
        pixels_last = output.new_empty(batch, *images.shape[2:], outputs)
        torch.add(output.permute(2, 0, 1, 3), bias, out=pixels_last)
        return pixels_last.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        bases, (size, kernel_size) = ctx.bases, ctx.sizes
        image_real, image_imaginary, kernel_real, kernel_imaginary = ctx.saved_tensors
        of_output = _to_frequencies(bases.to_image, gradient.permute(2, 3, 0, 1))
        of_images = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            conjugate = (kernel_real.mT, kernel_imaginary.mT)
            found = _from_frequencies(bases.from_image, _product(of_output, conjugate, 1), size)
            of_images = found.permute(2, 0, 1, 3).contiguous().permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            product = _product((image_real.mT, image_imaginary.mT), of_output, 1)
            of_weight = _from_frequencies(bases.from_kernel, product, kernel_size).permute(3, 2, 0, 1)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_images, of_weight, of_bias


def _to_frequencies(basis: Tensor, values: Float[Tensor, "height width first second"]) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts, each (frequencies, first, second)."""
    height, width, first, second = values.shape
    both = (basis @ values.reshape(height * width, first * second)).view(2, -1, first, second)
    return both[0], both[1]


def _from_frequencies(
    basis: Tensor, values: Float[Tensor, "2 frequencies first second"], size: int
) -> Float[Tensor, "height width first second"]:
    _, frequencies, first, second = values.shape
    return (basis @ values.view(2 * frequencies, first * second)).view(size, size, first, second)


def _product(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], sign: int) -> Tensor:
    """Complex matrix products, frequency by frequency: of `left` and `right`, or of `left` and `right` conjugated.

    Args:
        left, right: real and imaginary parts.
        sign: -1 for the product, 1 for that with the conjugate.
    """
    (real, imaginary), (other_real, other_imaginary) = left, right
    product = real.new_empty(2, real.shape[0], real.shape[1], other_real.shape[2])
    torch.bmm(real, other_real, out=product[0]).baddbmm_(imaginary, other_imaginary, alpha=sign)
    torch.bmm(imaginary, other_real, out=product[1]).baddbmm_(real, other_imaginary, alpha=-sign)
    return product
