"""`profile`, against the plain way: forward hooks, one full pass for each ablation, numpy.corrcoef."""

import ast
import inspect
from collections import OrderedDict
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from benchmarks import plain
from benchmarks.plain import plain_profile
from torch import nn

from widthwise.measurement.profile import layers, profile
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.progress import Progress
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network

SEED = 5


class Residual(nn.Module):
    """A convolutional network with normalization, a skip connection, and a nonlinearity used as a function."""

    measured_layers = ("stem", "body.relu")

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.body = nn.Sequential()
        self.body.add_module("convolution", nn.Conv2d(6, 6, 3, padding=1))
        self.body.add_module("relu", nn.ReLU(inplace=True))
        self.head = nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.stem(images)
        return self.head(F.relu(self.body(stem) + stem).mean((2, 3)))


def convolutional() -> tuple[nn.Module, dict[str, nn.Module], torch.Tensor]:
    torch.manual_seed(0)
    model = Residual()
    model(torch.randn(50, 3, 6, 6))  # statistics of the normalization
    nn.init.normal_(model.head.weight)
    model.head.bias.data = -model.head(torch.full((6,), 0.6)).detach()  # so that no label is everybody's
    return model, {"stem": model.stem, "body.relu": model.body.relu}, torch.randn(40, 3, 6, 6)


def dense() -> tuple[nn.Module, dict[str, nn.Module], torch.Tensor]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 9), nn.LayerNorm(9), nn.Tanh(), nn.Linear(9, 3))
    return model, {"1": model[1], "4": model[4]}, torch.randn(80, 5)


def wide() -> tuple[nn.Module, dict[str, nn.Module], torch.Tensor]:
    """More values in a layer than have keys of 32 bits."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 28 * 28, 4))
    return model, {"1": model[1]}, torch.randn(40, 1, 30, 30)


@pytest.mark.parametrize("activations", [None, 60])
@pytest.mark.parametrize("granularity", ["application", "channel"])
@pytest.mark.parametrize("case", [dense, convolutional, wide])
def test_it_equals_the_plain_way(case, granularity, activations):
    model, modules, inputs = case()
    batches = inputs.split(30)
    settings = Measurement(granularity=granularity, activations=activations)
    measured = profile(model, batches, settings=settings, seed=SEED)
    layers, ablation = plain_profile(model, modules, batches, settings, SEED)
    pd.testing.assert_frame_equal(measured.layers[list(layers.columns)], layers, rtol=1e-12)
    pd.testing.assert_frame_equal(measured.ablation[list(ablation.columns)], ablation, rtol=1e-12)
    assert (ablation["unchanged"] < 1).any()


def test_the_plain_way_shares_no_code_but_the_settings():
    nodes = ast.walk(ast.parse(inspect.getsource(plain)))
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    ours = {name for name in imported if name and name.partition(".")[0] in ("widthwise", "benchmarks")}
    assert ours == {"widthwise.measurement.settings"}


def test_only_what_is_downstream_runs_again():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.beside, self.after = nn.Linear(4, 4), nn.Conv1d(1, 1, 1), nn.Linear(4, 2)

        def forward(self, value):
            beside = self.beside(value.unsqueeze(1)).squeeze(1)
            return self.after(torch.relu(self.before(value)) + beside)

    network = Network(Beside().eval(), Inputs((torch.randn(3, 4),), {}))
    run = network.run(Inputs((torch.randn(3, 4),), {}))
    functions = [operation.call_site.function for operation in run.plans["relu"].operations]
    assert functions == ["add", "linear", "max", "isfinite", "where"]
    assert len(run.tape.values) == 4, "what the layer and the convolution gave, and the last layer's two parameters"


def test_layers_are_nonlinearities_after_a_product():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.three = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, value):
            value = F.gelu(self.one(torch.relu(value)))  # the first has no product before it
            value = self.norm(self.two(value)).sigmoid()
            return self.three(value.mean((2, 3))).softmax(-1)

    everything = layers(Functional(), torch.randn(2, 1, 6, 6))
    assert everything["layer"].tolist() == ["relu", "gelu", "sigmoid", "softmax"]
    notes = everything["note"].tolist()
    assert notes == ["follows no dense layer or convolution", "", "", "the output's own activation"]
    table = everything[everything["measured"]]
    assert table["layer"].tolist() == ["gelu", "sigmoid"]
    assert table["units"].tolist() == [4, 4]
    assert table["follows"].tolist() == ["one", "two"]


def test_a_network_that_ignores_a_layer_keeps_every_label():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    nn.init.zeros_(model[2].weight)
    assert profile(model, [torch.randn(20, 4)]).layers["auc"].tolist() == [1.0]


def test_a_collapsed_network_is_told_by_its_labels():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    nn.init.constant_(model[2].bias, 0)
    model[2].bias.data[1] = 1e6
    assert profile(model, [torch.randn(20, 4)]).most_frequent_label_share == 1


def test_large_layers_are_sampled_and_samplings_differ():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))
    batches = torch.randn(50, 1, 8, 8).split(20)
    sampled = profile(model, batches, settings=Measurement(activations=300))
    exact = profile(model, batches)
    counts = sampled.correlation.groupby("sampling")["pairs"].sum()
    assert counts.tolist() == [28, 28, 28]
    assert exact.layers["similarity_std"].tolist() == [0]
    one, two, _ = (group["pairs"].to_numpy() for _, group in sampled.correlation.groupby("sampling"))
    assert (one != two).any()
    assert sampled.layers["similarity"][0] == pytest.approx(exact.layers["similarity"][0], abs=0.8)


def test_the_same_seed_gives_the_same_profile_and_another_seed_another():
    model, _, inputs = dense()
    one, two, other = (profile(model, [inputs], seed=seed) for seed in (0, 0, 1))
    assert one.ablation.equals(two.ablation)
    assert not one.ablation.equals(other.ablation)


def test_the_model_is_left_as_it_was_also_after_an_error():
    model, _, inputs = convolutional()
    model.train()
    model.stem.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    profile(model, [inputs])
    with pytest.raises(ValueError, match="cannot be run on batch 2, of shape"):
        profile(model, [inputs, inputs[:, :1]])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


class Undeclared(nn.Sequential):
    measured_layers = ("relu1",)


class Wrapped(nn.Sequential):
    def forward(self, value):
        return ({"boxes": super().forward(value)}, value)


class Random(nn.Sequential):
    def forward(self, value):
        return super().forward(value + torch.randn_like(value))


def small(kind: type[nn.Sequential] = nn.Sequential, outputs: int = 2) -> nn.Sequential:
    return kind(OrderedDict(dense=nn.Linear(3, 4), relu=nn.ReLU(), head=nn.Linear(4, outputs)))


def broken() -> nn.Sequential:
    model = small()
    model.get_parameter("dense.weight").data[1, 2] = torch.nan
    return model


ONES = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("model", "batches", "options", "message"),
    [
        (nn.Linear(3, 2), [ONES], {}, "Linear has no nonlinearity after a dense layer or a convolution; name"),
        (
            small(Undeclared),
            [ONES],
            {},
            "the model's measured_layers: 'relu1' is no layer of the network; did you mean relu?",
        ),
        (
            small(),
            [ONES],
            {"layers": "rleu"},
            "layers: 'rleu' is no layer of the network; did you mean relu?",
        ),
        (
            small(),
            [ONES],
            {"layers": ["tail*"]},
            "no layer fits the pattern 'tail.*'; the first layers are relu",
        ),
        (small(), [ONES], {"layers": lambda layer: layer.units > 9}, "accepts none of the network's 1 layers"),
        (small(), [ONES], {"layers": []}, "layers: nothing is selected"),
        (small(), [ONES], {"layers": "xyz"}, "is no layer of the network; the first of its layers are relu"),
        (small(), [ONES], {"settings": {"levels": 3}}, "settings: must be a widthwise.Measurement, not dict"),
        (small(), [torch.ones(2, 7)], {}, r"Sequential cannot be run on batch 1, of shape \(2, 7\): RuntimeError"),
        (small(), [((ONES, ONES),)], {}, r"TypeError: .*; a batch of a model with several arguments is"),
        (small(), [{"wrong": ONES}], {}, r"batch 1, of shape \(2, 3\): TypeError"),
        (small(), [ONES.numpy()], {}, r"batch 1 holds ndarray, not tensors; .*torch\.from_numpy"),
        (small(), [ONES], {"predict": lambda output: output[:, 0]}, "labels themselves must be whole numbers"),
        (small(), [], {}, "there are no inputs"),
        (small(), [torch.ones(0, 3)], {}, "there are no inputs"),
        (small(), ONES, {}, "not one tensor"),
        (small(), {"inputs": ONES}, {}, "not dict; give a list or a DataLoader"),
        (small(), ["text"], {}, "batch 1 holds str, not tensors"),
        (small(), [ONES, torch.ones(2, 4)], {}, r"cannot be run on batch 2, of shape \(2, 4\)"),
        (small(outputs=1), [ONES], {}, "from which no label can be formed: a label is the argmax over several"),
        (small(Wrapped), [ONES], {}, "the model returns a dictionary with boxes and no logits or out, from which no"),
        (small(), [torch.full((2, 3), torch.nan)], {}, "output holds NaN"),
        (broken(), [ONES], {}, "the parameter dense.weight holds NaN"),
        (small().to("meta"), [ONES], {}, "the parameter dense.weight is on the meta device"),
        (small(Random), [ONES], {}, "answers differently to the same inputs"),
        (small().state_dict(), [ONES], {}, "must be a torch.nn.Module, not OrderedDict"),
        (small(), [ONES], {"batch_size": 0}, "batch_size: must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(model: Any, batches: Any, options: dict, message: str):
    with pytest.raises(ValueError, match=message) as refused:
        unchecked_profile(model, batches, **options)
    assert "\n" not in str(refused.value)


def unchecked_profile(*args: Any, **kwargs: Any):
    """`profile` as a user calls it, without the type checks of the tests."""
    return getattr(profile, "__wrapped__", profile)(*args, **kwargs)


def test_images_of_several_sizes_need_whole_channels():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    batches = [torch.randn(6, 1, 8, 8), torch.randn(6, 1, 9, 9)]
    with pytest.raises(ValueError, match=r"^granularity: .*another number of positions for another batch.* 'channel'"):
        profile(model, batches)
    measured = profile(model, batches, settings=Measurement(granularity="channel"))
    assert measured.examples == 12


def test_batches_of_one_example_are_as_good_as_one_batch():
    model, _, inputs = convolutional()
    one, together = profile(model, inputs.split(1)), profile(model, [inputs])
    assert one == together


def test_an_iterator_that_ends_is_kept_for_the_passes_that_follow():
    model, _, inputs = dense()
    settings = Measurement(activations=50, replacement="mean", single_units=True)
    once, listed = (
        profile(model, batches, settings=settings)
        for batches in ((batch for batch in inputs.split(30)), inputs.split(30))
    )
    assert once == listed


def test_a_layer_of_one_unit_has_no_pairs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 1), nn.ReLU(), nn.Linear(1, 2))
    measured = profile(model, [torch.randn(50, 3)], settings=Measurement(single_units=True))
    assert measured.layers[["similarity", "dead_fraction"]].to_numpy().tolist() == [[0.0, 0.0]]
    assert len(measured.pairs) == 0
    assert measured.ablation["units_dropped"].unique().tolist() == [0, 1]


def test_a_label_can_be_formed_from_anything():
    torch.manual_seed(0)
    model, inputs = small(outputs=1), torch.randn(40, 3)
    by_sign = profile(model, [inputs], predict=lambda output: output[:, 0] > 0)
    two = small()
    two.load_state_dict({**model.state_dict(), "head.weight": torch.zeros(2, 4), "head.bias": torch.zeros(2)})
    two.get_parameter("head.weight").data[1] = model.get_parameter("head.weight").data[0]
    two.get_parameter("head.bias").data[1] = model.get_parameter("head.bias").data[0]
    assert by_sign.ablation.equals(profile(two, [inputs]).ablation)
    assert by_sign.about["classes"] == 2


def test_layers_are_chosen_by_name_pattern_or_predicate():
    model, _, inputs = convolutional()

    def chosen(model: nn.Module, inputs: torch.Tensor, names: Any = None) -> list[str]:
        table = layers(model, inputs, layers=names)
        return table[table["measured"]]["layer"].tolist()

    assert chosen(model, inputs) == ["stem", "body.relu"]
    assert chosen(small(), ONES, ["head", "relu"]) == ["relu", "head"]
    assert chosen(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), ONES, "0") == ["0"]
    assert chosen(model, inputs, "relu") == ["relu"]
    assert chosen(model, inputs, ["b*", "stem.0"]) == ["stem.0", "body.relu"]
    assert chosen(model, inputs, lambda layer: layer.kind == "ReLU") == ["stem.2", "body.relu"]


def test_a_network_that_looks_at_its_values_in_some_batches_only_is_run_whole_from_there_on():
    class Sometimes(nn.Sequential):
        def forward(self, value):
            value = self.relu(self.dense(value))
            return self.head(value if len(value) < 30 or value.max() < 2.0 else value.clamp(max=2.0))

    torch.manual_seed(0)
    model, batches = small(Sometimes), [torch.randn(20, 3), 3 * torch.randn(40, 3)]
    measured = [profile(model, batches, replay=replay, batch_size=40) for replay in (True, False)]
    assert measured[0].ablation.equals(measured[1].ablation)
    whole = profile(model, [3 * torch.randn(40, 3)])
    assert whole.about["reason"] == "what the network does depends on a value behind relu (__bool__, in its forward)"


def test_progress_counts_the_examples_of_every_pass():
    model, _, inputs = dense()
    seen: list[Progress] = []
    profile(model, [inputs], batch_size=20, settings=Measurement(single_units=True), on_progress=seen.append)
    ends = [(each.done, each.total, each.unit) for each in seen if not each.subject]
    assert ends == [(float(done), 160.0, "examples") for done in range(20, 161, 20)]


@pytest.mark.parametrize("replay", [True, False])
def test_the_model_is_left_as_it_was_when_it_fails_on_the_way(replay: bool):
    class Failing(nn.Sequential):
        calls = 0

        def forward(self, value):
            Failing.calls += 1
            if Failing.calls > 4 + replay:
                raise RuntimeError("no more")
            self.counter += 1
            self.total = self.total + value.sum()
            return super().forward(value)

    model = small(Failing).train()
    model.register_buffer("counter", torch.zeros(()))
    model.register_buffer("total", torch.zeros(()))
    total = model.total
    weights = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises((ValueError, RuntimeError), match="no more"):
        profile(model, torch.randn(60, 3).split(5), batch_size=5, replay=replay)
    assert model.counter == 0
    assert model.total is total
    assert total == 0
    assert model.training
    assert all(map(torch.equal, weights, model.parameters()))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_tables_have_the_promised_columns():
    model, _, inputs = dense()
    measured = profile(model, [(inputs, "labels are not needed")])
    assert isinstance(measured, Profile)
    assert measured.layers.columns.tolist() == [
        *("layer", "units", "auc", "auc_std", "auc_corrected", "auc_corrected_std"),
        *("similarity", "similarity_std", "dead_fraction"),
        *("similarity_std_units", "similarity_reference", "redundancy_pca"),
        *("dormant_share", "rarely_active_share", "condensed_share", "weight_change"),
    ]
    assert measured.ablation.columns.tolist() == [
        *("layer", "protocol", "sampling", "share_dropped", "units_dropped", "unchanged", "labels"),
        "not_finite",
    ]
    assert measured.removability.columns.tolist() == [
        *("protocol", "layer", "auc", "auc_std", "auc_corrected", "auc_corrected_std"),
        *("prunability", "prunability_std", "precision"),
    ]
    assert measured.correlation.columns.tolist() == ["layer", "sampling", "low", "high", "pairs"]
    assert measured.examples == 80


class Overwriting(nn.Module):
    """Writes in place, in every way that PyTorch offers, over values that ablations need again."""

    measured_layers = ("one", "two")

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.two = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True))
        self.three = nn.Linear(8, 3)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        one = self.one(value)
        two = self.two(one)
        one.add_(two)  # over a value that does not depend on the second layer
        two.mul_(0.5)
        F.leaky_relu(one, 0.1, inplace=True)
        torch.tanh_(two)
        return self.three(F.relu(one, True) + two)


def test_writing_in_place_spoils_no_value_that_is_used_again():
    torch.manual_seed(2)
    model = Overwriting()
    inputs = torch.randn(60, 5)
    batches = [inputs[:30], inputs[30:]]
    measured = profile(model, batches, seed=SEED)
    _, ablation = plain_profile(model, {"one": model.one, "two": model.two}, batches, Measurement(), SEED)
    pd.testing.assert_frame_equal(measured.ablation[list(ablation.columns)], ablation, rtol=1e-12)
    assert torch.equal(inputs, torch.cat(batches))
