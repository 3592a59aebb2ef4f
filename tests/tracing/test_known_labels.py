"""Labels without all units are found once, where a batch's replay takes nothing from it but the layer's value."""

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network


class Residual(nn.Module):
    """What follows the activation depends on the inputs, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inside, self.act, self.head = nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(inputs + self.act(self.inside(inputs)))


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)).eval()


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the layers that were replayed from."""
    names: list[str] = []
    replay = Network.replay
    monkeypatch.setattr(
        Network, "replay", lambda self, run, layer, value: names.append(layer.name) or replay(self, run, layer, value)
    )
    return names


@pytest.mark.parametrize(("model", "layer", "once"), [(plain(), "1", True), (Residual().eval(), "act", False)])
@torch.no_grad()
def test_batches_share_the_labels_without_all_units_where_they_are_the_same(
    model: nn.Module, layer: str, once: bool, replays: list[str]
):
    batches = list(torch.randn(40, 5, generator=torch.Generator().manual_seed(1)).split(8))
    settings = ww.Measurement(levels=2, samplings=1)  # nothing is dropped, or everything
    profile = ww.profile(model, batches, layers=[layer], settings=settings, batch_size=8)
    count = replays.count(layer)
    replays.clear()
    ww.profile(model, batches[:1], layers=[layer], settings=settings, batch_size=8)
    assert count - replays.count(layer) == (0 if once else 4)

    everything = torch.cat(batches)
    intact = model(everything).argmax(-1)
    hook = model.get_submodule(layer).register_forward_hook(lambda module, given, output: output * 0)
    stays = (model(everything).argmax(-1) == intact).double().mean().item()
    hook.remove()
    assert profile.ablation["unchanged"].tolist() == [1.0, pytest.approx(stays)]


@torch.no_grad()
def test_labels_are_found_anew_for_a_smaller_batch():
    model, inputs = plain(), torch.randn(11, 5, generator=torch.Generator().manual_seed(1))
    settings = ww.Measurement(levels=2, samplings=1)
    whole, cut = (ww.profile(model, [inputs], settings=settings, batch_size=size) for size in (11, 4))
    assert whole.ablation["unchanged"].tolist() == cut.ablation["unchanged"].tolist()


@torch.no_grad()
def test_labels_are_found_anew_where_a_tensor_was_written_to():
    model, inputs = plain(), Inputs((torch.randn(6, 5, generator=torch.Generator().manual_seed(1)),), {})
    network = Network(model, inputs)
    layer = network.layers[0]
    before = network.rerun_without_units(network.run(inputs), layer, 0.0).clone()
    model[4].bias[(before[0] + 1) % 3] += 100
    after = network.rerun_without_units(network.run(inputs), layer, 0.0)
    assert after.tolist() == [(before[0].item() + 1) % 3] * 6
