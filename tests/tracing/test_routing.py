"""Mixtures of experts: ordinary layers are measured, and so are the experts'."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww

EXPERTS, FEATURES, HIDDEN, CLASSES = 3, 6, 5, 4
EVERYTHING = ww.Measurement(levels=2, samplings=1, activations=None)
"""Levels 0 and 1 alone: nothing is left to chance, so a plain loop gives the same labels."""


class Mixture(nn.Module):
    """Each token goes to one expert, and an expert without tokens is not called."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)  # each expert gets tokens
        self.stem = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.ReLU())
        self.router = nn.Linear(FEATURES, EXPERTS)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, FEATURES)) for _ in range(EXPERTS)
        )
        self.hidden = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU())
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.stem(inputs).flatten(0, 1)
        chosen = self.router(tokens).argmax(-1)
        mixed = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            (indices,) = torch.where(chosen == number)
            if len(indices):
                mixed.index_add_(0, indices, expert(tokens[indices]))
        return self.head(self.hidden((tokens + mixed).view(inputs.shape).mean(1)))


def batches() -> list[Tensor]:
    """Batches of which each leaves some expert without a token."""
    model = Mixture()
    tokens = torch.randn(2000, FEATURES, generator=torch.Generator().manual_seed(1)) * 2
    with torch.no_grad():
        chosen = model.router(model.stem(tokens)).argmax(-1)
    return [tokens[chosen != number][:18].view(6, 3, FEATURES) for number in (2, 0, 1)]


@torch.no_grad()
def test_ordinary_layers_of_a_mixture_are_measured_beside_its_experts():
    model = Mixture().eval()
    profile = ww.profile(model, batches(), settings=EVERYTHING, batch_size=6)
    assert list(profile.layers["layer"]) == ["stem.1", "experts.0.1", "experts.1.1", "experts.2.1", "hidden.1"]
    assert not profile.about["left_out"]
    everything = torch.cat(batches())
    intact = model(everything).argmax(-1)
    for name in profile.layers["layer"]:
        hook = model.get_submodule(name).register_forward_hook(lambda module, given, output: output * 0)
        stays = (model(everything).argmax(-1) == intact).double().mean().item()
        hook.remove()
        unchanged = profile.ablation.query("layer == @name and share_dropped == 1")["unchanged"].tolist()
        assert unchanged == [pytest.approx(stays)]
    activity = model.stem(everything).flatten(0, 1).double().numpy()
    varying = activity[:, np.ptp(activity, axis=0) > 0]
    similar = (np.abs(np.corrcoef(varying.T)) >= 0.5).sum() - varying.shape[1]
    assert profile.layers["similarity"][0] == pytest.approx(similar / FEATURES)


def test_tokens_are_measured_in_the_order_of_their_experts_and_back_in_their_own():
    class Sorted(nn.Module):
        """Tokens are sorted by their expert, and brought back into their order afterwards."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.router, self.inside = nn.Linear(FEATURES, EXPERTS), nn.Sequential(nn.Linear(FEATURES, 7), nn.ReLU())
            self.after, self.head = nn.Sequential(nn.Linear(7, HIDDEN), nn.ReLU()), nn.Linear(HIDDEN, CLASSES)

        def forward(self, inputs: Tensor) -> Tensor:
            order = self.router(inputs).argmax(-1).argsort()
            back = torch.empty_like(order)
            back[order] = torch.arange(len(order))
            return self.head(self.after(self.inside(inputs[order])[back]))

    table = ww.layers(Sorted().eval(), torch.randn(8, FEATURES)).set_index("layer")
    assert table["measured"].to_dict() == {"inside.1": True, "after.1": True}
