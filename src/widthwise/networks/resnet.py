"""The parts that residual networks share (He et al. 2015): blocks of two 3×3 convolutions, and their shortcuts."""

from typing import ClassVar, Literal, no_type_check

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from widthwise.networks.activation import ACTIVATION_FUNCTIONS, ACTIVATION_MODULES
from widthwise.networks.description import Activation, PublishedNetwork, Shape, is_colour_image, scaled_units

Shortcut = Literal["projection", "zero_padding"]
"""The shortcut of a residual block whose output has another shape than its input: a 1×1 convolution and batch norm, or
every second pixel with channels of zeros on both sides."""


class ResNetDescription(PublishedNetwork):
    """The base of the residual networks' descriptions. Each also has a number of `blocks`."""

    normalized: ClassVar[bool] = True
    shapes_in_words: ClassVar[str] = "(3, height, width)"
    units: ClassVar[dict[str, int]]
    """Units of the measured layers, the stem and the stages, at width factor 1."""

    shortcut: Shortcut = "projection"

    @property
    def measured_layers(self) -> tuple[str, ...]:
        """The stem and the stages."""
        return tuple(self.units)

    @property
    def narrowest(self) -> int:
        """The units at 1x of the narrowest layer."""
        return min(self.units.values())

    def takes(self, shape: Shape) -> bool:
        """Whether inputs are images in colour."""
        return is_colour_image(shape)


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the mean over pixels and a dense layer.

    A stage's name is that of its layer. Each stage but the first halves the size. Further parts of the stem, and the
    name of the output, are defined by each network.

    Args:
        units: the units of the stem and of each stage, by their names.
        stem: the convolution that the network begins with.
        shortcut: the form of shortcuts that change the shape.
        projected_first: whether the first block of the first stage also has a shortcut with weights.
        blocks: the number of blocks in each stage.
        activation: replaces ReLU.
    """

    def __init__(
        self,
        units: dict[str, int],
        stem: nn.Conv2d,
        shortcut: Shortcut,
        projected_first: bool,
        blocks: int,
        activation: Activation,
    ):
        super().__init__()
        self.measured_layers = tuple(units)
        stem_name, *stages = units
        given = units[stem_name]
        self.conv1 = stem
        self.bn1 = nn.BatchNorm2d(given)
        self.stem = ACTIVATION_MODULES[activation]()
        for number, name in enumerate(stages):
            stride = 1 if number == 0 else 2
            shaped = number > 0 or projected_first
            downsample = downsampling(shortcut, given, units[name], stride) if shaped else None
            first = BasicBlock(given, units[name], stride, downsample, activation)
            given = units[name]
            others = (BasicBlock(given, given, activation=activation) for _ in range(blocks - 1))
            self.add_module(name, nn.Sequential(first, *others))

    @no_type_check  # tracing calls it with stand-ins for tensors
    def features(self, value: Float[Tensor, "batch units height width"]) -> Float[Tensor, "batch features"]:
        """The mean over pixels of the value after the stages."""
        for name in self.measured_layers[1:]:
            value = self.get_submodule(name)(value)
        return value.mean((2, 3))


def scaled(units: dict[str, int], width_factor: float) -> dict[str, int]:
    """The units of each layer at a width factor."""
    return {layer: scaled_units(each, width_factor) for layer, each in units.items()}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, to which the input is added before the last ReLU (the first version).

    `downsample` brings the input to the shape of the output; without it they have the same. `activation` replaces
    both ReLUs.
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
    """A 1×1 convolution on every `stride`-th pixel.

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
    """A module that brings a block's input to the shape of its output."""
    if shortcut == "zero_padding":
        return ZeroPadding(inputs, outputs, stride)
    return nn.Sequential(Projection(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
