"""What a network can do without, layer by layer, and the examples that say so."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import widthwise as ww
from tests.compression.test_compress import IMAGES, VECTORS, Residual, dense, drawn, seeded
from widthwise.compression.examples import as_batches, parted
from widthwise.compression.layer_sizes import layer_sizes
from widthwise.errors import RequestError
from widthwise.tracing.inputs import Inputs

what_can_go: Any = ww.what_can_go


def test_it_is_what_compress_finds_for_that_share_of_labels():
    network = dense(12)
    found = what_can_go(network, VECTORS, labels=[0.9]).set_index("layer")
    fit, compare = (as_batches(each) for each in parted(network, VECTORS))
    other = ww.compress(network, fit, labels=0.9, check=compare)
    assert found.loc[other.layers["layer"], "units_after"].tolist() == other.layers["kept"].tolist()
    whole = found.loc[""]
    for size in ("parameters", "flops"):
        assert whole[f"{size}_after"] == other.comparison[f"{size}_after"] < whole[f"{size}_before"]
    assert whole["labels_kept"] == other.comparison["labels_kept"] > 0.6
    assert whole["compared"] == 40
    assert (whole["units_before"], whole["units_after"]) == (28, other.layers["kept"].sum() + 4)


def test_the_sizes_of_the_layers_add_up():
    network = seeded(Residual())
    found = what_can_go(network, IMAGES, labels=[0.5])
    whole, layers = found.iloc[0], found.iloc[1:].set_index("layer")
    assert list(layers.index) == ["stem", "conv1", "conv2", "last", "dense", "output"], "in the network's order"
    norms = sum(each.weight.numel() * 2 for each in (network.norm, network.norm1, network.norm2))
    assert layers["parameters_before"].sum() + norms == whole["parameters_before"]
    assert layers["flops_before"].sum() == whole["flops_before"]
    assert layers.loc["conv1", "parameters_before"] == 6 * 8 * 9
    assert layers.loc["conv1", "flops_before"] == 2 * 8 * 8 * 6 * 8 * 9
    kept = layers.loc["conv1", "units_after"]
    assert kept < 8
    assert layers.loc["conv1", "flops_after"] == 2 * 8 * 8 * 6 * kept * 9
    assert layers.loc["stem", "units_after"] == layers.loc["stem", "units_before"] == 6


class Loose(nn.Module):
    """Layers in a list, which is never called, and one that is a function."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 8))])
        self.weight = nn.Parameter(torch.ones(5, 8))

    def forward(self, value):
        for block in self.blocks:
            value = block(value)
        return functional.linear(value, self.weight)


def test_the_sizes_of_modules_are_their_own():
    sizes = layer_sizes(Loose().eval(), Inputs((drawn(1, 3, 4),), {}), None)
    assert sizes == {"": (40, 2 * 3 * 40), "blocks.0": (20, 2 * 3 * 16), "blocks.1.0": (40, 2 * 3 * 32)}


def test_some_examples_of_every_batch_are_fitted_on_and_others_compared_on():
    batches = [torch.arange(first, first + 96.0)[:, None].expand(96, 6).contiguous() for first in (0, 96)]
    fit, compare = parted(dense(), batches, None, 60, 90)
    numbers = [torch.cat([each.tensors[0][:, 0] for each in part]) for part in (fit, compare)]
    assert [torch.histc(each, 3, 0, 192).tolist() for each in numbers] == [[20] * 3, [30] * 3], "64 at a time"
    assert not {*numbers[0].tolist()} & {*numbers[1].tolist()}
    fit, compare = parted(dense(), batches)
    assert [sum(each.examples for each in part) for part in (fit, compare)] == [154, 38]


def test_of_batches_that_cannot_be_cut_the_last_is_compared_on():
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(6, 12), nn.Linear(12, 3)

        def forward(self, value):
            return self.two(torch.relu(self.one(value - value.mean(0))))

    batches = [drawn(number, 20, 6) for number in range(3)]
    fit, compare = parted(seeded(Centred()), batches)
    assert [torch.equal(each.tensors[0], one) for each, one in zip([*fit, *compare], batches, strict=True)] == [
        True
    ] * 3
    assert len(compare) == 1
    with pytest.raises(RequestError, match="there are 20 examples, too few"):
        parted(seeded(Centred()), batches[:1])


def test_batches_of_several_arguments_stay_what_they_are():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(6, 12), nn.Linear(12, 3)

        def forward(self, value, other):
            return self.two(torch.relu(self.one(value + other)))

    network = seeded(Two())
    found = what_can_go(network, [((drawn(1, 60, 6), drawn(2, 60, 6)), None)], labels=[0.3])
    assert found.loc[1, "units_after"] < 12


@pytest.mark.parametrize(
    ("batches", "options", "sentence"),
    [
        (VECTORS, {"labels": []}, "labels: is empty"),
        (VECTORS, {"labels": [1.5]}, "labels: must be above 0 and at most 1, got 1.5"),
        ([drawn(1, 5, 6)], {}, "batches: there are 5 examples, too few"),
        ([], {}, "batches is empty"),
    ],
)
def test_what_cannot_be_found(batches: Any, options: dict[str, Any], sentence: str):
    with pytest.raises(RequestError, match=sentence):
        what_can_go(dense(), batches, **options)


def test_a_network_of_which_nothing_can_go():
    with pytest.raises(RequestError, match="there is nothing to make smaller"):
        what_can_go(seeded(nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4))), VECTORS)
