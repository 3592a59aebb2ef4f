"""The paper's ResNet-18 for ImageNet (Appendix A.1): four stages of two residual blocks."""

from typing import no_type_check

from jaxtyping import Float
from torch import Tensor, nn

from widthwise.networks.activation import ACTIVATION_MODULES
from widthwise.networks.architecture import UNITS_AT_1X, Activation, Shortcut, scaled_units
from widthwise.networks.resnet import downsampling, stage


class ResNet18(nn.Module):
    """A 7×7 convolution of `64` units, pooled, and stages of `64`, `128`, `256` and `512`, all times `width_factor`.

    A block has a shortcut with weights, or with zeros, where its shape changes: the first of all stages but the first.
    A stage has so many `blocks`; `activation` stands in the place of ReLU.
    """

    measured_layers = ("stem", "layer1", "layer2", "layer3", "layer4")

    def __init__(
        self,
        outputs: int,
        width_factor: float = 1.0,
        shortcut: Shortcut = "projection",
        blocks: int = 2,
        activation: Activation = "relu",
    ):
        super().__init__()
        units = [scaled_units(each, width_factor) for each in UNITS_AT_1X["resnet18"].values()]
        stem, first, second, third, fourth = units
        self.conv1 = nn.Conv2d(3, stem, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.stem = ACTIVATION_MODULES[activation]()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = stage(stem, first, 1, blocks, None, activation)
        self.layer2 = stage(first, second, 2, blocks, downsampling(shortcut, first, second, 2), activation)
        self.layer3 = stage(second, third, 2, blocks, downsampling(shortcut, second, third, 2), activation)
        self.layer4 = stage(third, fourth, 2, blocks, downsampling(shortcut, third, fourth, 2), activation)
        self.fc = nn.Linear(fourth, outputs)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch outputs"]:
        value = self.maxpool(self.stem(self.bn1(self.conv1(images))))
        value = self.layer4(self.layer3(self.layer2(self.layer1(value))))
        return self.fc(value.mean((2, 3)))
