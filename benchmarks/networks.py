"""Networks and images to measure."""

import torch
from torch import Tensor, nn

RESNET56 = "examples/resnet56_cifar10.py:ResNet56"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""By which the images were standardized that its weights were trained on."""
LAYERS = {
    "alexnet": ("1", "5", "10", "12"),
    "resnet56": ("stem", "layer1", "layer2", "layer3"),
}


def alexnet(width_factor: float = 1.0) -> nn.Sequential:
    """AlexNet for CIFAR-10 with the paper's four measured layers, and random weights."""
    first, second, third, fourth = (round(units * width_factor) for units in (96, 256, 384, 192))
    norm = nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=1.0)
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), norm),
        *(nn.Conv2d(first, second, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), norm, nn.Flatten()),
        *(nn.Linear(64 * second, third), nn.ReLU(), nn.Linear(third, fourth), nn.ReLU(), nn.Linear(fourth, 10)),
    )
    for module in model:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return model.eval()


def images(count: int) -> Tensor:
    """Random images of CIFAR-10's shape."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
