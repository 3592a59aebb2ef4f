"""What must hold of the measures in any network."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement

NETWORKS = st.fixed_dictionaries(
    {"units": st.integers(2, 9), "convolutional": st.booleans(), "seed": st.integers(0, 10**6)}
)
SINGLE = Measurement(single_units=True)
FEW = settings(max_examples=15, deadline=None)


def network(units: int, convolutional: bool, seed: int) -> tuple[nn.Sequential, list[Tensor]]:
    """A random network of one layer of `units`, and inputs for it."""
    torch.manual_seed(seed)
    if convolutional:
        head = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(units, 3)]
        return nn.Sequential(nn.Conv2d(2, units, 3), *head), list(torch.randn(30, 2, 5, 5).split(20))
    return nn.Sequential(nn.Linear(4, units), nn.ReLU(), nn.Linear(units, 3)), list(torch.randn(60, 4).split(40))


@FEW
@given(drawn=NETWORKS, granularity=st.sampled_from(["application", "channel"]))
def test_what_the_output_ignores_is_removable(drawn: dict, granularity: str):
    model, batches = network(**drawn)
    nn.init.zeros_(model[-1].weight)  # type: ignore[arg-type]
    measured = profile(model, batches, settings=Measurement(granularity=granularity, single_units=True))  # type: ignore[arg-type]
    assert measured.layers[["auc", "auc_corrected"]].to_numpy().tolist() == [[1.0, 1.0]]
    assert set(measured.units["mechanism"]) <= {"dead", "disconnected"}


def changed(model: nn.Sequential, units: Sequence[int], scale: Tensor | float = 1.0) -> nn.Sequential:
    """The network with these of its units, in this order, their activity scaled; its output stays if all are there."""
    first, last = model[0], model[-1]
    assert isinstance(first, (nn.Linear, nn.Conv2d))
    assert isinstance(last, nn.Linear)
    assert first.bias is not None
    index = torch.tensor(list(units))
    scales = torch.as_tensor(scale).expand(len(index))
    if isinstance(first, nn.Linear):
        made = nn.Linear(first.in_features, len(index))
    else:
        made = nn.Conv2d(first.in_channels, len(index), 3)
    made.weight.data = first.weight.data[index] * scales.view(-1, *[1] * (first.weight.dim() - 1))
    made.bias.data = first.bias.data[index] * scales
    head = nn.Linear(len(index), last.out_features)
    counts = torch.bincount(index)[index]
    head.weight.data = last.weight.data[:, index] / scales / counts
    head.bias.data = last.bias.data
    return nn.Sequential(made, *model[1:-1], head)


@FEW
@given(drawn=NETWORKS)
def test_a_second_copy_of_every_unit_doubles_and_adds_one_to_the_similar_units(drawn: dict):
    model, batches = network(**drawn)
    units = list(range(drawn["units"]))
    once, twice = profile(model, batches), profile(changed(model, units + units), batches)
    varying = 1 - once.layers["dead_fraction"]
    assert twice.layers["dead_fraction"].tolist() == once.layers["dead_fraction"].tolist()
    assert twice.layers["similarity"].to_numpy() == pytest.approx(2 * once.layers["similarity"] + varying)


@FEW
@given(drawn=NETWORKS, order=st.randoms(use_true_random=False))
def test_the_order_of_units_changes_nothing(drawn: dict, order):
    model, batches = network(**drawn)
    units = list(range(drawn["units"]))
    order.shuffle(units)
    one = profile(model, batches, settings=SINGLE)
    other = profile(changed(model, units), batches, settings=SINGLE)
    measures = ["similarity", "similarity_std", "dead_fraction"]
    np.testing.assert_allclose(one.layers[measures], other.layers[measures])
    ends = [curves.ablation.query("share_dropped in (0, 1)")["unchanged"].tolist() for curves in (one, other)]
    assert ends[0] == ends[1]
    moved = one.units.loc[units].reset_index(drop=True)
    same = ["constant", "active_share", "similar_units", "unchanged_alone"]
    np.testing.assert_allclose(moved[same].astype(float), other.units[same].astype(float))
    np.testing.assert_allclose(moved["r"].abs().astype(float), other.units["r"].abs().astype(float), atol=1e-5)


@FEW
@given(drawn=NETWORKS, power=st.integers(-8, 8))
def test_the_scale_of_a_unit_changes_no_correlation(drawn: dict, power: int):
    model, batches = network(**drawn)
    scale = torch.ones(drawn["units"])
    scale[0] = 2.0**power  # rounds nothing
    one, other = (profile(each, batches) for each in (model, changed(model, range(drawn["units"]), scale)))
    assert one.correlation.equals(other.correlation)
    with_scale = ["redundancy_pca", "dormant_share"]  # variance and mean activity have the unit's scale
    one_layer, other_layer = (each.layers.drop(columns=with_scale) for each in (one, other))
    assert one_layer.equals(other_layer)
    assert one.pairs[["unit", "other", "r"]].equals(other.pairs[["unit", "other", "r"]])
