"""The paper's ResNet-18 for ImageNet (Appendix A.1): four stages of two residual blocks."""

from typing import Any, ClassVar, Literal, no_type_check

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from widthwise.networks.description import Activation, Shape
from widthwise.networks.resnet import ResNet, ResNetDescription, Shortcut, scaled


class ResNet18Description(ResNetDescription):
    """ResNet-18 for ImageNet; the paper's text says a learning rate of 1, the published recipe 0.1."""

    title: ClassVar[str] = "ResNet-18"
    recipe: ClassVar[dict[str, dict[str, Any]]] = {
        "initialization": {"scheme": "glorot_normal"},
        "data": {"name": "imagenet", "image_size": 224},
        "training": {
            "optimizer": "momentum",
            "learning_rate": 0.1,
            "decay": {"kind": "step", "rate": 0.1, "at": [30, 60, 80]},
            "batch_size": 256,
            "epochs": 90,
            "augmentation": True,
            "weight_decay": 1e-4,
        },
    }
    units: ClassVar[dict[str, int]] = {"stem": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}

    name: Literal["resnet18"] = "resnet18"  # pyright: ignore[reportIncompatibleVariableOverride]
    blocks: PositiveInt = 2
    """Number of blocks in each of the four stages: the network has 8 × blocks + 2 layers."""

    def module(self, shape: Shape, classes: int) -> nn.Module:
        """The network for images."""
        return ResNet18(classes, self.width_factor, self.shortcut, self.blocks, self.activation)


class ResNet18(ResNet):
    """A 7×7 convolution of `64` units, pooled, and stages of `64`, `128`, `256` and `512`, all times `width_factor`.

    The first block of every stage but the first has a shortcut, with weights or with zeros.
    """

    def __init__(
        self,
        outputs: int,
        width_factor: float = 1.0,
        shortcut: Shortcut = "projection",
        blocks: int = 2,
        activation: Activation = "relu",
    ):
        units = scaled(ResNet18Description.units, width_factor)
        stem = nn.Conv2d(3, units["stem"], 7, 2, padding=3, bias=False)
        super().__init__(units, stem, shortcut, False, blocks, activation)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.fc = nn.Linear(units["layer4"], outputs)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch outputs"]:
        return self.fc(self.features(self.maxpool(self.stem(self.bn1(self.conv1(images))))))
