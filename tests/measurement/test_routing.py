"""Mixtures of experts: each expert's units are measured over the tokens that it saw."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww

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
    torch.manual_seed(0)
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
    assert list(measured.index) == [f"relu[{number}]" for number in range(EXPERTS)]
    everything = torch.cat(batches)
    hidden, intact = model.hidden(everything), model(everything).argmax(-1)
    for number in range(EXPERTS):
        row = measured.loc[f"relu[{number}]"]
        assert row["units"] == HIDDEN
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


def test_a_mixture_of_transformers_library_is_measured() -> None:
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
    )
    model = transformers.MixtralForCausalLM(configuration).eval()
    tokens = torch.randint(40, (6, 10), generator=torch.Generator().manual_seed(0))
    table = ww.layers(model, {"input_ids": tokens})
    measured = table[table["measured"]]
    assert len(measured) == 3
    assert (measured["units"] == 12).all()
    profile = ww.profile(model, [{"input_ids": tokens}], settings=EVERYTHING)
    assert list(profile.layers["layer"]) == measured["layer"].tolist()
