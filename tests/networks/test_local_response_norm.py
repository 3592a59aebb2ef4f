"""Local response normalization and its gradient, against PyTorch's."""

import pytest
import torch
from torch import Tensor, nn

from widthwise.networks.kernels.local_response_norm import LocalResponseNorm, sum_of_neighbours


def values(channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    stream = torch.Generator().manual_seed(channels)
    return 3 * torch.randn(2, channels, 4, 3, generator=stream, dtype=dtype)


def with_gradient(module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The value, and the gradient of a sum of it with random weights."""
    inputs = inputs.clone().requires_grad_()
    outputs = module(inputs)
    outputs.backward(torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1)))
    assert inputs.grad is not None
    return outputs.detach(), inputs.grad


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
def test_value_and_gradient_are_pytorchs(channels: int, size: int):
    """Also where there are fewer channels than the window has."""
    own, reference = LocalResponseNorm(size, alpha=0.7, k=1.5), nn.LocalResponseNorm(size, 0.7, 0.75, 1.5)
    for inputs in (values(channels), values(channels).contiguous(memory_format=torch.channels_last)):
        for found, expected in zip(with_gradient(own, inputs), with_gradient(reference, inputs), strict=True):
            torch.testing.assert_close(found, expected)


def test_the_gradient_is_that_of_finite_differences():
    module = LocalResponseNorm(5, alpha=0.7, k=1.0)
    for channels in (3, 7):
        inputs = values(channels, torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(module, inputs)


def test_without_gradients_the_value_is_the_same():
    module, inputs = LocalResponseNorm(5, alpha=0.7, k=1.0), values(6)
    learned, _ = with_gradient(module, inputs)
    torch.testing.assert_close(module(inputs), learned)
    with torch.no_grad():
        torch.testing.assert_close(module(inputs.requires_grad_()), learned)


def test_neighbours_are_the_channels_around_each():
    sums = sum_of_neighbours(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]), 3)
    assert sums.tolist() == [[11.0, 111.0, 1110.0, 1100.0]]
