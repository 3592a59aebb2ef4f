"""Mixtures of experts: each expert's units are measured over the tokens that it saw."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.measurement.masks import draw_seed, dropped_counts, levels_survived

EXPERTS, FEATURES, HIDDEN, CLASSES = 3, 6, 5, 4
EVERYTHING = ww.Measurement(levels=2, samplings=1, activations=None)
"""Levels 0 and 1 alone: nothing is left to chance, so a plain loop gives the same labels."""


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.act, self.down = nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, FEATURES)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.down(self.act(self.up(tokens)))


class Looped(nn.Module):
    """Each token goes to one expert, and an expert without tokens is not called."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.ReLU())
        self.router = nn.Linear(FEATURES, EXPERTS)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))
        self.head = nn.Linear(FEATURES, CLASSES)

    def chosen(self, tokens: Tensor) -> Tensor:
        return self.router(tokens).argmax(-1)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.stem(inputs).flatten(0, 1)
        chosen = self.chosen(tokens)
        mixed = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            (indices,) = torch.where(chosen == number)
            if len(indices):
                mixed.index_add_(0, indices, expert(tokens[indices]))
        return self.head((tokens + mixed).view(inputs.shape).mean(1))


class Grouped(nn.Module):
    """Every expert sees every token, in one product with a weight that has a dimension of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(FEATURES, EXPERTS)
        self.up = nn.Parameter(torch.randn(EXPERTS, FEATURES, HIDDEN))
        self.down = nn.Parameter(torch.randn(EXPERTS, HIDDEN, FEATURES))
        self.head = nn.Linear(FEATURES, CLASSES)

    def hidden(self, inputs: Tensor) -> Tensor:
        tokens = inputs.flatten(0, 1)
        return torch.bmm(tokens.expand(EXPERTS, -1, -1), self.up).relu()

    def rest(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        shares = self.router(inputs.flatten(0, 1)).softmax(-1)
        mixed = torch.einsum("eth,ehf,te->tf", hidden, self.down, shares)
        return self.head(mixed.view(inputs.shape).mean(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.rest(inputs, self.hidden(inputs))


def inputs_of(batches: int = 4) -> list[Tensor]:
    stream = torch.Generator().manual_seed(1)
    return [torch.randn(5, 3, FEATURES, generator=stream) * 2 for _ in range(batches)]


def similarity_of(activity: np.ndarray, threshold: float = 0.5) -> float:
    """The mean number of other units with |r| of at least the threshold; constant units have none."""
    varying = np.ptp(activity, axis=0) > 0
    correlations = np.abs(np.corrcoef(activity[:, varying].astype(np.float64).T)).reshape(varying.sum(), -1)
    return ((correlations >= threshold).sum() - varying.sum()) / activity.shape[1]


@pytest.fixture
def looped() -> Looped:
    torch.manual_seed(7)  # each expert gets tokens
    return Looped().eval()


@torch.no_grad()
def test_an_expert_is_measured_over_the_tokens_that_it_saw(looped: Looped) -> None:
    batches = inputs_of()
    profile = ww.profile(looped, batches, settings=EVERYTHING)
    measured = profile.layers.set_index("layer")
    assert list(measured.index) == ["stem.1", "experts.0.act", "experts.1.act", "experts.2.act"]
    tokens = torch.cat([looped.stem(batch).flatten(0, 1) for batch in batches])
    chosen = looped.chosen(tokens)
    for number in range(EXPERTS):
        expert = looped.experts[number]
        assert isinstance(expert, Expert)
        activity = expert.act(expert.up(tokens[chosen == number])).numpy()
        row = measured.loc[f"experts.{number}.act"]
        assert row["similarity"] == pytest.approx(similarity_of(activity))
        assert row["dead_fraction"] == (np.ptp(activity, axis=0) == 0).mean()


@torch.no_grad()
def test_labels_without_an_expert_are_those_of_the_network_without_it(looped: Looped) -> None:
    batches = inputs_of()
    intact = torch.cat([looped(batch) for batch in batches]).argmax(-1)
    ablation = ww.profile(looped, batches, settings=EVERYTHING).ablation
    for number in range(EXPERTS):
        expert = looped.experts[number]
        assert isinstance(expert, Expert)
        hook = expert.act.register_forward_hook(lambda module, given, output: output * 0)
        without = torch.cat([looped(batch) for batch in batches]).argmax(-1)
        hook.remove()
        of_layer = ablation[(ablation["layer"] == f"experts.{number}.act") & (ablation["share_dropped"] == 1)]
        assert of_layer["unchanged"].tolist() == [pytest.approx((without == intact).double().mean().item())]


@torch.no_grad()
def test_an_expert_may_see_no_token_of_a_batch(looped: Looped) -> None:
    tokens = torch.cat([batch.flatten(0, 1) for batch in inputs_of(8)])
    chosen = looped.chosen(looped.stem(tokens))
    last = tokens[chosen == EXPERTS - 1][:6].view(2, 3, FEATURES)
    others = tokens[chosen != EXPERTS - 1][:48].view(16, 3, FEATURES)
    profile = ww.profile(looped, [others[:8], others[8:], last], settings=EVERYTHING, batch_size=8)
    expert = looped.experts[EXPERTS - 1]
    assert isinstance(expert, Expert)
    activity = expert.act(expert.up(looped.stem(last).flatten(0, 1))).numpy()
    row = profile.layers.set_index("layer").loc[f"experts.{EXPERTS - 1}.act"]
    assert row["similarity"] == pytest.approx(similarity_of(activity))
    everything = torch.cat([others, last])
    hook = expert.act.register_forward_hook(lambda module, given, output: output * 0)
    without = looped(everything).argmax(-1)
    hook.remove()
    dropped = profile.ablation[(profile.ablation["layer"] == f"experts.{EXPERTS - 1}.act")]["unchanged"].tolist()
    assert dropped == [1.0, pytest.approx((without == looped(everything).argmax(-1)).double().mean().item())]


@torch.no_grad()
def test_an_expert_that_no_example_reaches_is_listed_and_not_measured(looped: Looped) -> None:
    looped.router.bias[EXPERTS - 1] = -1e9
    profile = ww.profile(looped, inputs_of(), settings=EVERYTHING)
    assert list(profile.layers["layer"]) == ["stem.1", "experts.0.act", "experts.1.act"]
    assert any("experts.2" in each["name"] for each in profile.about["left_out"])


@torch.no_grad()
def test_experts_of_one_product_are_layers_of_their_own() -> None:
    torch.manual_seed(0)
    model = Grouped().eval()
    batches = inputs_of()
    profile = ww.profile(model, batches, settings=EVERYTHING)
    measured = profile.layers.set_index("layer")
    assert [name for name in measured.index if name != "softmax"] == [f"relu[{number}]" for number in range(EXPERTS)]
    everything = torch.cat(batches)
    hidden, intact = model.hidden(everything), model(everything).argmax(-1)
    for number in range(EXPERTS):
        row = measured.loc[f"relu[{number}]"]
        assert row["units"] == HIDDEN
        assert profile.units.query(f"layer == 'relu[{number}]'")["outgoing_norm"].isna().all()
        assert row["similarity"] == pytest.approx(similarity_of(hidden[number].numpy()))
        ablated = hidden.clone()
        ablated[number] = 0
        stays = (model.rest(everything, ablated).argmax(-1) == intact).double().mean().item()
        of_layer = profile.ablation[profile.ablation["layer"] == f"relu[{number}]"]
        assert of_layer["unchanged"].tolist() == [1.0, pytest.approx(stays)]


def test_a_mixture_is_measured_alike_whatever_the_batch_size() -> None:
    torch.manual_seed(0)
    model = Grouped().eval()
    whole, cut = (ww.profile(model, inputs_of(), settings=EVERYTHING, batch_size=size) for size in (20, 3))
    assert whole.layers["similarity"].tolist() == pytest.approx(cut.layers["similarity"].tolist())
    assert whole.ablation["unchanged"].tolist() == cut.ablation["unchanged"].tolist()


class Empty(Looped):
    """Every expert is called, for no token if it has none."""

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.stem(inputs).flatten(0, 1)
        chosen, mixed = self.chosen(tokens), torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            mixed[chosen == number] = expert(tokens[chosen == number])
        return self.head((tokens + mixed).view(inputs.shape).mean(1))


@torch.no_grad()
def test_an_expert_that_is_called_for_no_token_is_like_one_that_is_not_called(looped: Looped) -> None:
    model = Empty().eval()
    model.load_state_dict(looped.state_dict())
    batches = batches_that_skip(looped)
    expected, found = (ww.profile(each, batches, batch_size=6) for each in (looped, model))
    pd.testing.assert_frame_equal(found.layers, expected.layers)
    looped.router.bias[EXPERTS - 1] = model.router.bias[EXPERTS - 1] = -1e9
    assert ww.profile(model, batches).layers["layer"].tolist() == ["stem.1", "experts.0.act", "experts.1.act"]
    with pytest.raises(ww.RequestError, match=r"experts\.2\.act cannot be measured: no token of the data reached it"):
        ww.profile(model, batches, layers="experts.2.act")


class FunctionalExpert(Expert):
    def forward(self, tokens: Tensor) -> Tensor:
        return self.down(self.up(tokens).relu())


def batches_that_skip(model: Looped, size: int = 6) -> list[Tensor]:
    """A batch for each expert in turn, none of whose tokens it gets."""
    tokens = torch.cat([batch.flatten(0, 1) for batch in inputs_of(40)])
    with torch.no_grad():
        chosen = model.chosen(model.stem(tokens))
    return [tokens[chosen != number][: 3 * size].view(size, 3, FEATURES) for number in range(EXPERTS)]


@torch.no_grad()
def test_functions_in_the_code_of_an_expert_stay_those_of_that_expert(looped: Looped) -> None:
    experts = [FunctionalExpert() for _ in range(EXPERTS)]
    for expert, weights in zip(experts, looped.experts, strict=True):
        expert.load_state_dict(weights.state_dict())
    batches = batches_that_skip(looped)
    expected = ww.profile(looped, batches, batch_size=6).layers
    looped.experts = nn.ModuleList(experts)
    measured = ww.profile(looped, batches, batch_size=6).layers
    assert measured["layer"].tolist() == ["stem.1", *(f"experts.{number}.relu" for number in range(EXPERTS))]
    assert measured["similarity"].tolist() == expected["similarity"].tolist()
    assert measured["auc"][0] == expected["auc"][0]


class OneLoop(Looped):
    """The experts' nonlinearity, and one behind them, are calls of one function in one module."""

    def __init__(self) -> None:
        super().__init__()
        self.behind = nn.Linear(FEATURES, FEATURES)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.stem(inputs).flatten(0, 1)
        chosen, mixed = self.chosen(tokens), torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            assert isinstance(expert, Expert)
            (indices,) = torch.where(chosen == number)
            if len(indices):
                mixed.index_add_(0, indices, expert.down(expert.up(tokens[indices]).relu()))
        return self.head(self.behind(tokens + mixed).relu().view(inputs.shape).mean(1))


@torch.no_grad()
def test_calls_whose_numbers_shift_are_listed_and_not_measured(looped: Looped) -> None:
    model = OneLoop().eval()
    model.load_state_dict(looped.state_dict(), strict=False)
    profile = ww.profile(model, batches_that_skip(looped), batch_size=6)
    assert profile.layers["layer"].tolist() == ["stem.1"]
    left_out = {each["name"]: each["reason"] for each in profile.about["left_out"]}
    assert set(left_out) == {"relu", "relu:2", "relu:3", "relu:4"}
    assert all("another expert" in reason for reason in left_out.values())
    with pytest.raises(ww.RequestError, match="another expert"):
        ww.profile(model, batches_that_skip(looped), layers=["relu:2"])


@torch.no_grad()
def test_each_token_has_draws_of_its_own(looped: Looped) -> None:
    """A plain loop over batches, with the units dropped that the documented draws say."""
    batches, seed, stream = inputs_of(2), 3, 2
    settings = ww.Measurement(levels=3, samplings=1)
    ablation = ww.profile(looped, batches, settings=settings, seed=seed, batch_size=5).ablation
    unchanged = 0
    for number, batch in enumerate(batches):
        expert = looped.experts[1]
        assert isinstance(expert, Expert)
        intact = looped(batch).argmax(-1)

        def dropped(module: nn.Module, given: object, output: Tensor, first: int = 5 * number) -> Tensor:
            draws = draw_seed(seed, stream, 0)
            start = first * 2**20
            survived = levels_survived(draws, start, len(output), HIDDEN, dropped_counts(HIDDEN, 3), output.device)
            return output * (survived > 0)

        hook = expert.act.register_forward_hook(dropped)
        unchanged += (looped(batch).argmax(-1) == intact).sum().item()
        hook.remove()
    row = ablation.query("layer == 'experts.1.act' and share_dropped == 0.5")
    assert row["unchanged"].tolist() == [pytest.approx(unchanged / 10)]


def test_with_a_precision_every_example_is_run(looped: Looped) -> None:
    batches = inputs_of()
    exact = ww.profile(looped, batches)
    profile = ww.profile(looped, batches, settings=ww.Measurement(precision=0.05))
    assert profile.ablation["unchanged"].tolist() == exact.ablation["unchanged"].tolist()
    assert "a router chooses tokens" in profile.about["all_run"]
    assert "every example" in str(profile)
    assert not exact.about["all_run"]


@torch.no_grad()
def test_all_layers_together_are_dropped_where_experts_are_reached(looped: Looped) -> None:
    batches = batches_that_skip(looped)
    profile = ww.profile(looped, batches, settings=replace(EVERYTHING, protocols=("figures",)), batch_size=6)
    everything = torch.cat(batches)
    intact = looped(everything).argmax(-1)
    modules = [looped.stem[1], *(expert.act for expert in looped.experts if isinstance(expert, Expert))]
    hooks = [module.register_forward_hook(lambda module, given, output: output * 0) for module in modules]
    stays = (looped(everything).argmax(-1) == intact).double().mean().item()
    for hook in hooks:
        hook.remove()
    together = profile.ablation.query("layer == '' and share_dropped == 1")
    assert together["unchanged"].tolist() == [pytest.approx(stays)]


def test_other_options_are_measured_too(looped: Looped, tmp_path: Path) -> None:
    settings = ww.Measurement(levels=3, samplings=2, single_units=True, replacement="mean", sample=1)
    profile = ww.profile(looped, batches_that_skip(looped), settings=settings, batch_size=6)
    assert profile.units["unchanged_alone"].between(0, 1).all()
    profile.save(tmp_path / "mixture.profile")
    loaded = ww.Profile.load(tmp_path / "mixture.profile")
    pd.testing.assert_frame_equal(loaded.layers, profile.layers)
    assert loaded.about == profile.about


def test_parts_are_merged_to_the_whole(looped: Looped) -> None:
    batches = batches_that_skip(looped)
    parts = [ww.profile(looped, batches, settings=EVERYTHING, batch_size=6, part=(number, 3)) for number in (1, 2, 3)]
    whole = ww.profile(looped, batches, settings=EVERYTHING, batch_size=6)
    merged = ww.Profile.merge(parts)
    assert merged.layers["similarity"].tolist() == pytest.approx(whole.layers["similarity"].tolist())
    assert merged.ablation["unchanged"].tolist() == whole.ablation["unchanged"].tolist()


def test_a_plan_counts_the_experts(looped: Looped) -> None:
    plan = ww.plan(looped, inputs_of())
    assert plan.layers == ("stem.1", *(f"experts.{number}.act" for number in range(EXPERTS)))


@pytest.fixture(scope="module")
def mixtral() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    configuration = transformers.MixtralConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=3,
        num_experts_per_tok=1,
        initializer_range=0.5,
    )
    return transformers.MixtralForCausalLM(configuration).eval()


@torch.no_grad()
def test_a_mixture_of_transformers_library_is_measured(mixtral: nn.Module) -> None:
    tokens = torch.randint(40, (6, 10), generator=torch.Generator().manual_seed(0))
    batches = [{"input_ids": part} for part in tokens.split(2)]
    profile = ww.profile(mixtral, batches, settings=EVERYTHING, batch_size=2)
    measured = profile.layers.set_index("layer")
    experts: Any = mixtral.get_submodule("model.layers.0.mlp.experts")
    given = list[tuple[Tensor, Tensor]]()
    hook = experts.register_forward_pre_hook(lambda module, args: given.append(args[:2]))
    intact = torch.cat([mixtral(**batch).logits for batch in batches]).argmax(-1)
    hook.remove()
    hidden, chosen = torch.cat([one for one, _ in given]), torch.cat([one for _, one in given])[:, 0]
    for number in range(EXPERTS):
        name = f"model.layers.0.mlp.experts.mul[{number}]"
        gate, up = (hidden[chosen == number] @ experts.gate_up_proj[number].T).chunk(2, -1)
        assert measured.loc[name, "similarity"] == pytest.approx(similarity_of((experts.act_fn(gate) * up).numpy()))
        weights = experts.down_proj[number].clone()
        experts.down_proj[number] = 0
        without = torch.cat([mixtral(**batch).logits for batch in batches]).argmax(-1)
        experts.down_proj[number] = weights
        unchanged = profile.ablation.query("layer == @name and share_dropped == 1")["unchanged"].tolist()
        assert unchanged == [pytest.approx((without == intact).double().mean().item())]


def test_rows_that_move_are_not_dropped_together(mixtral: nn.Module) -> None:
    tokens = torch.randint(40, (6, 10), generator=torch.Generator().manual_seed(0))
    with pytest.raises(ww.RequestError, match="'figures' drops units of all layers together"):
        ww.profile(mixtral, [{"input_ids": tokens}], settings=ww.Measurement(protocols=("figures",)))
