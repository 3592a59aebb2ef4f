"""Smaller networks: they run, answer as foreseen, and lose nothing where nothing need be lost."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import widthwise as ww
from tests.typed import widthwise
from widthwise.compression import refitting
from widthwise.compression.compress import compress as make_smaller
from widthwise.compression.reader import Destination
from widthwise.errors import RequestError

compress: Any = make_smaller
"""Its result as any type, since a test knows the class of the network in it."""


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(network: nn.Module, seed: int = 0) -> Any:
    """Random weights, and statistics of batch normalization that are not those it starts with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) / max(tensor[0].numel(), 1) ** 0.5)
        for name, tensor in network.named_buffers():
            if name.endswith("running_mean"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            elif name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network.eval()


def dense(hidden: int = 24) -> Any:
    return seeded(
        nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 4))
    )


class Residual(nn.Module):
    """A block as in a ResNet, between a convolution and a dense layer over flattened positions."""

    def __init__(self, inner: int = 8):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(6, inner, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, 6, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, 5, 3, stride=2)
        self.dense = nn.Linear(5 * 9, 10)
        self.output = nn.Linear(10, 4)

    def forward(self, images):
        value = functional.relu(self.norm(self.stem(images)))
        inner = functional.relu(self.norm1(self.conv1(value)))
        value = functional.relu(self.norm2(self.conv2(inner)) + value)
        value = functional.relu(self.last(value)).flatten(1)
        return self.output(functional.gelu(self.dense(value)))


VECTORS = [drawn(1, 200, 6)]
IMAGES = [drawn(number, 40, 3, 8, 8) for number in range(4)]


def outputs(network: nn.Module, batches) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network(batch) for batch in batches])


def with_copies(network: nn.Sequential, first: int, second: int) -> nn.Sequential:
    """Every unit of a layer twice, each copy with half of the outgoing weight."""
    doubled = copy.deepcopy(network)
    writer, reader = network[first], network[second]
    assert isinstance(writer, nn.Linear)
    assert isinstance(reader, nn.Linear)
    wide, tall = (
        nn.Linear(writer.in_features, 2 * writer.out_features),
        nn.Linear(2 * reader.in_features, reader.out_features),
    )
    with torch.no_grad():
        wide.weight.copy_(torch.cat([writer.weight, writer.weight]))
        wide.bias.copy_(torch.cat([writer.bias, writer.bias]))
        tall.weight.copy_(torch.cat([reader.weight, reader.weight], 1) / 2)
        tall.bias.copy_(reader.bias)
    doubled[first], doubled[second] = wide, tall
    return doubled


@given(seed=st.integers(0, 10_000), hidden=st.integers(2, 12))
@settings(max_examples=15, deadline=None)
def test_copies_go_and_every_output_stays(seed: int, hidden: int):
    network = seeded(
        nn.Sequential(nn.Linear(6, hidden), nn.GELU(), nn.Linear(hidden, 5), nn.GELU(), nn.Linear(5, 3)), seed
    )
    found = compress(with_copies(network, 0, 2), VECTORS, keep=0.5, layers="0")
    assert found.model[0].out_features == hidden
    before, after = outputs(network, VECTORS), outputs(found.model, VECTORS)
    assert (before - after).abs().max() < 1e-4 * max(float(before.abs().max()), 1)
    assert found.layers.loc[0, "error"] < 1e-7


def test_dead_and_constant_units_go_first():
    network = dense(12)
    with torch.no_grad():
        network[0].weight[[2, 5]] = 0
        network[0].bias[2], network[0].bias[5] = -1.0, 2.0
    found = compress(network, VECTORS, keep=10 / 12, layers="0")
    gone = found.units.query("not kept")
    assert set(gone["unit"]) == {2, 5}
    assert set(gone["position"]) == {0, 1}
    before, after = outputs(network, VECTORS), outputs(found.model, VECTORS)
    assert (before - after).abs().max() < 1e-4


def test_the_order_of_the_units_changes_nothing():
    network = dense(16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(3))
    permuted = copy.deepcopy(network)
    with torch.no_grad():
        permuted[0].weight.copy_(network[0].weight[order])
        permuted[0].bias.copy_(network[0].bias[order])
        permuted[2].weight.copy_(network[2].weight[:, order])
    one, other = (compress(each, VECTORS, keep=0.5, layers="0") for each in (network, permuted))
    assert {int(order[unit]) for unit in other.units.query("kept")["unit"]} == set(one.units.query("kept")["unit"])
    torch.testing.assert_close(outputs(one.model, VECTORS), outputs(other.model, VECTORS), rtol=1e-3, atol=1e-4)


def test_a_residual_network_keeps_its_class_its_stream_and_most_answers():
    network = seeded(Residual())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = compress(network, IMAGES, keep=0.5)
    assert type(found.model) is Residual
    assert (found.model.conv1.out_channels, found.model.conv2.in_channels, found.model.norm1.num_features) == (4, 4, 4)
    assert (found.model.last.out_channels, found.model.dense.in_features, found.model.dense.out_features) == (2, 18, 5)
    assert found.model.stem.out_channels == 6
    assert found.left.set_index("layer")["reason"].to_dict() == {
        "stem": "its units are added to those of conv2",
        "conv2": "its units are added to those of stem",
        "output": "its units are the network's outputs",
    }
    assert found.model.conv2.bias is None, "batch normalization has its bias"
    assert not any(torch.ne(before[name], value).any() for name, value in network.state_dict().items())
    assert list(found.layers["layer"]) == ["conv1", "last", "dense"]


class Blocks(nn.Module):
    """Residual blocks of dense layers, which have much in common."""

    def __init__(self, count: int = 3):
        super().__init__()
        self.inner = nn.ModuleList(nn.Linear(8, 24) for _ in range(count))
        self.outer = nn.ModuleList(nn.Linear(24, 8) for _ in range(count))
        self.output = nn.Linear(8, 4)

    def forward(self, value):
        for inner, outer in zip(self.inner, self.outer, strict=True):
            value = value + outer(torch.relu(inner(value)))
        return self.output(value)


def test_a_reader_makes_up_for_what_those_before_it_have_lost(monkeypatch: pytest.MonkeyPatch):
    """It is fitted to the intact sum, less what the smaller network adds: without that, errors add up."""
    network, inputs = seeded(Blocks(), 4), [drawn(5, 2000, 8)]
    corrected = compress(network, inputs, keep=0.25).model
    monkeypatch.setattr(refitting, "destination", lambda graph, reader: Destination(None, reader.outputs[0], None))
    plain = compress(network, inputs, keep=0.25).model
    whole = outputs(network, inputs)
    errors = [float((outputs(each, inputs) - whole).square().mean()) for each in (corrected, plain)]
    assert errors[0] < 0.9 * errors[1]


def test_a_layer_without_a_bias_gets_one():
    network = seeded(nn.Sequential(nn.Linear(6, 16), nn.Sigmoid(), nn.Linear(16, 4, bias=False)))
    found = compress(network, VECTORS, keep=0.25)
    assert found.model[2].bias is not None
    assert found.comparison["labels_kept"] > 0.6


def test_depthwise_convolutions_are_part_of_the_unit():
    network = seeded(
        nn.Sequential(
            nn.Conv2d(3, 8, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.ReLU(),
            nn.Conv2d(8, 6, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
        )
    )
    found = compress(network, IMAGES, keep=0.5)
    assert [(each.in_channels, each.out_channels, each.groups) for each in (found.model[0], found.model[3])] == [
        (3, 4, 1),
        (4, 4, 4),
    ]
    assert found.model[5].in_channels == 4


class Gated(nn.Module):
    """A gated feed-forward in a residual stream that is normalized."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Linear(6, 8), nn.LayerNorm(8)
        self.gate, self.up, self.down = nn.Linear(8, 20), nn.Linear(8, 20), nn.Linear(20, 8)
        self.output = nn.Linear(8, 4)

    def forward(self, tokens):
        value = self.embed(tokens)
        inner = self.norm(value)
        value = value + self.down(functional.silu(self.gate(inner)) * self.up(inner))
        return self.output(value.mean(1))


def test_a_gated_feed_forward_s_unit_is_its_row_in_both():
    network = seeded(Gated())
    found = compress(network, [drawn(2, 60, 5, 6)], keep=0.5)
    assert (found.model.gate.out_features, found.model.up.out_features, found.model.down.in_features) == (10, 10, 10)
    assert list(found.layers["layer"]) == ["gate"]
    reasons = found.left.set_index("layer")["reason"]
    assert reasons["embed"] == "layer_norm is taken over its units"


class Joined(nn.Module):
    """Two branches, side by side, that one convolution reads."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 6, 1)
        self.reader, self.output = nn.Conv2d(10, 5, 3), nn.Linear(5, 4)

    def forward(self, images):
        value = torch.cat([functional.relu(self.one(images)), functional.relu(self.two(images))], 1)
        return self.output(functional.relu(self.reader(value)).mean((2, 3)))


def test_branches_side_by_side_keep_their_own_shares():
    found = compress(seeded(Joined()), IMAGES, keep=0.5)
    assert (found.model.one.out_channels, found.model.two.out_channels, found.model.reader.in_channels) == (2, 3, 5)
    assert found.comparison["labels_kept"] > 0.5


class Fixed(nn.Module):
    """A network whose code has the number of its units."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, value):
        value = torch.relu(self.one(value)).reshape(-1, 2, 4).reshape(-1, 8)
        return self.three(torch.relu(self.two(value)))


def test_what_cannot_be_cut_is_left_whole_and_named():
    found = compress(seeded(Fixed()), VECTORS, keep=0.5)
    assert found.model.one.out_features == 8
    assert found.model.two.out_features == 4
    (reason,) = found.left.query("layer == 'one'")["reason"]
    assert "fails" in reason


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, value):
        return self.two(torch.relu(self.one(torch.relu(self.one(value)))))


def test_a_weight_that_is_used_twice_stays():
    with pytest.raises(RequestError, match="its weight is used several times"):
        compress(seeded(Tied()), VECTORS)


def test_twice_by_half_is_once_by_a_quarter_within_the_spread():
    network = dense(32)
    once = compress(network, VECTORS, keep=0.25, layers="0")
    twice = compress(compress(network, VECTORS, keep=0.5, layers="0").model, VECTORS, keep=0.5, layers="0")
    whole = outputs(network, VECTORS)
    errors = [float((outputs(each.model, VECTORS) - whole).square().mean()) for each in (once, twice)]
    assert 0.5 < errors[0] / errors[1] < 2


def test_the_same_seed_gives_the_same_network():
    one, other = (compress(dense(), VECTORS, seed=3) for _ in range(2))
    for mine, theirs in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_half_precision_comes_back_in_half_precision():
    found = compress(dense().to(torch.bfloat16), [VECTORS[0].to(torch.bfloat16)])
    assert {parameter.dtype for parameter in found.model.parameters()} == {torch.bfloat16}


def test_training_mode_and_gradients_come_back():
    network = dense()
    network.train()
    network[0].weight.requires_grad_(False)
    found = compress(network, VECTORS)
    assert found.model.training
    assert network.training
    assert [parameter.requires_grad for parameter in found.model.parameters()] == [False, *[True] * 5]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keep": 0.0}, "keep: must be above 0 and at most 1, got 0.0"),
        ({"keep": 1.5}, "keep: must be above 0 and at most 1, got 1.5"),
        ({"labels": 0.0}, "labels: must be above 0 and at most 1, got 0.0"),
        ({"labels": 0.9, "keep": 0.5}, "labels: give one of keep or labels, not several"),
        ({"parameters": 0.01}, "parameters: with one unit in each layer that can be made smaller, "),
        ({"round_to": 0}, "round_to: must be a whole number of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: must be a whole number of at least 1, got 0"),
        ({"layers": "1"}, "layers: there is no layer '1'; there are 0, 2 and 4"),
        (
            {"layers": "4"},
            "there is nothing to make smaller: all units stay of 4, since its units are the network's outputs",
        ),
    ],
)
def test_requests_that_cannot_be_met(changes: dict[str, object], sentence: str):
    with pytest.raises(RequestError, match=re.escape(sentence)):
        compress(dense(), VECTORS, **changes)


def test_too_few_examples_to_hold_some_back():
    with pytest.raises(RequestError, match="there are 4 examples, too few to hold some back"):
        compress(dense(), [drawn(0, 4, 6)])


def test_not_a_number_is_refused():
    network = dense()
    with torch.no_grad():
        network[0].weight[0, 0] = torch.nan
    with pytest.raises(RequestError, match="NaN"):
        compress(network, VECTORS)


def test_what_is_left_whole_is_told_by_its_reason():
    found = compress(seeded(Blocks()), [drawn(5, 400, 8)])
    assert found.left_by_reason() == [
        ("outer.0 and 2 others", "its units are added to a value that keeps all of its own"),
        ("output", "its units are the network's outputs"),
    ]
    assert "outer.0 and 2 others: its units are added" in str(found)


def test_a_saved_network_comes_back_in_the_user_s_class(tmp_path: Path):
    network = seeded(Residual())
    found = compress(network, IMAGES, keep=0.5)
    found.save(tmp_path / "small")
    again: Any = ww.load_compressed(tmp_path / "small", Residual).eval()
    torch.testing.assert_close(outputs(again, IMAGES), outputs(found.model, IMAGES), rtol=0, atol=0)
    assert (again.conv1.out_channels, again.norm1.num_features, again.dense.in_features) == (4, 4, 18)
    assert sorted(file.name for file in (tmp_path / "small").iterdir()) == [
        "README.md",
        "compressed.json",
        "network.safetensors",
    ]
    with pytest.raises(RequestError, match="is not empty"):
        found.save(tmp_path / "small")


def test_a_saved_network_with_a_new_bias_comes_back(tmp_path: Path):
    def factory() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 16), nn.Sigmoid(), nn.Linear(16, 4, bias=False))

    found = compress(seeded(factory()), VECTORS, keep=0.25)
    found.save(tmp_path / "small")
    again = ww.load_compressed(tmp_path / "small", factory).eval()
    torch.testing.assert_close(outputs(again, VECTORS), outputs(found.model, VECTORS), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda folder: (folder / "compressed.json").unlink(), "holds no compressed network"),
        (lambda folder: (folder / "compressed.json").write_text("{"), "is damaged"),
        (
            lambda folder: (folder / "compressed.json").write_text('{"format": 0}'),
            "a format that this version does not",
        ),
        (lambda folder: (folder / "network.safetensors").write_bytes(b"1"), "is damaged"),
    ],
)
def test_a_damaged_saved_network_is_refused(tmp_path: Path, harm, sentence: str):
    compress(dense(), VECTORS).save(tmp_path / "small")
    harm(tmp_path / "small")
    with pytest.raises(RequestError, match=sentence):
        ww.load_compressed(tmp_path / "small", dense)


def test_another_class_is_refused(tmp_path: Path):
    compress(dense(), VECTORS).save(tmp_path / "small")
    with pytest.raises(RequestError, match=r"factory: its network has conv1\.weight, conv2\.weight and dense"):
        ww.load_compressed(tmp_path / "small", Residual)
    with pytest.raises(RequestError, match=r"factory: its network has no \d\.(weight|bias)"):
        ww.load_compressed(tmp_path / "small", lambda: nn.Identity())


FILE = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))

def batches():
    return [torch.randn(100, 6, generator=torch.Generator().manual_seed(0))]
"""


def test_what_is_typed(tmp_path: Path):
    (tmp_path / "mine.py").write_text(FILE)
    words = ["compress", f"{tmp_path}/mine.py:build", "--data", f"{tmp_path}/mine.py:batches"]
    done = widthwise(*words, "--keep", "0.5", "--out", tmp_path / "small")
    assert done.returncode == 0
    assert "labels stay, with 95% confidence" in done.stdout
    assert re.search(r"^0 +16 +8 ", done.stdout, re.MULTILINE)
    assert f"The smaller network: {tmp_path / 'small'}" in done.stdout
    assert max(map(len, done.stdout.replace(str(tmp_path), "").splitlines())) <= 80
    again = widthwise(*words, "--out", tmp_path / "small")
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)
    told = json.loads(widthwise(*words, "--json").stdout)
    assert told["layers"][0]["kept"] == 8
    assert sum(row["before"] for row in told["classes"]) == told["comparison"]["labels"] == 20
    assert told["comparison"]["parameters_after"] == 6 * 8 + 8 + 8 * 4 + 4
    curve = widthwise(*words, "--frontier")
    assert (curve.returncode, len(curve.stdout.splitlines())) == (0, 9)
    assert max(map(len, curve.stdout.splitlines())) <= 80
    both = widthwise(*words, "--frontier", "--out", tmp_path / "other")
    assert (both.returncode, both.stderr) == (2, "widthwise: --out: a frontier is of several sizes; leave it out\n")
    wrong = widthwise(*words, "--keep", "2")
    assert (wrong.returncode, wrong.stderr) == (2, "widthwise: --keep: must be above 0 and at most 1, got 2.0\n")


class Signals(nn.Module):
    """Convolutions over time without biases, normalization without parameters, and a weight that is no module's."""

    def __init__(self):
        super().__init__()
        self.one, self.norm1 = nn.Conv1d(4, 8, 5, padding=2), nn.BatchNorm1d(8, affine=False)
        self.two, self.norm2 = nn.Conv1d(8, 8, 3, bias=False), nn.BatchNorm1d(8, affine=False)
        self.activation, self.dense = nn.PReLU(8), nn.Linear(8 * 14, 20)
        self.weight = nn.Parameter(torch.zeros(5, 20))

    def forward(self, signals):
        value = torch.relu(self.norm1(self.one(signals)))
        value = self.activation(self.norm2(self.two(value)))
        return functional.linear(torch.tanh(self.dense(value.flatten(1))), self.weight)


def test_a_new_bias_belongs_to_units_that_go_themselves(tmp_path: Path):
    found = compress(seeded(Signals()), [drawn(3, 200, 4, 16)], keep=0.5)
    assert found.model.two.bias.shape == (4,)
    assert (found.model.activation.num_parameters, found.model.dense.in_features) == (4, 4 * 14)
    assert found.model.weight.shape == (5, 10)
    assert found.comparison["labels_kept"] > 0.6
    found.save(tmp_path / "small")
    again = ww.load_compressed(tmp_path / "small", Signals).eval()
    signals = [drawn(4, 50, 4, 16)]
    torch.testing.assert_close(outputs(again, signals), outputs(found.model, signals), rtol=0, atol=0)


def test_a_transformer_s_feed_forward_and_a_recurrent_network_s_head():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0)
    encoder = seeded(nn.Sequential(nn.Linear(6, 16), nn.TransformerEncoder(layer, 1), nn.Flatten(), nn.Linear(80, 4)))
    found = compress(encoder, [drawn(2, 100, 5, 6)], keep=0.5)
    assert list(found.layers["layer"]) == ["1.layers.0.linear1"]
    assert found.comparison["labels_kept"] > 0.7
    reasons = set(found.left["reason"])
    assert any("unflatten" in reason for reason in reasons), "PyTorch's own attention has its size written into it"


def test_loading_leaves_what_was_not_cut_as_it_was(tmp_path: Path):
    def factory() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 1),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, groups=2),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 4, 2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 4),
        )

    found = compress(seeded(factory()), IMAGES, keep=0.5)
    assert list(found.layers["layer"]) == ["0"]
    found.save(tmp_path / "small")
    again: Any = ww.load_compressed(tmp_path / "small", factory).eval()
    assert repr(again) == repr(found.model)
    torch.testing.assert_close(outputs(again, IMAGES), outputs(found.model, IMAGES), rtol=0, atol=0)


def test_too_few_rows_are_told():
    network = dense(48)
    assert "The fit after 0 is over 16 rows for 48 features" in str(compress(network, [drawn(1, 20, 6)]))
    assert "60 times as many examples" in compress(network, [drawn(1, 20, 6)]).notes()[-1]
    assert not compress(network, [drawn(1, 2000, 6)]).notes()


def test_a_network_that_gives_one_label_alone_is_told():
    network = dense()
    with torch.no_grad():
        network[4].bias[2] = 100
    (note,) = compress(network, [drawn(1, 2000, 6)]).notes()
    assert note.startswith("The smaller network gives one label to 100.0% of the examples")


def test_a_budget_counts_new_biases():
    """Layers without biases get some: they belong to the parameters that there may be."""
    first, second, third = (nn.Linear(*sizes, bias=False) for sizes in ((6, 30), (30, 30), (30, 4)))
    network = seeded(nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third))
    known = compress(network, VECTORS, parameters=0.5).comparison
    assert 0.42 < known["parameters_after"] / known["parameters_before"] <= 0.5


def test_the_smallest_network_that_keeps_a_share_of_labels():
    inputs = [drawn(1, 600, 6)]
    network = with_copies(dense(), 0, 2)
    found = compress(network, inputs, labels=1.0, layers="0")
    assert found.comparison["labels_kept"] > 0.95
    assert found.keep <= 0.5, "copies are not needed"
    fewer = compress(network, inputs, labels=0.8, layers="0")
    assert 0.7 < fewer.comparison["labels_kept"] < 0.95
    assert fewer.keep < found.keep


class Unlike(nn.Module):
    """Two hidden layers of one size, of which one hardly matters: its units are nearly constant to what reads them."""

    def __init__(self):
        super().__init__()
        self.one, self.two = (nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 6)) for _ in range(2))
        self.output = nn.Linear(6, 4)

    def forward(self, value):
        return self.output(value + self.one(value) + self.two(value) / 100)


@pytest.mark.parametrize("size", ["parameters", "flops"])
def test_a_budget_is_spent_where_the_outputs_need_it(size: str):
    network = seeded(Unlike())
    found = compress(network, VECTORS, **{size: 0.6})
    kept = found.layers.set_index("layer")["kept"]
    assert kept["one.0"] > 2 * kept["two.0"]
    even = compress(network, VECTORS, same_width=True, **{size: 0.6})
    assert even.layers["kept"].nunique() == 1
    assert found.comparison["mean_difference"] < even.comparison["mean_difference"] / 2


def test_outputs_without_a_gradient_are_not_weighed():
    def forward(self, value):
        return self.two(torch.relu(self.one(value))).argmax(1)

    network = function(forward, one=nn.Linear(6, 8), two=nn.Linear(8, 4))
    with pytest.raises(RequestError, match=r"^the outputs have no gradient, .* give same_width"):
        compress(network, VECTORS, flops=0.6)
    assert compress(network, VECTORS, flops=0.6, same_width=True).layers.loc[0, "kept"] < 8


def test_the_frontier_is_what_each_share_gives():
    network, inputs = dense(), [drawn(1, 400, 6)]
    curve = ww.frontier(network, inputs, keeps=[0.5, 0.25])
    assert list(curve["keep"]) == [0.25, 0.5, 1]
    assert curve["parameters"].is_monotonic_increasing
    assert curve["flops"].is_monotonic_increasing
    for row in curve.iloc[:2].itertuples():
        known = compress(network, inputs, keep=row.keep).comparison
        assert (row.labels_kept, row.parameters) == (known["labels_kept"], known["parameters_after"])
    assert curve["parameters"].iloc[-1] == sum(parameter.numel() for parameter in network.parameters())
    for name in ("seconds_one", "seconds_batch"):
        assert curve[f"{name}_share"].iloc[-1] == 1
        assert (curve[f"{name}_share"] > 0).all()


class Branches(nn.Module):
    """Units that several layers read, side by side, and two branches that are added."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.one, self.two = nn.Conv2d(12, 6, 1), nn.Conv2d(12, 8, 3, padding=1)
        self.left, self.right = nn.Conv2d(14, 5, 3), nn.Conv2d(14, 7, 3)
        self.up, self.down = nn.Conv2d(5, 6, 1), nn.Conv2d(7, 6, 1)
        self.output = nn.Linear(6, 4)

    def forward(self, images):
        value = torch.relu(self.norm(self.first(images)))
        value = torch.cat([torch.relu(self.one(value)), torch.relu(self.two(value))], 1)
        value = self.up(torch.relu(self.left(value))) + self.down(torch.relu(self.right(value)))
        return self.output(torch.relu(value).mean((2, 3)))


def test_units_that_several_layers_read_and_branches_that_are_added():
    network = seeded(Branches(), 2)
    found = compress(network, IMAGES, keep=0.5)
    readers = found.layers.set_index("layer")["reader"].to_dict()
    assert readers == {
        "first": "one, two",
        "one": "left, right",
        "two": "left, right",
        "left": "up",
        "right": "down",
    }
    assert (found.model.first.out_channels, found.model.one.in_channels, found.model.two.in_channels) == (6, 6, 6)
    assert found.model.left.in_channels == found.model.right.in_channels == 3 + 4
    small, whole = outputs(found.model, IMAGES), outputs(network, IMAGES)
    assert (small - whole).square().mean() < 0.9 * whole.var(0).mean()


class Squeezed(nn.Module):
    """Squeeze-and-excitation: a layer that reads units scales the same units."""

    def __init__(self):
        super().__init__()
        self.first, self.squeeze, self.excite = nn.Conv2d(3, 8, 3), nn.Linear(8, 6), nn.Linear(6, 8)
        self.last, self.output = nn.Conv2d(8, 6, 3), nn.Linear(6, 4)

    def forward(self, images):
        value = torch.relu(self.first(images))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(value.mean((2, 3))))))
        return self.output(torch.relu(self.last(value * gate[:, :, None, None])).mean((2, 3)))


def test_readers_of_the_same_units_may_follow_from_each_other():
    found = compress(seeded(Squeezed()), IMAGES, keep=0.5)
    rows = found.layers.set_index("layer")
    assert rows.loc["first", ["kept", "reader", "coupled"]].tolist() == [4, "squeeze, last", "excite"]
    assert (found.model.first.out_channels, found.model.excite.out_features, found.model.last.in_channels) == (4, 4, 4)
    assert found.comparison["labels_kept"] > 0.4


def test_a_stream_s_units_go_in_all_of_its_layers():
    network = seeded(Residual(), 3)
    with torch.no_grad():  # a unit that is dead in the stream, and one that its readers do not need
        network.norm.weight[1], network.norm.bias[1] = 0, -1
        network.norm2.weight[1], network.norm2.bias[1] = 0, -1
        network.conv1.weight[:, 4], network.last.weight[:, 4] = 0, 0
    found = compress(network, IMAGES, keep=4 / 6, stream=True, layers="stem")
    (row,) = found.layers.to_dict("records")
    assert (row["coupled"], row["reader"], row["kept"]) == ("conv2", "conv1, last", 4)
    assert set(found.units.query("not kept")["unit"]) == {1, 4}
    assert (found.model.stem.out_channels, found.model.norm2.num_features, found.model.conv2.out_channels) == (4, 4, 4)
    torch.testing.assert_close(outputs(found.model, IMAGES), outputs(network, IMAGES), rtol=1e-3, atol=1e-3)
    half = compress(network, IMAGES, keep=0.5, stream=True)
    assert half.model.stem.out_channels == 3
    assert half.comparison["labels_kept"] > 0.4


def test_units_that_meet_at_different_indices_stay():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.output = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 4)

        def forward(self, value):
            one, two = torch.relu(self.one(value)), torch.relu(self.two(value))
            return self.output(one + two + two.flip(1))

    with pytest.raises(RequestError, match="nothing to make smaller"):
        compress(seeded(Shifted()), VECTORS, stream=True)


class Projected(nn.Module):
    """A block whose shortcut is a convolution that reads the same units as the block does."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv1, self.norm1 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 10, 3, padding=1), nn.BatchNorm2d(10)
        self.shortcut, self.norm3 = nn.Conv2d(6, 10, 1), nn.BatchNorm2d(10)
        self.output = nn.Linear(10, 4)

    def forward(self, images):
        value = torch.relu(self.stem(images))
        inner = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(value)))))
        value = torch.relu(inner + self.norm3(self.shortcut(value)))
        return self.output(value.mean((2, 3)))


@pytest.mark.parametrize("stream", [False, True])
def test_a_shortcut_s_convolution_is_fitted_in_its_turn(stream: bool):
    """Whatever waits for what, the smaller network gives what was fitted; `compress` sees to it."""
    found = compress(seeded(Projected(), 1), IMAGES, keep=0.5, stream=stream)
    assert found.layers.set_index("layer").loc["stem", "reader"] == "conv1, shortcut"
    assert ("conv2" in set(found.layers["layer"])) == stream
    assert found.comparison["labels_kept"] > 0.4


def function(forward, **parts) -> Any:
    """A network of some modules or parameters and a function of them and the input."""

    class Made(nn.Module):
        def __init__(self):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, value):
            return forward(self, value)

    return seeded(Made())


def test_a_bias_or_normalization_of_two_layers_is_no_place_for_the_bias_of_one():
    def forward(self, value):
        one = self.norm(self.one2(torch.relu(self.one(value))))
        two = self.norm(self.two2(torch.relu(self.two(3 * value + 1))))
        return self.output(torch.cat([torch.relu(one), torch.relu(two)], 1))

    layers = {"one": nn.Linear(6, 16), "two": nn.Linear(6, 16), "one2": nn.Linear(16, 8), "two2": nn.Linear(16, 8)}
    network = function(forward, **layers, norm=nn.BatchNorm1d(8), output=nn.Linear(16, 4))
    found = compress(network, [drawn(1, 800, 6)], keep=0.5, layers=["one", "two"])
    assert torch.equal(found.model.norm.bias, network.norm.bias)
    for name in ("one2", "two2"):
        assert not torch.equal(getattr(found.model, name).bias, getattr(network, name).bias)


def test_every_output_keeps_its_units():
    def forward(self, value):
        hidden = torch.relu(self.one(value))
        return {"logits": self.two(hidden), "features": hidden}

    with pytest.raises(RequestError, match="all units stay of one, since its units are the network's outputs"):
        compress(function(forward, one=nn.Linear(6, 8), two=nn.Linear(8, 4)), VECTORS)


def test_inputs_that_are_not_numbers_are_refused():
    for value in (torch.nan, torch.inf):
        inputs = VECTORS[0].clone()
        inputs[3, 2] = value
        with pytest.raises(RequestError, match=r"holds? (NaN|NaN or infinite values); check"):
            compress(dense(), [inputs])


def test_labels_that_are_none_are_not_kept():
    found = compress(dense(), VECTORS, check=[torch.full((50, 6), torch.nan)])
    assert found.comparison["labels_kept"] == 0


def test_infinite_scores_are_compared():
    def forward(self, value):
        return self.two(torch.relu(self.one(value))).masked_fill(torch.tensor([False, False, False, True]), -torch.inf)

    found = compress(function(forward, one=nn.Linear(6, 16), two=nn.Linear(16, 4)), VECTORS)
    assert 0 < found.comparison["largest_difference"] < 10


def test_examples_are_held_back_from_all_of_the_data():
    """Examples may be sorted by their classes."""
    inputs = [torch.full((40, 6), float(number)) + drawn(number, 40, 6) for number in range(5)]
    network = dense()
    found = compress(network, [torch.cat(inputs)], batch_size=40)
    assert found.comparison["labels"] == 40
    assert found.comparison["batch"] == 8


def test_layers_that_are_functions_are_told_apart():
    def forward(self, value):
        value = torch.relu(functional.linear(value, self.one))
        return functional.linear(torch.relu(functional.linear(value, self.two)), self.three)

    weights = {"one": (12, 6), "two": (10, 12), "three": (4, 10)}
    parts = {name: nn.Parameter(torch.zeros(shape)) for name, shape in weights.items()}
    found = compress(function(forward, **parts), VECTORS, keep=0.5)
    assert list(found.layers["layer"]) == ["linear", "linear:2"]
    assert found.model.two.shape == (5, 6)


def test_labels_of_a_single_output():
    network = seeded(nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1)))
    found = compress(network, VECTORS, predict=lambda output: output[:, 0] > 0)
    assert found.comparison["labels_kept"] > 0.8


def test_the_scale_of_a_unit_does_not_matter():
    network, scaled = dense(), dense()
    with torch.no_grad():
        scaled[0].weight[0] *= 1e4
        scaled[0].bias[0] *= 1e4
        scaled[2].weight[:, 0] /= 1e4
    one, other = (compress(each, VECTORS, keep=0.5, layers="0") for each in (network, scaled))
    assert list(one.units["kept"]) == list(other.units["kept"])
    torch.testing.assert_close(outputs(one.model, VECTORS), outputs(other.model, VECTORS), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, value: self.two(torch.relu(self.one(value)).view(len(value), 2, -1).transpose(1, 2).flatten(1)),
        lambda self, value: self.two((lambda hidden: hidden / hidden.shape[1] ** 0.5)(torch.relu(self.one(value)))),
        lambda self, value: self.two(torch.relu(self.one(value)).roll(3, 1)),
    ],
)
def test_code_that_depends_on_the_number_of_units_leaves_them_whole(forward):
    """A shuffle of channels, a scale by their number, a roll: they run with fewer units, and give something else."""
    layers = {"one": nn.Linear(6, 8), "two": nn.Linear(8, 12), "three": nn.Linear(12, 4)}
    network = function(lambda self, value: self.three(torch.relu(forward(self, value))), **layers)
    found = compress(network, VECTORS, keep=0.5)
    assert found.left.set_index("layer")["reason"]["one"].startswith("without some of its units the network")
    assert found.model.two.out_features == 6


def test_a_size_that_only_some_shares_fit():
    def forward(self, value):
        hidden = torch.relu(self.one(value))
        return self.two(hidden.view(len(hidden), -1, 4).flatten(1))

    network = function(forward, one=nn.Linear(6, 40), two=nn.Linear(40, 4), more=nn.Linear(4, 4))
    with pytest.raises(RequestError, match="without some of its units the network fails"):
        compress(network, VECTORS, keep=0.3)


def test_both_names_of_a_parameter_change():
    network = function(
        lambda self, value: self.two(torch.relu(self.one(value))), one=nn.Linear(6, 16), two=nn.Linear(16, 4)
    )
    network.bias, network.weight = network.two.bias, network.one.weight
    found = compress(network, VECTORS, keep=0.5)
    assert found.model.bias is found.model.two.bias
    assert found.model.weight is found.model.one.weight


def test_what_the_runs_note_in_a_network_is_not_in_the_smaller_one():
    def forward(self, value):
        self.calls += 1
        self.last = torch.relu(self.one(value))
        return self.two(self.last)

    network = function(forward, one=nn.Linear(6, 16), two=nn.Linear(16, 4))
    network.register_buffer("calls", torch.zeros((), dtype=torch.long))
    found = compress(network, VECTORS)
    assert int(found.model.calls) == 0
    assert not hasattr(found.model, "last")


def test_layers_that_did_not_run_and_products_of_other_kinds_are_named():
    def forward(self, value):
        value = torch.einsum("bi,io->bo", torch.relu(self.one(value)), self.weight) + self.bias
        return self.extra(value) if self.training else self.two(torch.relu(value))

    layers = {"one": nn.Linear(6, 16), "two": nn.Linear(8, 10), "three": nn.Linear(10, 4), "extra": nn.Linear(8, 3)}
    parameters = {"bias": nn.Parameter(torch.zeros(8)), "weight": nn.Parameter(torch.zeros(16, 8))}
    network = function(lambda self, value: self.three(torch.relu(forward(self, value))), **layers, **parameters)
    found = compress(network, VECTORS)
    reasons = found.left.set_index("layer")["reason"]
    assert reasons["einsum"] == "its weight is used by einsum"
    assert reasons["extra"].startswith("the network did not run it")


def test_a_partner_is_a_layer_that_can_be_chosen():
    found = compress(seeded(Gated()), [drawn(2, 60, 5, 6)], layers="up")
    assert found.layers.loc[0, ["layer", "coupled"]].tolist() == ["gate", "up"]


def test_a_network_that_computes_in_another_precision_by_itself():
    def forward(self, value):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.two(torch.relu(self.one(value))).float()

    with pytest.raises(RequestError, match="in another precision by itself"):
        compress(function(forward, one=nn.Linear(6, 64), two=nn.Linear(64, 4)), VECTORS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keeps": []}, "keeps: is empty"),
        ({"keeps": [2.0]}, "keeps: must be above 0 and at most 1, got 2.0"),
        ({"check": []}, "check: "),
        ({"layers": []}, "layers: is empty"),
    ],
)
def test_a_frontier_that_cannot_be_found(options: dict[str, Any], sentence: str):
    frontier: Any = ww.frontier
    with pytest.raises(RequestError, match=sentence):
        frontier(dense(), VECTORS, **options)


@pytest.mark.parametrize("budget", ["parameters", "flops"])
@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_a_budget_is_used_and_not_exceeded(budget: str, share: float):
    network = dense(40)
    found = compress(network, VECTORS, **{budget: share})
    used = found.comparison[f"{budget}_after"] / found.comparison[f"{budget}_before"]
    assert share - 0.06 < used <= share
    more = compress(network, VECTORS, keep=min(found.keep + 1 / 40, 1.0)).comparison
    assert share == 1 or more[f"{budget}_after"] / more[f"{budget}_before"] >= share


def test_widths_that_are_multiples():
    found = compress(seeded(Residual(inner=20)), IMAGES, keep=0.45, round_to=4)
    assert found.layers.set_index("layer")["kept"].to_dict() == {"conv1": 12, "last": 4, "dense": 4}


def test_a_plan_is_what_compress_does():
    plan = ww.compression_plan(dense(), VECTORS, keep=0.25, layers="2")
    found = compress(dense(), VECTORS, keep=0.25, layers="2")
    assert plan.layers.to_dict("list") == {"layer": ["2"], "units": [24], "kept": [6], "reader": ["4"], "coupled": [""]}
    sizes = ["parameters_before", "parameters_after", "flops_before", "flops_after"]
    assert plan.sizes[sizes].tolist() == found.comparison[sizes].tolist()
    assert ww.compression_plan(dense(), VECTORS, flops=0.5).sizes["flops_after"] <= plan.sizes["flops_before"] / 2
    assert plan.left.equals(found.left)


def test_a_plan_is_shown(tmp_path: Path):
    (tmp_path / "net.py").write_text(
        "from tests.compression.test_compress import VECTORS, dense\n\nbatches = VECTORS.copy\n"
    )
    words = ["compress", f"{tmp_path}/net.py:dense", "--data", f"{tmp_path}/net.py:batches", "--plan"]
    shown = widthwise(*words, "--parameters", "0.5", "--same-width")
    assert re.search(r"^0 +24 +\d+ +2 *$", shown.stdout, re.MULTILINE), shown.stdout + shown.stderr
    assert "its units are the network's outputs" in shown.stdout
    assert json.loads(widthwise(*words, "--json").stdout)["layers"][0]["kept"] == 12
    for option in (["--labels", "0.9"], ["--out", f"{tmp_path}/small"], ["--frontier"]):
        refused = widthwise(*words, *option)
        assert refused.returncode == 2
        assert "takes a fit" in refused.stderr


@pytest.mark.parametrize("times", [3, 4])
def test_of_many_copies_one_stays(times: int):
    network = seeded(nn.Sequential(nn.Linear(6, 8 * times), nn.Tanh(), nn.Linear(8 * times, 4)))
    with torch.no_grad():
        for layer in (network[0].weight, network[0].bias):
            layer.copy_(layer[:8].repeat_interleave(times, 0))
    found = compress(network, VECTORS, keep=1 / times)
    kept = found.units.loc[found.units["kept"], "unit"]
    assert sorted(kept // times) == list(range(8))
    torch.testing.assert_close(outputs(found.model, VECTORS), outputs(network, VECTORS), rtol=1e-4, atol=1e-4)


def test_a_unit_s_offset_does_not_matter():
    network = seeded(nn.Sequential(nn.Linear(6, 24), nn.Identity(), nn.Tanh(), Shift(0.0), nn.Linear(24, 4)))
    shifted = copy.deepcopy(network)
    with torch.no_grad():
        shifted[3].by.fill_(30.0)
        shifted[4].bias -= 30 * shifted[4].weight.sum(1)
    one, other = (compress(each, VECTORS, keep=0.5) for each in (network, shifted))
    assert other.layers.loc[0, "error"] == pytest.approx(one.layers.loc[0, "error"], rel=0.2)


class Shift(nn.Module):
    def __init__(self, by: float):
        super().__init__()
        self.by = nn.Parameter(torch.full((24,), by))

    def forward(self, value):
        return value + self.by


def test_padding_of_pixels_is_no_unit():
    network = seeded(
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ZeroPad2d(1), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(216, 4)
        )
    )
    assert compress(network, IMAGES, keep=0.5).model[3].in_channels == 4


def test_a_view_of_a_parameter_and_a_mean_over_examples():
    def forward(self, value):
        hidden = torch.relu(self.one(value))
        self.seen = self.seen * 0.9 + 0.1 * hidden.mean(0)
        return self.two(hidden) + self.last(self.start.expand(len(value), 4)) + self.four(torch.relu(self.three(value)))

    layers = {"one": nn.Linear(6, 8), "two": nn.Linear(8, 4), "three": nn.Linear(6, 8), "four": nn.Linear(8, 4)}
    parts = {"last": nn.LayerNorm(4), "start": nn.Parameter(torch.ones(1, 4)), "seen": torch.zeros(8)}
    found = compress(function(forward, **layers, **parts), VECTORS)
    assert "three" in set(found.layers["layer"])


@pytest.mark.parametrize("share", [0.99, 0.75])
def test_a_budget_leaves_little_room(share: float):
    found = compress(dense(), VECTORS, parameters=share)
    assert share - 0.03 < found.comparison["parameters_after"] / found.comparison["parameters_before"] <= share
