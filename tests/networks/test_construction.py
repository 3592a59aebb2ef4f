"""The networks of Section 2.3 compute what the small network computes, and are built as the paper says."""

import pytest
import torch

from widthwise.networks.construction import construct
from widthwise.networks.mlp import MLP

INPUTS = torch.randn(400, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def small() -> MLP:
    torch.manual_seed(0)
    return MLP(10, 2, width_factor=8 / 128)


@pytest.mark.parametrize("construction", ["both", "removable", "repeated", "dead"])
@torch.no_grad()
def test_a_construction_is_twice_as_wide_and_computes_the_same(small: MLP, construction):
    wide = construct(small, construction, INPUTS, seed=0)
    assert wide.linear.out_features == 16
    difference = (wide(INPUTS) - small(INPUTS)).abs().max() / small(INPUTS).abs().max()
    assert difference < 1e-4


@torch.no_grad()
def test_added_units_are_what_they_are_called(small: MLP):
    def hidden(construction):
        return construct(small, construction, INPUTS, seed=0).hidden(INPUTS).double()

    assert torch.equal(hidden("both")[:, 8:], hidden("both")[:, :8])
    assert torch.equal(hidden("repeated")[:, 8:], hidden("repeated")[:, :8])
    assert not hidden("dead")[:, 8:].any()
    correlations = torch.corrcoef(hidden("removable").T).abs().fill_diagonal_(0)
    assert correlations[8:].max() < 0.4


@torch.no_grad()
def test_dropping_a_split_copy_moves_the_two_outputs_apart(small: MLP):
    wide = construct(small, "repeated", INPUTS, seed=0)
    offset = wide.output.weight[:, :8] - wide.output.weight[:, 8:]
    assert (offset[0] > 0).all()
    assert (offset[1] < 0).all()


def test_too_many_units_for_the_dimensions_are_refused():
    with pytest.raises(RuntimeError, match="use a smaller width factor or more dimensions"):
        construct(MLP(1, 2, 0.25), "removable", INPUTS[:, :1], seed=0)
