"""What a process that knows only a folder makes of it: the labels from each kind of file, printed as JSON."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from widthwise.compression.files import load_compressed


def network() -> nn.Sequential:
    """A small convolutional network."""
    convolutions = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(72, 4))


def scores(folder: Path) -> Iterator[Tensor]:
    """Those of the weights, of both programs, and of a language model."""
    import onnxruntime
    from transformers import LlamaForCausalLM

    given = torch.load(folder / "inputs.pt")
    images = given["images"]
    yield load_compressed(folder / "plain", network).eval()(images)
    yield torch.export.load(folder / "plain/network.pt2").module()(images)
    session = onnxruntime.InferenceSession(folder / "plain/network.onnx")
    yield torch.from_numpy(session.run(None, {"input": images.numpy()})[0])
    yield LlamaForCausalLM.from_pretrained(folder / "llama").eval()(given["tokens"]).logits


if __name__ == "__main__":
    with torch.no_grad():
        print(json.dumps([each.argmax(-1).tolist() for each in scores(Path(sys.argv[1]))]))
