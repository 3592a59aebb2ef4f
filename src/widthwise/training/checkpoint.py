"""The state of a training as one safetensors file, from which it continues as if it had never stopped.

Order, crops, flips and dropout are drawn from streams that are derived from epoch and step, so there is no random state
to keep: the epoch and the number of the batch are enough.
"""

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from widthwise.errors import RequestError
from widthwise.training.state import Position
from widthwise.training.trained_network import Parameters, TrainedNetwork

FORMAT = 1


@dataclass
class Checkpoint:
    """Everything that a training holds."""

    position: Position
    trained: TrainedNetwork
    network: Parameters
    optimizer: dict[str, Any] = field(default_factory=dict)


def packed(checkpoint: Checkpoint, identity: str) -> bytes:
    """A checkpoint as the content of a file, for the training called `identity`."""
    trained = checkpoint.trained
    tensors = {f"network/{name}": value for name, value in checkpoint.network.items()}
    tensors |= {f"best/{name}": value for name, value in trained.parameters.items()}
    for epoch, parameters in trained.kept.items():
        tensors |= {f"kept/{epoch}/{name}": value for name, value in parameters.items()}
    numbers: dict[str, dict[str, Any]] = {}
    for parameter, state in checkpoint.optimizer.get("state", {}).items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{parameter}/{name}"] = value
            else:
                numbers.setdefault(str(parameter), {})[name] = value
    about = {
        "format": FORMAT,
        "training": identity,
        **_versions(),
        "position": asdict(checkpoint.position),
        "status": trained.status,
        "epoch": trained.epoch,
        "history": trained.history,
        "damaged": trained.damaged,
        "optimizer": numbers,
    }
    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return safetensors.torch.save(own, {"about": json.dumps(about)})


def unpacked(content: bytes, identity: str, path: str) -> Checkpoint:
    """The checkpoint in a file's content; only the optimizer's state lacks its settings.

    Raises:
        RequestError: it is damaged, of another training, or written by another version of the program or of PyTorch.
    """
    remedy = f"delete {path} to train from the beginning"
    damaged = RequestError(f"the checkpoint {path} is damaged; {remedy}")
    try:
        about = _about(content)
        found, present = about["training"], {"format": FORMAT, **_versions()}
    except (ValueError, KeyError, TypeError):
        raise damaged from None
    if found != identity:
        raise RequestError(f"the checkpoint {path} is that of the training {found}, not of {identity}; {remedy}")
    for name, version_here in present.items():
        if about.get(name) != version_here:
            raise RequestError(
                f"the checkpoint {path} was written with {name} {about.get(name)} and this is {version_here}, "
                f"which may give other numbers; {remedy}"
            )
    try:
        return _parsed(about, safetensors.torch.load(content))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        raise damaged from None


def _parsed(about: dict[str, Any], tensors: Parameters) -> Checkpoint:
    optimizer: dict[int, dict[str, Any]] = {int(key): dict(value) for key, value in about["optimizer"].items()}
    trained = TrainedNetwork(about["status"], about["epoch"], damaged=about["damaged"], history=about["history"])
    network: Parameters = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        first, _, last = rest.partition("/")
        match kind:
            case "network":
                network[rest] = value
            case "best":
                trained.parameters[rest] = value
            case "kept":
                trained.kept.setdefault(int(first), {})[last] = value
            case "optimizer":
                optimizer.setdefault(int(first), {})[last] = value
    return Checkpoint(Position(**about["position"]), trained, network, {"state": optimizer})


def restore(checkpoint: Checkpoint, network: nn.Module, optimizer: Optimizer, path: str) -> None:
    """Load the network and optimizer of a checkpoint into these.

    Raises:
        RequestError: the checkpoint is that of another network.
    """
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in checkpoint.network.items()}
    if expected != found:
        other = next(name for name in {**expected, **found} if expected.get(name) != found.get(name))
        raise RequestError(
            f"the checkpoint {path} is that of another network: {other} is {found.get(other, 'missing')} in it and "
            f"{expected.get(other, 'missing')} here; delete {path} to train from the beginning"
        )
    network.load_state_dict(checkpoint.network)
    optimizer.load_state_dict({**optimizer.state_dict(), **checkpoint.optimizer})


def _about(content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["about"])


def _versions() -> dict[str, str]:
    return {"widthwise": version("widthwise"), "torch": torch.__version__}
