"""The smallest network that keeps most labels is the same whatever the width, and small shares are exact, too."""

import pytest
import torch
from torch import nn

from widthwise.compression.smallest import smallest
from widthwise.errors import RequestError

STREAM = torch.Generator().manual_seed(0)
BATCHES = [torch.randn(200, 6, generator=STREAM) for _ in range(3)]
CHECK = [torch.randn(150, 6, generator=STREAM)]


def dense(units: int) -> nn.Sequential:
    """A random network with 6 inputs, `units` hidden ones and 4 labels."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, units), nn.ReLU(), nn.Linear(units, 4))


def widened(network: nn.Sequential, copies: int) -> nn.Sequential:
    """Nearly the same function: each unit as several that differ by a hundredth, which share its outgoing weights."""
    first, last = network[0], network[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    units = copies * first.out_features
    wide, tall = nn.Linear(6, units), nn.Linear(units, 4)
    with torch.no_grad():
        wide.weight.copy_(first.weight.repeat(copies, 1) * (1 + 0.01 * torch.randn(units, 6)))
        wide.bias.copy_(first.bias.repeat(copies))
        tall.weight.copy_(last.weight.repeat(1, copies) / copies)
        tall.bias.copy_(last.bias)
    return nn.Sequential(wide, nn.ReLU(), tall)


def test_a_network_that_is_wider_by_copies_compresses_to_the_same_size():
    narrow = dense(16)
    small, wide = (smallest(each, BATCHES, CHECK) for each in (narrow, widened(narrow, 20)))
    assert small.parameters < 16 * 11 + 4
    assert (small.parameters - 4) % 11 == 0, "whole units of 6 + 1 + 4 parameters"
    assert abs(wide.parameters - small.parameters) <= 11, "to a unit, of which the wide one has 320"
    assert wide.labels_kept == pytest.approx(small.labels_kept, abs=0.03)
    assert 0.9 < small.labels_kept < 1


def test_more_labels_take_more_parameters_up_to_the_whole_network():
    network = dense(12)
    few, most, all_of_them = (smallest(network, BATCHES, CHECK, labels=share) for share in (0.6, 0.9, 1.0))
    assert few.parameters < most.parameters < all_of_them.parameters == 12 * 11 + 4
    assert few.labels_kept < most.labels_kept < all_of_them.labels_kept == 1


def test_the_network_is_left_as_it_was():
    network = dense(12).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    smallest(network, BATCHES, CHECK)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_of_which_nothing_can_go_is_refused():
    network = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4))
    with pytest.raises(RequestError, match="there is nothing to make smaller"):
        smallest(network, BATCHES, CHECK)
