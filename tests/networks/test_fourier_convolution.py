"""A convolution by frequencies is a convolution."""

import pytest
import torch
from torch import nn

from widthwise.networks.kernels import fourier_convolution
from widthwise.networks.kernels.fourier_convolution import FourierConv2d, convolve


@pytest.mark.parametrize(("size", "kernel"), [(16, 5), (7, 3), (6, 5), (4, 1)])
def test_it_gives_what_a_convolution_gives_and_its_gradients(size: int, kernel: int):
    torch.manual_seed(0)
    leaves = torch.randn(3, 4, size, size), torch.randn(5, 4, kernel, kernel), torch.randn(5)
    gradient = torch.randn(3, 5, size, size)
    found = []
    for way in (convolve, lambda *operands: nn.functional.conv2d(*operands, padding=kernel // 2)):
        operands = [leaf.clone().requires_grad_() for leaf in leaves]
        output = way(*operands)
        output.backward(gradient)
        found.append([output.detach(), *(operand.grad for operand in operands)])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_its_gradient_is_that_of_its_values():
    torch.manual_seed(0)
    shapes = ((2, 3, 4, 4), (2, 3, 3, 3), (2,))
    operands = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(convolve, operands)


def test_it_goes_by_frequencies_only_where_that_pays(monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(fourier_convolution, "convolve", lambda *operands: calls.append(1) or convolve(*operands))
    wide, narrow = FourierConv2d(96, 256, 5), FourierConv2d(24, 64, 5)
    narrow(torch.zeros(1, 24, 16, 16))
    with torch.no_grad():
        wide(torch.zeros(1, 96, 16, 16))
    with torch.autocast("cpu"):
        wide(torch.zeros(1, 96, 16, 16))
    wide.to("meta")(torch.zeros(1, 96, 16, 16, device="meta"))
    assert not calls
    FourierConv2d(96, 256, 5)(torch.zeros(1, 96, 16, 16))
    assert calls
