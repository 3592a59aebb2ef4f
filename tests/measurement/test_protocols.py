"""The two protocols of removability, against a plain loop of hooks that multiply by masks."""

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks.plain import ranks_of
from torch import nn

from widthwise.errors import RequestError
from widthwise.measurement.curves import floored_counts, prunability
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement

SEED, LEVELS, SAMPLINGS = 5, 4, 2
BOTH = Measurement(protocols=("text", "figures"), levels=LEVELS, samplings=SAMPLINGS)


class Net(nn.Module):
    """Two convolutions, of which the second reads the first, and a dense layer that reads both; one writes in place."""

    def __init__(self, inplace: bool = True):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 5, 3, padding=1), nn.Conv2d(5, 7, 3, padding=1)
        self.relu, self.sigmoid = nn.ReLU(inplace=inplace), nn.Tanh()
        self.head = nn.Linear(12, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.relu(self.one(images))
        second = self.sigmoid(self.two(first))
        return self.head(torch.cat([first.mean((2, 3)), second.mean((2, 3))], 1))


def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(3)
    model, images = Net().eval(), torch.randn(50, 1, 5, 5)
    with torch.no_grad():
        model.head.bias -= model(images).mean(0)
        nn.init.normal_(model.head.weight, std=4)
        model.head.bias -= model(images).mean(0)
    return model, images


@torch.no_grad()
def plain_curve(model: nn.Module, images: torch.Tensor, names: list[str]) -> np.ndarray:
    """Shares of unchanged labels when whole channels of some modules are dropped together, for each sampling."""
    intact, shares = model(images).argmax(1), np.zeros((SAMPLINGS, LEVELS))
    modules = {"relu": model.relu, "sigmoid": model.sigmoid}
    for sampling in range(SAMPLINGS):
        for level in range(LEVELS):
            hooks = []
            for depth, (name, module) in enumerate(modules.items()):
                units = {"relu": 5, "sigmoid": 7}[name]
                ranks = ranks_of([SEED, 1, depth, 0, sampling], 0, units, torch.device("cpu"))
                kept = torch.from_numpy(ranks >= int(level / (LEVELS - 1) * units + 1e-9)).float()
                if name in names:
                    mask = lambda module, given, value, kept=kept: value * kept[:, None, None]  # noqa: E731
                    hooks.append(module.register_forward_hook(mask))
            shares[sampling, level] = (model(images).argmax(1) == intact).double().mean()
            for hook in hooks:
                hook.remove()
    return shares


def curve_of(measured: Profile, protocol: str, layer: str) -> np.ndarray:
    table = measured.ablation[(measured.ablation["protocol"] == protocol) & (measured.ablation["layer"] == layer)]
    return table["unchanged"].to_numpy().reshape(SAMPLINGS, LEVELS)


@pytest.mark.parametrize("replay", [True, False])
def test_the_figures_drop_whole_channels_of_all_layers_together_and_of_each(replay: bool):
    model, images = network()
    measured = profile(model, images.split(20), settings=BOTH, seed=SEED, replay=replay)
    assert measured.about["replayed"] is replay
    rows = measured.removability.set_index(["protocol", "layer"])
    assert list(rows.index) == [
        *(("text", "relu"), ("text", "sigmoid"), ("figures", ""), ("figures", "relu"), ("figures", "sigmoid")),
    ]
    for layer, names in (("", ["relu", "sigmoid"]), ("relu", ["relu"]), ("sigmoid", ["sigmoid"])):
        shares = plain_curve(model, images, names)
        assert curve_of(measured, "figures", layer) == pytest.approx(shares, abs=1e-12), layer
        assert rows.loc[("figures", layer), "auc"] == pytest.approx(shares.mean())
        assert rows.loc[("figures", layer), "auc_std"] == pytest.approx(shares.mean(1).std(ddof=1))
        assert 0 < shares[:, 1:].mean() < 1
    dropped = measured.ablation.query("protocol == 'figures' and layer == '' and sampling == 0")["units_dropped"]
    assert dropped.tolist() == [0, 1 + 2, 3 + 4, 12]


def test_the_text_is_measured_as_without_the_figures_and_the_table_of_layers_is_the_first_protocols():
    model, images = network()
    text = Measurement(levels=LEVELS, samplings=SAMPLINGS)
    alone, both = (profile(model, [images], settings=each, seed=SEED) for each in (text, BOTH))
    pd.testing.assert_frame_equal(alone.layers, both.layers)
    pd.testing.assert_frame_equal(alone.ablation, both.ablation.query("protocol == 'text'").reset_index(drop=True))
    figures = Measurement(levels=LEVELS, samplings=SAMPLINGS, protocols=("figures",))
    only = profile(model, [images], settings=figures, seed=SEED)
    rows = both.removability.query("protocol == 'figures' and layer != ''")
    assert only.layers["auc"].tolist() == rows["auc"].tolist()


def test_a_share_of_channels_is_floored():
    assert floored_counts(7, 7) == [0, 1, 2, 3, 4, 5, 7]
    assert floored_counts(10, 7) == [int(10 * level / 6 + 1e-9) for level in range(7)]


def test_prunability_is_where_unchanged_labels_first_cross_the_threshold():
    curves = np.array([[1.0, 0.9, 0.7, 0.6], [1.0, 0.6, 0.9, 0.1], [1.0, 1.0, 0.9, 0.8], [1.0, 0.8, 0.8, 0.0]])
    assert prunability(curves, 0.8) == pytest.approx([0.5, 1 / 6, 1.0, 2 / 3])
    model, images = network()
    measured = profile(model, [images], settings=BOTH, seed=SEED)
    levels = np.linspace(0, 1, LEVELS)
    for row in measured.removability.to_dict("records"):
        crossings = []
        for shares in curve_of(measured, row["protocol"], row["layer"]):
            fine = np.linspace(0, 1, 30_001)
            crossings.append(fine[np.interp(fine, levels, shares) >= 0.8 - 1e-12].max() if shares.min() < 0.8 else 1.0)
            assert (np.diff(shares) <= 0).all() or len(set(shares)) > 1
        monotone = all((np.diff(each) <= 0).all() for each in curve_of(measured, row["protocol"], row["layer"]))
        if monotone:
            assert row["prunability"] == pytest.approx(np.mean(crossings), abs=1e-4)


@pytest.mark.parametrize("protocols", [(), ("text", "text")])
def test_other_protocols_are_refused(protocols: tuple):
    with pytest.raises(RequestError, match=r"protocols: must be 'text', 'figures' or both"):
        Measurement(protocols=protocols)
