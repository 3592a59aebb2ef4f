"""Which value is the layer where several nonlinear steps follow each other: the one that enters the next weight."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import layers, profile
from widthwise.measurement.settings import Measurement


class Between(nn.Module):
    """A function between two dense layers."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Linear(5, 8), nn.Linear(8, 3)
        self.function = function

    def forward(self, value: Tensor) -> Tensor:
        return self.two(self.function(self.one(value)))


class SwiGLU(nn.Module):
    def __init__(self, gate: Callable[[Tensor], Tensor] = F.silu):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.gate, self.up, self.down = (nn.Linear(6, 6) for _ in range(4))
        self.head = nn.Linear(6, 3)
        self.act = gate
        self.up.weight.data[2], self.up.bias.data[2] = 0, 0

    def forward(self, value: Tensor) -> Tensor:
        value = self.norm(value)
        return self.head(value + self.down(self.act(self.gate(value)) * self.up(value)))


def measured(model: nn.Module, inputs: Tensor) -> list[str]:
    table = layers(model, inputs)
    assert table["measured"].all(), table["note"].tolist()
    return table["layer"].tolist()


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        (lambda x: F.relu(x).square(), "square"),
        (lambda x: x * torch.sigmoid(x), "mul"),
        (lambda x: x * torch.tanh(F.softplus(x)), "mul"),
        (lambda x: x * F.relu6(x + 3) / 6, "mul"),
        (lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.044715 * x**3))), "mul:4"),
        (lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)), "mul:2"),
        (lambda x: x * (x > 0), "mul"),
        (lambda x: x * (x > 0).float(), "mul"),
        (lambda x: x / (1 + x.abs()), "div"),
        (lambda x: torch.where(x > 0, x, 0.1 * torch.expm1(x)), "where"),
        (lambda x: x + x * torch.sigmoid(x), "mul"),
        (lambda x: torch.maximum(x, 0.1 * x), "maximum"),
        (lambda x: F.relu(x) / F.relu(x).pow(2).mean(-1, keepdim=True).add(1e-6).sqrt(), "relu"),
    ],
)
def test_a_function_of_several_steps_is_one_layer(function: Callable[[Tensor], Tensor], layer: str):
    assert measured(Between(function), torch.randn(7, 5)) == [layer]


@pytest.mark.parametrize("gate", [F.silu, F.gelu, torch.sigmoid])
def test_a_gated_feed_forward_is_its_product(gate: Callable[[Tensor], Tensor]):
    model, inputs = SwiGLU(gate).eval(), torch.randn(200, 6)
    with torch.no_grad():
        hidden = model.norm(inputs)
        product = (gate(model.gate(hidden)) * model.up(hidden)).numpy()
    found = profile(model, [inputs], settings=Measurement(activations=None))
    assert found.layers["layer"].tolist() == ["mul"]
    alive = [unit for unit in range(6) if unit != 2]
    correlations = np.abs(np.corrcoef(product[:, alive].T.astype(np.float64)))
    expected = ((correlations >= 0.5).sum() - 5) / 6  # a dead unit has no similar ones
    assert found.similarity.query("threshold == 0.5")["similarity"].mean() == pytest.approx(expected, abs=1e-9)
    assert found.units["mechanism"].fillna("").eq("dead").tolist() == [unit == 2 for unit in range(6)]


def test_a_fused_projection_is_halved():
    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.both, self.down = nn.Linear(5, 12), nn.Linear(6, 3)

        def forward(self, value: Tensor) -> Tensor:
            gate, up = self.both(value).transpose(1, 2).chunk(2, 1)
            return self.down((F.silu(gate) * up).transpose(1, 2).mean(1))

    (row,) = layers(Fused(), torch.randn(4, 9, 5)).to_dict("records")
    assert (row["layer"], row["units"], row["unit_dimension"]) == ("mul", 6, 1)


class SqueezeAndExcitation(nn.Module):
    """With dense layers for the gate, whose value is given positions of its own."""

    def __init__(self):
        super().__init__()
        self.conv, self.squeeze, self.excite = nn.Conv2d(3, 8, 3), nn.Linear(8, 2), nn.Linear(2, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, value: Tensor) -> Tensor:
        value = F.relu(self.conv(value))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(value.mean((2, 3)))))).view(-1, 8, 1, 1)
        return self.head((value * gate).mean((2, 3)))


def test_a_squeezed_gate_and_what_it_gates_are_one_layer():
    table = layers(SqueezeAndExcitation(), torch.randn(4, 3, 6, 6))
    assert table["layer"].tolist() == ["relu:2", "mul"]
    assert table["units"].tolist() == [2, 8]


def test_an_lstm_by_hand_gives_what_its_cell_gives_out():
    class Recurrent(nn.Module):
        def __init__(self, fused: bool):
            super().__init__()
            self.fused = fused
            self.gates = nn.Linear(4 + 6, 24) if fused else nn.ModuleList(nn.Linear(4 + 6, 6) for _ in range(4))
            self.head = nn.Linear(6, 3)

        def forward(self, value: Tensor) -> Tensor:
            hidden, cell = value.new_zeros(len(value), 6), value.new_zeros(len(value), 6)
            for step in range(3):
                both = torch.cat([value[:, step], hidden], 1)
                parts = self.gates(both).chunk(4, 1) if self.fused else [gate(both) for gate in self.gates]
                into, forget, new, out = parts
                cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
                hidden = torch.sigmoid(out) * torch.tanh(cell)
            return self.head(hidden)

    for fused in (True, False):
        assert measured(Recurrent(fused), torch.randn(4, 3, 4)) == ["mul:3", "mul:6", "mul:9"]


class Residual(nn.Module):
    """What a residual adds to is a layer of its own, whether a nonlinearity follows the sum or not."""

    def __init__(self):
        super().__init__()
        self.stem, self.one, self.two = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, value: Tensor) -> Tensor:
        value = F.relu(self.stem(value))
        value = F.relu(value + F.relu(self.one(value)))
        return self.head(value + F.relu(self.two(value)))


def test_a_residual_networks_nonlinearities_are_all_layers():
    assert measured(Residual(), torch.randn(4, 5)) == ["relu", "relu:2", "relu:3", "relu:4"]


class Mish(nn.Module):
    """A leaf module of several functions with a weight for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(channels))

    def forward(self, value: Tensor) -> Tensor:
        return value * torch.tanh(F.softplus(self.slope * value))


class Star(nn.Module):
    """With a submodule, and a scale and a bias after what is not linear."""

    def __init__(self):
        super().__init__()
        self.relu, self.scale, self.bias = nn.ReLU(), nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))

    def forward(self, value: Tensor) -> Tensor:
        return self.scale * self.relu(value) ** 2 + self.bias


class Snake(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return value + torch.sin(value).pow(2)


class Gate(nn.Module):
    def forward(self, value: Tensor, gate: Tensor) -> Tensor:
        return value * torch.sigmoid(gate)


class Centered(nn.Module):
    """Not entry by entry: it is no single nonlinearity."""

    def forward(self, value: Tensor) -> Tensor:
        return torch.tanh(value - value.mean(-1, keepdim=True))


@pytest.mark.parametrize(
    ("module", "layer", "kind"),
    [
        (Mish(8), "function", "Mish"),
        (Snake(), "function", "Snake"),
        (Star(), "function", "Star"),
        (nn.Sequential(nn.BatchNorm1d(8), nn.ReLU()), "function.1", "ReLU"),
        (nn.Sequential(nn.ReLU(), nn.Dropout()), "function.0", "ReLU"),
        (nn.GLU(), "function.glu", "glu"),
        (Centered(), "function.tanh", "tanh"),
    ],
)
def test_a_module_is_one_layer_if_it_acts_entry_by_entry(module: nn.Module, layer: str, kind: str):
    model = Between(module)
    if isinstance(module, nn.GLU):
        model.one = nn.Linear(5, 16)
    (row,) = layers(model, torch.randn(7, 5)).to_dict("records")
    assert (row["layer"], row["kind"], row["units"]) == (layer, kind, 8)


def test_a_module_of_two_arguments_is_one_layer():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head, self.act = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 3), Gate()

        def forward(self, value: Tensor) -> Tensor:
            return self.head(self.act(self.one(value), self.two(value)))

    assert measured(Gated(), torch.randn(7, 5)) == ["act"]


def test_a_selective_scan_gives_what_enters_its_projection():
    """As in Mamba: states of every unit that are gated by the data at each position, and a gate on the result."""

    class Scan(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.select, self.step = nn.Linear(5, 16), nn.Linear(8, 2 + 6), nn.Linear(2, 8)
            self.rate, self.out, self.head = nn.Parameter(torch.rand(8, 3)), nn.Linear(8, 5), nn.Linear(5, 3)

        def forward(self, value: Tensor) -> Tensor:
            inner, gate = self.into(value).chunk(2, -1)
            inner = F.silu(inner)
            low, read, write = self.select(inner).split([2, 3, 3], -1)
            step = F.softplus(self.step(low))
            decay = torch.exp(-step[..., None] * self.rate)
            state, found = value.new_zeros(len(value), 8, 3), []
            for at in range(value.shape[1]):
                new = (step * inner)[:, at, :, None] * write[:, at, None]
                state = decay[:, at] * state + new
                found.append((state @ read[:, at, :, None]).squeeze(-1))
            return self.head(self.out(torch.stack(found, 1) * F.silu(gate)).mean(1))

    (row,) = layers(Scan(), torch.randn(4, 6, 5)).to_dict("records")
    assert (row["units"], row["unit_dimension"], row["shape"]) == (8, 2, (6, 8))
    assert row["layer"].startswith("mul")
