"""The paper's ResNet-56 for CIFAR-10 (Appendix A.1): three stages of nine residual blocks."""

from typing import Any, ClassVar, Literal, no_type_check

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from widthwise.networks.description import Activation, Shape
from widthwise.networks.resnet import ResNet, ResNetDescription, Shortcut, scaled


class ResNet56Description(ResNetDescription):
    """ResNet-56 for CIFAR-10; the paper's text says a learning rate of 1, the authors' code 0.1."""

    title: ClassVar[str] = "ResNet-56"
    recipe: ClassVar[dict[str, dict[str, Any]]] = {
        "initialization": {"scheme": "glorot_normal"},
        "data": {"name": "cifar10"},
        "training": {
            "optimizer": "momentum",
            "learning_rate": 0.1,
            "decay": {"kind": "step", "rate": 0.1, "at": [91, 136]},
            "batch_size": 128,
            "epochs": 182,
            "augmentation": True,
            "weight_decay": 2e-4,
        },
    }
    units: ClassVar[dict[str, int]] = {"stem": 16, "layer1": 16, "layer2": 32, "layer3": 64}

    name: Literal["resnet56"] = "resnet56"  # pyright: ignore[reportIncompatibleVariableOverride]
    blocks: PositiveInt = 9
    """Number of blocks in each of the three stages: the network has 6 × blocks + 2 layers."""

    def module(self, shape: Shape, classes: int) -> nn.Module:
        """The network for images."""
        return ResNet56(classes, self.width_factor, self.shortcut, self.blocks, self.activation)


class ResNet56(ResNet):
    """A 3×3 convolution of `16` units, and stages of `16`, `32` and `64`, all times `width_factor`.

    With `projection` each stage's first block has a shortcut with weights, the first stage's too, as in the authors'
    code. With `zero_padding` none has.
    """

    def __init__(
        self,
        outputs: int,
        width_factor: float = 1.0,
        shortcut: Shortcut = "projection",
        blocks: int = 9,
        activation: Activation = "relu",
    ):
        units = scaled(ResNet56Description.units, width_factor)
        stem = nn.Conv2d(3, units["stem"], 3, padding=1, bias=False)
        super().__init__(units, stem, shortcut, shortcut == "projection", blocks, activation)
        self.linear = nn.Linear(units["layer3"], outputs)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch outputs"]:
        return self.linear(self.features(self.stem(self.bn1(self.conv1(images)))))
