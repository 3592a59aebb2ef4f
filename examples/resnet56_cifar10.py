"""A ResNet-56 for CIFAR-10 (He et al. 2015), as a model of one's own that `widthwise profile` measures.

The shortcuts have no parameters: every second pixel is taken, and channels of zeros are added.
"""

from torch import nn

from widthwise.networks import resnet56


def ResNet56() -> nn.Module:
    return resnet56.ResNet56(10, shortcut="zero_padding")
