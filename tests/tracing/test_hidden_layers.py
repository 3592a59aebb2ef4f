"""Hidden layers only: what leads to no label, and the output's own activation, are listed and measured if named."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import layers, profile


class TwoHeads(nn.Module):
    """A classifier with a second head, for boxes, of its own hidden layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.hidden, self.boxes = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 4)
        self.head = nn.Linear(8, 3)

    def forward(self, value: Tensor) -> dict[str, Tensor]:
        value = F.relu(self.trunk(value))
        return {"logits": self.head(value).sigmoid(), "boxes": self.boxes(F.gelu(self.hidden(value)))}


ROWS = [
    ("relu", True, ""),
    ("sigmoid", False, "the output's own activation"),
    ("gelu", False, "its value leads to no label"),
]


def test_only_what_is_hidden_and_leads_to_a_label_is_measured():
    model, inputs = TwoHeads(), torch.randn(60, 5)
    table = layers(model, inputs)
    assert list(table[["layer", "measured", "note"]].itertuples(index=False, name=None)) == ROWS
    assert table["units"].tolist() == [8, 3, 6]
    measured = profile(model, [inputs])
    assert measured.layers["layer"].tolist() == ["relu"]
    assert [(each["name"], each["reason"]) for each in measured.about["left_out"]] == [
        (name, note) for name, chosen, note in ROWS if not chosen
    ]


def test_what_is_marked_is_measured_if_it_is_named():
    model, inputs = TwoHeads(), torch.randn(60, 5)
    found = profile(model, [inputs], layers=["gelu", "sigmoid"])
    assert found.layers["layer"].tolist() == ["sigmoid", "gelu"]
    by_layer = found.layers.set_index("layer")["auc"]
    assert by_layer["gelu"] == 1
    assert by_layer["sigmoid"] < 1
    assert [each["name"] for each in found.about["left_out"]] == []
    with torch.no_grad():
        activity = F.gelu(model.hidden(F.relu(model.trunk(inputs)))).double().numpy()
    correlations = np.abs(np.corrcoef(activity.T))
    assert found.similarity.query("layer == 'gelu' and threshold == 0.5")["similarity"].mean() == pytest.approx(
        ((correlations >= 0.5).sum(1) - 1).mean()
    )


@pytest.mark.parametrize("last", [nn.ReLU(), nn.Softmax(-1), nn.Sigmoid(), nn.LogSoftmax(-1)])
def test_an_outputs_own_activation_is_no_hidden_layer(last: nn.Module):
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3), last)
    table = layers(model, torch.randn(7, 5))
    assert table["measured"].tolist() == [True, False]
    with pytest.raises(ValueError, match=r"of its 1, the first is 1 \(the output's own activation\); name the modules"):
        layers(nn.Sequential(nn.Linear(5, 3), last), torch.randn(7, 5))


def test_classes_that_are_pooled_are_still_the_outputs():
    """As in SqueezeNet: the last convolution has a channel for each class."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    assert layers(model, torch.randn(7, 1, 6, 6))["measured"].tolist() == [True, False]


def test_what_a_value_leads_to_is_not_judged_where_it_cannot_be_seen():
    class Unseen(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, value: Tensor) -> Tensor:
            value = F.relu(self.one(value))
            with torch._C.DisableTorchFunction():
                return self.two(value)

    inputs = torch.randn(30, 5)
    assert layers(Unseen(), inputs)["measured"].tolist() == [True]
    found = profile(Unseen(), [inputs])
    assert not found.about["replayed"]
    assert found.layers["auc"][0] < 1


class Pooled(nn.Module):
    """Pools positions by weights from a softmax over them, and makes a mask from the shape of a hidden value."""

    def __init__(self):
        super().__init__()
        self.one, self.score, self.head = nn.Linear(5, 8), nn.Linear(8, 2), nn.Linear(16, 3)

    def forward(self, value: Tensor) -> Tensor:
        value = F.relu(self.one(value))
        mask = value.new_zeros(value.shape[1], 1).masked_fill(torch.ones(value.shape[1], 1) > 0, 1.0).exp()
        weights = torch.softmax(self.score(value) * mask, 1)
        return self.head((weights.mT @ value).flatten(1))


def test_weights_over_positions_are_listed_and_constants_are_not():
    table = layers(Pooled(), torch.randn(4, 7, 5))
    assert table["layer"].tolist() == ["relu", "softmax"]
    assert table["note"].tolist() == ["", "a softmax over positions, as an attention's"]


def test_networks_that_name_their_layers_have_missed_none():
    class Named(TwoHeads):
        measured_layers = ("trunk",)

    table = layers(Named(), torch.randn(9, 5))
    assert table[table["measured"]]["layer"].tolist() == ["trunk"]
    assert table["note"].tolist() == [
        "",
        "the network names other layers",
        "the output's own activation",
        "its value leads to no label",
    ]
    assert profile(Named(), [torch.randn(9, 5)]).about["left_out"] == []
