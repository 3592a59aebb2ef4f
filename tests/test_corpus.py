"""The comparison of both ways of running, on networks of our own; the public ones are not installed for tests."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.corpus import Line, compare, label_of_each_output, measure
from benchmarks.public_networks import TIMM, TIMM_SIZED, TORCHVISION, carry_signal
from torch import Tensor, nn

from widthwise.measurement.profile import profile


class Switched(nn.Module):
    """A block with a scale of 0, as many networks have when they are new."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 6))
        self.scale = nn.Parameter(torch.zeros(6))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.scale * self.block(inputs)


def test_the_docs_name_every_network():
    page = (Path(__file__).parents[1] / "docs" / "measuring.md").read_text(encoding="utf-8")
    assert [name for name in (*TORCHVISION, *TIMM, *TIMM_SIZED) if f"`{name}`" not in page] == []
    assert len({*TORCHVISION, *TIMM, *TIMM_SIZED}) == len(TORCHVISION) + len(TIMM) + len(TIMM_SIZED) >= 40


def test_a_block_that_is_switched_off_acts_once_the_network_carries_a_signal():
    torch.manual_seed(0)
    model, inputs = Switched().eval(), torch.randn(5, 6)
    assert torch.equal(model(inputs), inputs)
    carry_signal(model, inputs)
    assert (model(inputs) - inputs).abs().mean() > 0.1
    hidden = model.block[1](model.block[0](inputs))
    torch.testing.assert_close(model.block[2].running_mean, hidden.mean(0))
    torch.testing.assert_close(model.block[2].running_var, hidden.var(0))


def test_a_network_is_measured_in_both_ways():
    line = Line("switched")
    measure(line, Switched, (6,), count=3)
    assert (line.layers, line.left_out, line.replayed, line.differ, line.unequal) == (1, [], True, 0, [])
    assert line.labels == 2 * 4 * 6  # two ablations, four examples, six outputs
    assert 0 < line.changed < 1
    assert line.passes


@pytest.mark.parametrize("labels", [1, 2])
def test_a_label_that_differs_is_counted(labels: int):
    torch.manual_seed(0)
    one = profile(Switched(), [torch.randn(4, 6)], predict=label_of_each_output)
    ablation = one.ablation.copy()
    ablation.loc[3, "unchanged"] -= labels / (4 * 6)
    line = Line("switched")
    compare(line, one, replace(one, ablation=ablation))
    assert (line.differ, line.unequal, line.passes) == (labels, ["ablation"], False)


def test_a_failure_is_a_line_of_its_own():
    line = Line("unmeasured", problem="no label")
    assert line.text() == "unmeasured: no label"
    assert not line.passes
