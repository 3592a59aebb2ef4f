"""Networks of the paper to measure, with random weights: the cost of a measurement does not depend on the weights."""

import torch
from examples.resnet56_cifar10 import ResNet56
from torch import Tensor, nn

LAYERS = {
    "alexnet": ("1", "5", "10", "12"),
    "resnet56": ("stem", "layer1", "layer2", "layer3"),
}


def alexnet(width_factor: float = 1.0) -> nn.Sequential:
    """AlexNet for CIFAR-10 with the paper's four measured layers."""
    first, second, third, fourth = (round(units * width_factor) for units in (96, 256, 384, 192))
    norm = nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=1.0)
    return nn.Sequential(
        *(nn.Conv2d(3, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), norm),
        *(nn.Conv2d(first, second, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), norm, nn.Flatten()),
        *(nn.Linear(64 * second, third), nn.ReLU(), nn.Linear(third, fourth), nn.ReLU(), nn.Linear(fourth, 10)),
    )


def network(name: str, width_factor: float = 1.0) -> tuple[nn.Module, dict[str, nn.Module]]:
    """A network, and its measured modules by name."""
    torch.manual_seed(0)
    model = alexnet(width_factor) if name == "alexnet" else ResNet56()
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    model.eval()
    return model, {layer: model.get_submodule(layer) for layer in LAYERS[name]}


def images(count: int) -> Tensor:
    """Random images of CIFAR-10's shape."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
