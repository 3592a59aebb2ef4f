"""A dozen kinds of networks, each tiny, with inputs and the layers that should be found in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Example:
    """A network, batches for it, and the names of its layers."""

    model: nn.Module
    batches: list[Any]
    layers: list[str]


def images(channels: int = 3, size: int = 8) -> list[Tensor]:
    return list(torch.randn(24, channels, size, size).split(10))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 10), nn.Linear(10, 8), nn.Linear(8, 4)

    def forward(self, value: Tensor) -> Tensor:
        return self.three(F.relu(self.two(F.relu(self.one(value)))))


def dense() -> Example:
    return Example(Functional(), list(torch.randn(24, 6).split(10)), ["relu", "relu:2"])


def convolutional() -> Example:
    """Pooling, local response norm and dropout, as in AlexNet."""
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5)),
        *(nn.Conv2d(8, 12, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout()),
        *(nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 5)),
    )
    return Example(model, images(), ["1", "6", "10"])


class Block(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, value: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(value)))))
        out += value
        return self.relu(out)


def residual() -> Example:
    """Writes in place over what skip connections use, and uses one nonlinearity twice."""
    stem = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
    model = nn.Sequential(stem, Block(6), Block(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    return Example(model, images(), ["0.2", "1.relu", "1.relu:2", "2.relu", "2.relu:2"])


class DenselyConnected(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 3 * n) for n in range(3))
        self.convolutions = nn.ModuleList(nn.Conv2d(4 + 3 * n, 3, 3, padding=1) for n in range(2))
        self.head = nn.Linear(10, 4)

    def forward(self, value: Tensor) -> Tensor:
        features = [self.stem(value)]
        for norm, convolution in zip(self.norms[:2], self.convolutions, strict=True):
            features.append(convolution(F.relu(norm(torch.cat(features, 1)))))
        return self.head(F.relu(self.norms[2](torch.cat(features, 1))).mean((2, 3)))


def densely_connected() -> Example:
    return Example(DenselyConnected(), images(), ["relu", "relu:2", "relu:3"])


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.three = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, value: Tensor) -> Tensor:
        pooled = F.avg_pool2d(value, 3, 1, 1)
        return torch.cat([self.act(self.one(value)), self.act(self.three(value)), self.act(self.one(pooled))], dim=1)


def inception_like() -> Example:
    model = nn.Sequential(Branches(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(13, 4))
    return Example(model, images(), ["0.act", "0.act:2", "0.act:3"])


def grouped() -> Example:
    """Group and depthwise convolutions."""
    model = nn.Sequential(
        *(nn.Conv2d(4, 8, 3, groups=2), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.PReLU(8)),
        *(nn.Conv2d(8, 6, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)),
    )
    return Example(model, images(4), ["1", "4", "6"])


class SqueezeAndExcitation(nn.Module):
    """The gate and what it gates are one layer, their product."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.act, self.gate = nn.SiLU(), nn.Sigmoid()
        self.head = nn.Linear(8, 4)

    def forward(self, value: Tensor) -> Tensor:
        value = self.act(self.convolution(value))
        gate = self.gate(self.excite(self.act(self.squeeze(value.mean((2, 3), keepdim=True)))))
        return self.head((value * gate).mean((2, 3)))


def squeeze_and_excitation() -> Example:
    return Example(SqueezeAndExcitation(), images(), ["act:2", "mul"])


class Swish(nn.Module):
    """An activation function made of several."""

    def forward(self, value: Tensor) -> Tensor:
        return value * torch.sigmoid(1.7 * value)


class ChannelsMoved(nn.Module):
    """As in ConvNeXt: the channels go last, for a norm and dense layers at each position."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm, self.widen, self.narrow = nn.LayerNorm(4), nn.Linear(4, 12), nn.Linear(12, 4)
        self.act = Swish()
        self.head = nn.Linear(4, 3)

    def forward(self, value: Tensor) -> Tensor:
        inner = self.norm(self.depthwise(value).permute(0, 2, 3, 1))
        return self.head((value + self.narrow(self.act(self.widen(inner))).permute(0, 3, 1, 2)).mean((2, 3)))


def channels_moved() -> Example:
    return Example(ChannelsMoved(), images(4), ["act"])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.head(self.encoder(value)[:, 0])


def encoder() -> Example:
    names = [f"encoder.layers.{number}.gelu" for number in range(2)]
    return Example(Encoder(), list(torch.randn(24, 5, 8).split(10)), names)


def recurrent() -> Example:
    """A recurrent network, whose cells are inside one function, and a dense layer on its answers."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = nn.LSTM(4, 6, batch_first=True)
            self.dense, self.head = nn.Linear(6, 10), nn.Linear(10, 3)

        def forward(self, value: Tensor) -> Tensor:
            return self.head(torch.relu(self.dense(self.cells(value)[0][:, -1])))

    return Example(Recurrent(), list(torch.randn(24, 7, 4).split(10)), ["relu"])


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 8), nn.Linear(3, 8), nn.Linear(8, 3)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(torch.relu(self.left(left)) * torch.sigmoid(self.right(right)))


def two_inputs() -> Example:
    pairs = [(torch.randn(10, 4), torch.randn(10, 3)) for _ in range(2)]
    return Example(TwoInputs(), [(pair, "labels") for pair in pairs], ["mul"])


class Choosing(nn.Module):
    """What it computes hangs on the values of its layers, so that it has no graph."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.other, self.head = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, value: Tensor) -> Tensor:
        value = torch.relu(self.one(value))
        return self.head(torch.relu(self.two(value) if value.mean() > 0.2 else self.other(value)))


def choosing() -> Example:
    return Example(Choosing(), list(torch.randn(24, 6).split(10)), ["relu", "relu:2"])


def _tokens() -> list[dict[str, Tensor]]:
    tokens = torch.randint(0, 40, (20, 6))
    mask = torch.ones(20, 6, dtype=torch.long)
    mask[3:9, 4:] = 0
    return [{"input_ids": tokens[at : at + 8], "attention_mask": mask[at : at + 8]} for at in (0, 8, 16)]


SIZES: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert() -> Example:
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(**SIZES, intermediate_size=24, num_labels=3))
    names = [f"bert.encoder.layer.{number}.intermediate.intermediate_act_fn" for number in range(2)]
    return Example(model, _tokens(), [*names, "bert.pooler.activation"])


def gpt2() -> Example:
    """A language model: a label for every position; its GELU is made of several functions, its dense layers `addmm`."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=8, use_cache=False))
    return Example(model, _tokens(), [f"transformer.h.{number}.mlp.act" for number in range(2)])


def llama() -> Example:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**SIZES, intermediate_size=24, num_key_value_heads=1))
    return Example(model, _tokens(), [f"model.layers.{number}.mlp.mul" for number in range(2)])


def vision_transformer() -> Example:
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {name: value for name, value in SIZES.items() if name != "vocab_size"}
    model = ViTForImageClassification(ViTConfig(**sizes, intermediate_size=24, image_size=8, patch_size=4))
    names = [name for name, module in model.named_modules() if type(module).__name__ == "GELUActivation"]
    return Example(model, images(), names)


ARCHITECTURES: dict[str, Callable[[], Example]] = {
    build.__name__: build
    for build in (
        *(dense, convolutional, residual, densely_connected, inception_like, grouped, squeeze_and_excitation),
        *(channels_moved, encoder, recurrent, two_inputs, choosing, bert, gpt2, llama, vision_transformer),
    )
}


def build(name: str) -> Example:
    """An architecture, the same each time, with weights so large and different that its labels depend on its inputs."""
    torch.manual_seed(list(ARCHITECTURES).index(name))
    example = ARCHITECTURES[name]()
    for path, parameter in example.model.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, 0, 2 / parameter[0].numel() ** 0.5)
        elif path.endswith("bias"):
            nn.init.zeros_(parameter)
    for module in example.model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return example
