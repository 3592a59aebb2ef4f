"""The paper's ResNet-56 for CIFAR-10 (Appendix A.1): three stages of nine residual blocks."""

from typing import no_type_check

from jaxtyping import Float
from torch import Tensor, nn

from widthwise.networks.activation import ACTIVATION_MODULES
from widthwise.networks.architecture import UNITS_AT_1X, Activation, Shortcut, scaled_units
from widthwise.networks.resnet import downsampling, stage


class ResNet56(nn.Module):
    """A 3×3 convolution of `16` units, and stages of `16`, `32` and `64`, all times `width_factor`.

    With `projection` each stage's first block has a shortcut with weights, the first stage's too, as in the authors'
    code. With `zero_padding` none has. A stage has so many `blocks`; `activation` stands in the place of ReLU.
    """

    measured_layers = ("stem", "layer1", "layer2", "layer3")

    def __init__(
        self,
        outputs: int,
        width_factor: float = 1.0,
        shortcut: Shortcut = "projection",
        blocks: int = 9,
        activation: Activation = "relu",
    ):
        super().__init__()
        stem, first, second, third = (scaled_units(units, width_factor) for units in UNITS_AT_1X["resnet56"].values())
        same_shape = None if shortcut == "zero_padding" else downsampling(shortcut, stem, first, 1)
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.stem = ACTIVATION_MODULES[activation]()
        self.layer1 = stage(stem, first, 1, blocks, same_shape, activation)
        self.layer2 = stage(first, second, 2, blocks, downsampling(shortcut, first, second, 2), activation)
        self.layer3 = stage(second, third, 2, blocks, downsampling(shortcut, second, third, 2), activation)
        self.linear = nn.Linear(third, outputs)

    @no_type_check  # tracing calls it with stand-ins for tensors
    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch outputs"]:
        value = self.stem(self.bn1(self.conv1(images)))
        value = self.layer3(self.layer2(self.layer1(value)))
        return self.linear(value.mean((2, 3)))
