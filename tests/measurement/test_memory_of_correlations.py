"""Correlations of layers that do not fit into memory together are gathered in several passes."""

import pytest
import torch
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.correlation import RunningCorrelation, products_bytes
from widthwise.measurement.memory import free_memory, memory_needed, passes_of_layers
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.progress import Progress
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network

UNITS = (6, 20, 8, 30, 5)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    before = 4
    for units in UNITS:
        parts += [nn.Linear(before, units), nn.ReLU()]
        before = units
    return nn.Sequential(*parts, nn.Linear(before, 3))


def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(40, 4)


def layers() -> list[Layer]:
    return Network(network().eval(), Inputs((inputs(),), {})).layers


SETTINGS = [
    Measurement(levels=3),
    Measurement(levels=2, activations=25, samplings=2),
    Measurement(levels=2, single_units=True, replacement="mean"),
    Measurement(precision=0.1),
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("memory", [1, 8 * 20 * 20, 8 * 20 * 20 + 8 * 8 * 8])
def test_several_passes_give_the_numbers_of_one(settings: Measurement, memory: int):
    one = profile(network(), [inputs()], settings=settings, batch_size=16)
    several = profile(network(), [inputs()], settings=settings, batch_size=16, memory=memory)
    assert several == one


@pytest.mark.parametrize(("memory", "passes"), [(1, 5), (8 * 30 * 30, 3), (8 * 2000, 1)])
def test_a_pass_is_made_for_as_many_layers_as_fit(memory: int, passes: int):
    model, batches = network(), []
    model[-1].register_forward_hook(lambda *_: batches.append(None))
    seen: list[Progress] = []
    profile(model, [inputs()], settings=Measurement(levels=2), batch_size=20, memory=memory, on_progress=seen.append)
    assert (seen[-1].done, seen[-1].total) == (40 * passes, 40 * passes)


def test_the_memory_of_correlations_is_known_beforehand():
    found = memory_needed(layers(), Measurement(activations=None), [None] * 5)
    assert found == [8 * units * units for units in UNITS]
    sampled = memory_needed(layers(), Measurement(samplings=3), [None, 50_000, 50_001, 10, None])
    assert [mine // one for mine, one in zip(sampled, found, strict=True)] == [3, 1, 3, 1, 3]


@pytest.mark.parametrize("units", [1, 100, 1000, 4096])
def test_about_half_of_a_large_symmetric_matrix_is_kept(units: int):
    kept = sum(value.numel() * 8 for name, value in RunningCorrelation(units).state_dict().items() if "prod" in name)
    assert kept == products_bytes(units) <= 8 * units * units
    if units >= 4096:
        assert kept < 0.54 * 8 * units * units


def test_devices_are_filled_each_by_itself():
    one, other = torch.device("cpu"), torch.device("meta")
    found = passes_of_layers(layers(), [3, 3, 3, 3, 9], [one, one, other, other, one], 6)
    assert [[layer.units for layer in group] for group in found] == [[6, 20, 8, 30], [5]]


def test_half_of_what_is_free_may_be_taken():
    total = torch.iinfo(torch.long).max
    assert 0 < free_memory(torch.device("cpu")) < total
    assert len(passes_of_layers(layers(), [1 << 20] * 5, [torch.device("cpu")] * 5, None)) == 1
    assert len(passes_of_layers(layers(), [1 << 60] * 5, [torch.device("cpu")] * 5, None)) == 5


def test_a_part_needs_all_correlations_at_once():
    with pytest.raises(RequestError, match="memory: the correlations of these layers do not fit into memory together"):
        profile(network(), [inputs()], memory=1, part=(1, 2))
