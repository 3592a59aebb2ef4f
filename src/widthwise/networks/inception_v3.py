"""Inception-v3 for ImageNet (Szegedy et al. 2015), as published: a stem, eleven mixed blocks and an auxiliary head."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, no_type_check

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from widthwise.networks.activation import ACTIVATION_FUNCTIONS
from widthwise.networks.description import Activation, PublishedNetwork, Shape, is_colour_image, scaled_units
from widthwise.networks.dropout import Dropout

MOMENTUM, EPSILON = 0.0003, 0.001
"""Momentum of batch norm: the paper's decay is 0.9997."""
DROPOUT = 0.5
SMALLEST_IMAGE = 299
"""The auxiliary head's last convolution covers 5×5 pixels, more than would be left of a smaller image."""
NARROWEST = {"all": 32, "mixed_5d": 48}
"""The units at 1x of the narrowest convolution that is scaled."""

Scale = Callable[[int], int]
"""From a layer's units at 1x to its units."""


class Convolution(NamedTuple):
    """Units at 1x and kernel. With a stride of 2 nothing is padded; otherwise the size stays the same."""

    units: int
    kernel: tuple[int, int]
    stride: int = 1


Branch = Sequence[Convolution | tuple[Convolution, Convolution]]
"""Convolutions one after the other; the last may be two side by side."""


def _conv(units: int, height: int, width: int, stride: int = 1) -> Convolution:
    return Convolution(units, (height, width), stride)


def _block_35(pooled: int) -> dict[str, Branch]:
    return {
        "branch1x1": [_conv(64, 1, 1)],
        "branch5x5": [_conv(48, 1, 1), _conv(64, 5, 5)],
        "branch3x3dbl": [_conv(64, 1, 1), _conv(96, 3, 3), _conv(96, 3, 3)],
        "branch_pool": [_conv(pooled, 1, 1)],
    }


def _block_17(inner: int) -> dict[str, Branch]:
    return {
        "branch1x1": [_conv(192, 1, 1)],
        "branch7x7": [_conv(inner, 1, 1), _conv(inner, 1, 7), _conv(192, 7, 1)],
        "branch7x7dbl": [
            *(_conv(inner, 1, 1), _conv(inner, 7, 1), _conv(inner, 1, 7)),
            *(_conv(inner, 7, 1), _conv(192, 1, 7)),
        ],
        "branch_pool": [_conv(192, 1, 1)],
    }


_BLOCK_8: dict[str, Branch] = {
    "branch1x1": [_conv(320, 1, 1)],
    "branch3x3": [_conv(384, 1, 1), (_conv(384, 1, 3), _conv(384, 3, 1))],
    "branch3x3dbl": [_conv(448, 1, 1), _conv(384, 3, 3), (_conv(384, 1, 3), _conv(384, 3, 1))],
    "branch_pool": [_conv(192, 1, 1)],
}

BLOCKS: dict[str, dict[str, Branch]] = {
    "Mixed_5b": _block_35(32),
    "Mixed_5c": _block_35(64),
    "Mixed_5d": _block_35(64),
    "Mixed_6a": {
        "branch3x3": [_conv(384, 3, 3, 2)],
        "branch3x3dbl": [_conv(64, 1, 1), _conv(96, 3, 3), _conv(96, 3, 3, 2)],
    },
    "Mixed_6b": _block_17(128),
    "Mixed_6c": _block_17(160),
    "Mixed_6d": _block_17(160),
    "Mixed_6e": _block_17(192),
    "Mixed_7a": {
        "branch3x3": [_conv(192, 1, 1), _conv(320, 3, 3, 2)],
        "branch7x7x3": [_conv(192, 1, 1), _conv(192, 1, 7), _conv(192, 7, 1), _conv(192, 3, 3, 2)],
    },
    "Mixed_7b": _BLOCK_8,
    "Mixed_7c": _BLOCK_8,
}
"""The branches of each mixed block. Those without a branch after pooling halve the size."""


STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")


class InceptionV3Description(PublishedNetwork):
    """Inception-v3 for ImageNet; the paper's text says a learning rate of 1, the published recipe 0.045."""

    title: ClassVar[str] = "Inception-v3"
    recipe: ClassVar[dict[str, dict[str, Any]]] = {
        "initialization": {"scheme": "truncated_normal", "standard_deviation": 0.1},
        "data": {"name": "imagenet", "image_size": 299},
        "training": {
            "optimizer": "rmsprop",
            "momentum": 0.9,
            "epsilon": 1.0,
            "learning_rate": 0.045,
            "decay": {"kind": "exponential", "rate": 0.96, "every": 8},
            "batch_size": 256,
            "epochs": 90,
            "augmentation": True,
            "weight_decay": 4e-5,
        },
    }
    normalized: ClassVar[bool] = True
    shapes_in_words: ClassVar[str] = (
        f"(3, height, width), of at least {SMALLEST_IMAGE}×{SMALLEST_IMAGE} because of its auxiliary head"
    )

    name: Literal["inception-v3"] = "inception-v3"  # pyright: ignore[reportIncompatibleVariableOverride]
    scaled: Literal["all", "mixed_5d"] = "all"
    """The layers that the width factor multiplies: all, or only the third 35×35 mixed block (Inception-v3-layer)."""

    @property
    def measured_layers(self) -> tuple[str, ...]:
        """The stem's convolutions and the mixed blocks."""
        return (*STEM, *BLOCKS)

    @property
    def varied_layers(self) -> tuple[str, ...] | None:
        """The measured layers whose units the width factor multiplies; None: all of them."""
        return ("Mixed_5d",) if self.scaled == "mixed_5d" else None

    @property
    def narrowest(self) -> int:
        """The units at 1x of the narrowest convolution that is scaled."""
        return NARROWEST[self.scaled]

    def takes(self, shape: Shape) -> bool:
        """Whether inputs are large images in colour."""
        return isinstance(shape, tuple) and is_colour_image(shape) and min(shape[1:]) >= SMALLEST_IMAGE

    def module(self, shape: Shape, classes: int) -> nn.Module:
        """The network for images."""
        return InceptionV3(classes, self.width_factor, self.scaled, activation=self.activation)


class BasicConv2d(nn.Module):
    """A convolution, batch norm and an activation function."""

    def __init__(
        self,
        inputs: int,
        units: int,
        kernel: tuple[int, int],
        stride: int,
        padding: tuple[int, int],
        activation: Activation,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, units, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(units, EPSILON, MOMENTUM)
        self.activate = ACTIVATION_FUNCTIONS[activation]

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, value: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch units h w"]:
        return self.activate(self.bn(self.conv(value)))


class MixedBlock(nn.Module):
    """Branches of convolutions, whose values are joined."""

    def __init__(self, inputs: int, branches: dict[str, Branch], scale: Scale, activation: Activation):
        super().__init__()
        self._branches: dict[str, list[list[str]]] = {}
        self._halves = "branch_pool" not in branches
        self.units = inputs if self._halves else 0
        for branch, steps in branches.items():
            given, names = inputs, []
            for number, step in enumerate(steps, start=1):
                beside = [step] if isinstance(step, Convolution) else list(step)
                numbered = branch if len(steps) == 1 else f"{branch}_{number}"
                names.append([numbered] if len(beside) == 1 else [f"{numbered}a", f"{numbered}b"])
                for name, convolution in zip(names[-1], beside, strict=True):
                    self.add_module(name, _layer(given, convolution, scale, activation))
                given = sum(scale(convolution.units) for convolution in beside)
            self._branches[branch] = names
            self.units += given

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, value: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch units h w"]:
        joined = []
        for branch, steps in self._branches.items():
            pooled = branch == "branch_pool"
            inner = functional.avg_pool2d(value, 3, stride=1, padding=1) if pooled else value
            for names in steps:
                beside = [self.get_submodule(name)(inner) for name in names]
                inner = beside[0] if len(beside) == 1 else torch.cat(beside, 1)
            joined.append(inner)
        if self._halves:
            joined.append(functional.max_pool2d(value, 3, stride=2))
        return torch.cat(joined, 1)


class AuxiliaryHead(nn.Module):
    """Logits from the last 17×17 block, which bring gradients to it while training."""

    def __init__(self, inputs: int, outputs: int, scale: Scale, activation: Activation):
        super().__init__()
        narrow, wide = scale(128), scale(768)
        self.conv0 = BasicConv2d(inputs, narrow, (1, 1), 1, (0, 0), activation)
        self.conv1 = BasicConv2d(narrow, wide, (5, 5), 1, (0, 0), activation)
        self.fc = nn.Linear(wide, outputs)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, value: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs"]:
        value = self.conv1(self.conv0(functional.avg_pool2d(value, 5, stride=3)))
        return self.fc(value.mean((2, 3)))


class InceptionV3(nn.Module):
    """The published network with every layer's units times `width_factor`, or those of one block alone.

    In training it returns logits and auxiliary logits, in evaluation logits; without `auxiliary` it has no such head.
    Images need to be 299×299 or larger for the head, and 75×75 without it. `activation` replaces ReLU.
    """

    auxiliary_weight = 0.4
    """Weight of the auxiliary head's loss, beside that of the logits, as published."""
    measured_layers = (*STEM, *BLOCKS)

    def __init__(
        self,
        outputs: int,
        width_factor: float = 1.0,
        scaled: Literal["all", "mixed_5d"] = "all",
        auxiliary: bool = True,
        activation: Activation = "relu",
    ):
        super().__init__()

        def scale_of(layer: str) -> Scale:
            here = scaled == "all" or layer == "Mixed_5d"
            return lambda units: scaled_units(units, width_factor if here else 1.0)

        first, second, third, fourth, fifth = map(scale_of("stem"), (32, 32, 64, 80, 192))
        self.Conv2d_1a_3x3 = BasicConv2d(3, first, (3, 3), 2, (0, 0), activation)
        self.Conv2d_2a_3x3 = BasicConv2d(first, second, (3, 3), 1, (0, 0), activation)
        self.Conv2d_2b_3x3 = BasicConv2d(second, third, (3, 3), 1, (1, 1), activation)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = BasicConv2d(third, fourth, (1, 1), 1, (0, 0), activation)
        self.Conv2d_4a_3x3 = BasicConv2d(fourth, fifth, (3, 3), 1, (0, 0), activation)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        units = fifth
        self.AuxLogits = None
        for name, branches in BLOCKS.items():
            block = MixedBlock(units, branches, scale_of(name), activation)
            self.add_module(name, block)
            units = block.units
            if name == "Mixed_6e" and auxiliary:
                self.AuxLogits = AuxiliaryHead(units, outputs, scale_of("AuxLogits"), activation)
        self.dropout = Dropout(DROPOUT)
        self.fc = nn.Linear(units, outputs)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch outputs"] | tuple[Float[Tensor, "batch outputs"], Float[Tensor, "batch outputs"]]:
        value = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        value = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(value)))
        value = self.maxpool2(value)
        auxiliary = None
        for name in BLOCKS:
            value = self.get_submodule(name)(value)
            if name == "Mixed_6e" and self.training and self.AuxLogits is not None:
                auxiliary = self.AuxLogits(value)
        logits = self.fc(self.dropout(value.mean((2, 3))))
        return logits if auxiliary is None else (logits, auxiliary)


def _layer(inputs: int, convolution: Convolution, scale: Scale, activation: Activation) -> BasicConv2d:
    height, width = convolution.kernel
    padding = (0, 0) if convolution.stride == 2 else (height // 2, width // 2)
    return BasicConv2d(inputs, scale(convolution.units), convolution.kernel, convolution.stride, padding, activation)
