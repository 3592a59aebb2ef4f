"""Why a unit is removable, on networks built so that the answer is known."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.outgoing_weights import outgoing_weights
from widthwise.tracing.untouched import untouched

SINGLE = Measurement(single_units=True)


def designed() -> nn.Sequential:
    """Seven units on four inputs, each with its own fate."""
    model = nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 2))
    one, two, three, four = torch.eye(4)
    incoming = torch.stack([torch.zeros(4), one, two, three, three, four, 0.7 * four])
    outgoing = torch.tensor([[1.0, 0, 1e-9, 50, -50, 1, 0.7], [0, 0, 0, 0, 0, 0, 0]])
    model[0].weight.data, model[0].bias.data = incoming, torch.zeros(7)
    model[2].weight.data, model[2].bias.data = outgoing, torch.tensor([0.0, 0.5])
    return model


FATES = [
    "dead",
    "disconnected",
    "discarded",
    "jointly removable only",
    "jointly removable only",
    "repeated",
    "repeated",
]


def test_each_mechanism_is_told_from_the_others():
    torch.manual_seed(0)
    batches = torch.randn(600, 4).split(200)
    units = profile(designed(), batches, settings=SINGLE).units
    assert units["mechanism"].tolist() == FATES
    assert units["never_active"].tolist() == [True] + [False] * 6
    assert units["outgoing_norm"].tolist() == pytest.approx([1, 0, 1e-9, 50, 50, 1, 0.7])
    assert units["most_similar"].tolist()[3:] == [4, 3, 6, 5]
    assert units["active_share"].tolist()[1:] == pytest.approx([0.5] * 6, abs=0.08)

    tolerant = profile(designed(), batches, settings=Measurement(single_units=True, tolerance=0.5)).units
    assert tolerant["mechanism"].tolist()[5:] == ["discarded"] * 2
    untold = profile(designed(), batches).units["mechanism"]
    assert untold.fillna("").tolist() == ["dead", "disconnected", "", *["repeated"] * 4]


def test_a_unit_without_which_labels_change_and_that_nobody_resembles_is_needed():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[0].weight.data, model[0].bias.data = torch.eye(2), torch.zeros(2)
    model[2].weight.data, model[2].bias.data = torch.eye(2), torch.zeros(2)
    torch.manual_seed(0)
    units = profile(model, [torch.randn(300, 2)], settings=SINGLE).units
    assert units["mechanism"].tolist() == ["needed", "needed"]
    assert units["unchanged_alone"].between(0.3, 0.9).all()


@pytest.mark.parametrize("replacement", ["zero", "mean"])
@pytest.mark.parametrize("together", [None, 7])
def test_dropping_units_alone_equals_a_plain_loop(replacement, together: int | None):
    torch.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(6), nn.Conv2d(6, 5, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(20, 3)),
    ).eval()
    images = torch.randn(50, 2, 6, 6)
    measured = profile(
        model,
        images.split(20),
        layers="1",
        settings=Measurement(single_units=True, replacement=replacement),
        batch_size=together,
    )
    with torch.no_grad():
        value, intact = model[:2](images), model(images).argmax(-1)
        kept = []
        for unit in range(6):
            dropped = value.clone()
            dropped[:, unit] = 0 if replacement == "zero" else value[:, unit].mean()
            kept.append((model[2:](dropped).argmax(-1) == intact).double().mean().item())
    assert measured.units["unchanged_alone"].tolist() == pytest.approx(kept)
    assert min(kept) < 1


def test_means_replace_what_is_dropped_at_every_share():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    inputs = torch.randn(90, 3)
    measured = profile(model, inputs.split(40), settings=Measurement(replacement="mean"))
    with torch.no_grad():
        label = model[2](model[:2](inputs).mean(0)).argmax(-1)
        share = (model(inputs).argmax(-1) == label).double().mean().item()
    ends = measured.ablation[measured.ablation["share_dropped"] == 1]["unchanged"]
    assert ends.tolist() == pytest.approx([share] * 3)


class Joined(nn.Module):
    """A layer's value goes, joined to another, through pooling into a grouped convolution and, flat, a dense layer."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 5, 1)
        self.next = nn.Conv2d(8, 4, 1, groups=2)
        self.head = nn.Linear(8 * 4 + 4, 3)

    def forward(self, value: Tensor) -> Tensor:
        joined = torch.cat([F.relu(self.one(value)), F.relu(self.two(value))], dim=1)
        after = self.next(F.max_pool2d(joined, 2))
        return self.head(torch.cat([F.avg_pool2d(joined, 2).flatten(1), after.mean((2, 3))], dim=1))


def test_outgoing_weights_are_followed_through_pooling_joins_and_flattening():
    model = Joined()
    images = Inputs((torch.randn(3, 2, 4, 4),), {})
    with untouched(model):
        network = Network(model, images)
        found = [outgoing_weights(network.probe, layer) for layer in network.layers]
    dense = model.head.weight.detach().double()[:, :32].view(3, 8, 4).square().sum((0, 2))
    grouped = model.next.weight.detach().double().view(2, 2, 4).square().sum(1).flatten()
    expected = (dense + grouped).sqrt()
    torch.testing.assert_close(torch.cat([each.norms for each in found]), expected)
    assert all(each.only for each in found)


def test_a_value_that_goes_on_by_another_way_is_not_called_disconnected():
    class Skipping(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, value: Tensor) -> Tensor:
            value = torch.relu(self.one(value))
            return self.head(torch.relu(self.two(value) + value))

    model = Skipping()
    nn.init.zeros_(model.two.weight)
    torch.manual_seed(0)
    units = profile(model, [torch.randn(80, 4)], layers="relu:1").units
    assert units["outgoing_norm"].tolist() == [0.0] * 4
    assert "disconnected" not in set(units["mechanism"].dropna())


def test_heads_are_units_of_an_attention():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = transformers.BertForSequenceClassification(
        transformers.BertConfig(**sizes, intermediate_size=8, _attn_implementation="eager")
    )
    batches = [{"input_ids": torch.randint(0, 30, (20, 5))}]
    measured = profile(model, batches, attention_heads=True, layers="*.heads", settings=Measurement(levels=3))
    assert measured.layers["units"].tolist() == [4]
    assert measured.ablation["units_dropped"].unique().tolist() == [0, 40, 80]  # of 4 heads, 5 positions, 4 features
