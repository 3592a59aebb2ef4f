"""The networks of Section 2.3 compute what the small network computes, and are built as the paper says."""

import pytest
import torch

from widthwise.errors import RequestError
from widthwise.experiments.settings import validated
from widthwise.experiments.trial import Trial
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


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"name": "resnet56"}, "construction is for the network mlp, not resnet56"),
        ({"hidden_layers": 2}, "hidden_layers 1 and network.activation relu, not 2 and relu"),
        ({"activation": "tanh"}, "hidden_layers 1 and network.activation relu, not 1 and tanh"),
    ],
)
def test_networks_without_one_hidden_relu_layer_are_refused(network: dict, said: str):
    data = {"name": "cifar10" if "name" in network else "teacher"}
    validated(Trial, {"network": network, "data": data}, "test")
    with pytest.raises(RequestError, match=said):
        validated(Trial, {"network": network, "data": data, "construction": "both"}, "test")
