"""What the residual networks have in common (He et al. 2015): blocks of two 3×3 convolutions, and their shortcuts."""

from typing import no_type_check

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from widthwise.networks.activation import ACTIVATION_FUNCTIONS
from widthwise.networks.architecture import Activation, Shortcut


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, to which the input is added before the last ReLU (the first version).

    `downsample` brings the input to the shape of the output; without it they have the same. `activation` stands in the
    place of both ReLUs.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        activation: Activation = "relu",
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = downsample
        self.activate = ACTIVATION_FUNCTIONS[activation]

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(
        self, value: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs smaller_height smaller_width"]:
        branch = self.activate(self.bn1(self.conv1(value)))
        branch = self.bn2(self.conv2(branch))
        return self.activate(branch + (value if self.downsample is None else self.downsample(value)))


class Projection(nn.Conv2d):
    """A 1×1 convolution of every `stride`-th pixel.

    The pixels are chosen first: the gradient of a strided 1×1 convolution of 8 channels, with channels last, ends
    PyTorch 2.13 with a segmentation fault on some CPUs.
    """

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(
        self, input: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs smaller_height smaller_width"]:
        down, across = self.stride
        return functional.conv2d(input[:, :, ::down, ::across], self.weight)


class ZeroPadding(nn.Module):
    """A shortcut without parameters: every `stride`-th pixel, and channels of zeros before and after the others."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.stride = stride
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(
        self, value: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs smaller_height smaller_width"]:
        return functional.pad(value[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def downsampling(shortcut: Shortcut, inputs: int, outputs: int, stride: int) -> nn.Module:
    """What brings a block's input to the shape of its output."""
    if shortcut == "zero_padding":
        return ZeroPadding(inputs, outputs, stride)
    return nn.Sequential(Projection(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def stage(
    inputs: int, outputs: int, stride: int, blocks: int, downsample: nn.Module | None, activation: Activation
) -> nn.Sequential:
    """Blocks of `outputs` units, of which the first has the stride and the shortcut."""
    first = BasicBlock(inputs, outputs, stride, downsample, activation)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, activation=activation) for _ in range(blocks - 1)))
