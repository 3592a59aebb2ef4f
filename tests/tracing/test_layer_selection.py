"""Choosing layers: a name selects one value, a pattern those that fit, and the draws depend on neither."""

import zlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import layers, profile
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.fc1(value))
        return value + F.gelu(self.fc2(hidden)), hidden


class Model(nn.Module):
    """Two blocks that return tuples, and activation functions in a dictionary of odd names."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.ModuleList(Block() for _ in range(2))
        self.acts = nn.ModuleDict({"a[0]": nn.Tanh(), "b*": nn.Sigmoid()})
        self.one, self.two, self.head = nn.Linear(6, 7), nn.Linear(7, 6), nn.Linear(6, 3)

    def forward(self, value: Tensor) -> Tensor:
        for block in self.encoder:
            value, hidden = block(value)
        value = self.acts["a[0]"](self.one(value) + hidden.sum(1, keepdim=True))
        return self.head(F.relu(F.relu(self.acts["b*"](self.two(value)).chunk(2, 1)[1].repeat(1, 2)) - 0.5))


EVERY = ["encoder.0.relu", "encoder.0.gelu", "encoder.1.relu", "encoder.1.gelu", "acts.a[0]"]


def chosen(names: Any, model: nn.Module | None = None, **options: Any) -> list[str]:
    table = layers(model or Model(), torch.randn(5, 6), layers=names, **options)
    return table[table["measured"]]["layer"].tolist()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("encoder.0.relu", ["encoder.0.relu"]),
        ("encoder.*.relu", ["encoder.0.relu", "encoder.1.relu"]),
        ("encoder.[1].relu", ["encoder.1.relu"]),
        ("encoder.*.fc1", ["encoder.0.fc1", "encoder.1.fc1"]),
        ("encoder.0", ["encoder.0"]),
        ("encoder.0[1]", ["encoder.0[1]"]),
        ("encoder.?", ["encoder.0", "encoder.1"]),
        ("acts.a[0]", ["acts.a[0]"]),
        ("acts.b*", ["acts.b*"]),
        ("acts.a[[]*", ["acts.a[0]"]),
        ("encoder.1.add", ["encoder.1.add"]),
        ("chunk[1]", ["chunk[1]"]),
        (["relu:2", "head"], ["relu:2", "head"]),
        ("relu:1", ["relu"]),
        ("relu:*", ["relu:2"]),
        ("relu*", ["relu:2"]),
        (lambda layer: layer.units == 8, ["encoder.0.relu", "encoder.1.relu"]),
    ],
)
def test_names_and_patterns_select(names: Any, expected: list[str]):
    assert chosen(names) == expected


def test_an_exact_name_selects_the_first_call_alone():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.act, self.head = nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)

        def forward(self, value: Tensor) -> Tensor:
            return self.head(self.act(self.one(self.act(self.one(value)))))

    assert chosen("act", Twice()) == ["act"]
    assert chosen("act:2", Twice()) == ["act:2"]
    assert chosen("act:*", Twice()) == ["act:2"]
    assert chosen("one*", Twice()) == ["one", "one:2"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("encoder.2", "'encoder.2' is no layer of the network; did you mean encoder"),
        ("encoder.0[2]", r"no layer fits the pattern 'encoder.0\[2\]'; the first"),
        ("nothing*", "no layer fits the pattern 'nothing.*'; the first layers are encoder.0.relu"),
        ("encoder.0.relu:7", "is no layer of the network"),
    ],
)
def test_what_is_not_there_is_refused(names: Any, message: str):
    with pytest.raises(ValueError, match=message):
        layers(Model(), torch.randn(5, 6), layers=names)


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize(
    ("one", "same"), [("encoder.1[1]", "encoder.1.relu"), ("encoder.1", "encoder.1.add"), ("acts.b*", "acts.b*")]
)
def test_a_part_of_what_a_module_returns_is_the_same_value_as_the_functions(one: str, same: str, replay: bool):
    model, inputs = Model(), torch.randn(40, 6)
    first, second = (profile(model, [inputs], layers=name, replay=replay) for name in (one, same))
    assert second.about["replayed"] == replay
    assert first.units["mean"].tolist() == second.units["mean"].tolist()
    assert first.layers["auc"].tolist() == pytest.approx(second.layers["auc"].tolist(), abs=0.1)


def streams(**options: Any) -> dict[str, int]:
    network = Network(Model().eval(), Inputs((torch.randn(5, 6),), {}), **options)
    return {layer.name: layer.stream for layer in network.layers}


def test_a_layers_draws_do_not_depend_on_which_others_are_chosen():
    every = streams()
    assert list(every.values()) == list(range(len(every)))
    assert list(every)[:5] == EVERY
    assert streams(layers=["encoder.1.gelu", "acts.a[0]"]) == {"encoder.1.gelu": 3, "acts.a[0]": 4}
    named = (1 << 32) + zlib.crc32(b"encoder.0.add")
    assert streams(layers=["encoder.0.add", "acts.a[0]"]) == {"encoder.0.add": named, "acts.a[0]": 4}
    assert streams(layers=lambda layer: isinstance(layer, Layer) and layer.units == 7) == {"acts.a[0]": 4}
