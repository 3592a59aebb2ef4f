"""Networks whose code makes it hard to run a part of them again, each beside one that computes the same plainly."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.errors import TrialError
from widthwise.measurement.profile import layers, profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.untouched import untouched


class Base(nn.Module):
    """Three dense layers to be used in any way."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        for parameter in self.parameters():
            nn.init.normal_(parameter)
        self.relu, self.written = nn.ReLU(), nn.ReLU(inplace=True)
        self.drop = nn.Dropout()

    def forward(self, value: Tensor) -> Tensor:
        raise NotImplementedError


class DroppedThenWritten(Base):
    """In evaluation mode dropout gives the very tensor that it was given, which is then written to."""

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.drop(self.relu(self.a(value)))
        hidden += self.b(value).abs() * 3
        return self.c(hidden)


class DroppedThenAdded(Base):
    def forward(self, value: Tensor) -> Tensor:
        return self.c(self.relu(self.a(value)) + self.b(value).abs() * 3)


class UsedByItsArgument(Base):
    """What an in-place nonlinearity returns is thrown away."""

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.a(value)
        self.written(hidden)
        return self.c(hidden)


class UsedByItsResult(Base):
    def forward(self, value: Tensor) -> Tensor:
        return self.c(self.relu(self.a(value)))


class WrittenForTwo(Base):
    """A skip connection from before an in-place nonlinearity, which writes over it."""

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.a(value)
        return self.c(self.b(self.written(hidden)) + hidden)


class SharedByTwo(Base):
    def forward(self, value: Tensor) -> Tensor:
        hidden = self.relu(self.a(value))
        return self.c(self.b(hidden) + hidden)


class InputWritten(Base):
    def forward(self, value: Tensor) -> Tensor:
        value.sub_(0.5)
        return self.c(self.relu(self.a(value)))


class InputKept(Base):
    def forward(self, value: Tensor) -> Tensor:
        return self.c(self.relu(self.a(value - 0.5)))


class InParts(Base):
    """The output is put together in memory of its own."""

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.relu(self.a(value))
        out = torch.full((len(value), 3), torch.nan)
        out[:, :2] = self.c(hidden)[:, :2]
        out[:, 2:].copy_(self.c(hidden)[:, 2:])
        return out


class InTwoViews(Base):
    """Both views of it are there before either is written to."""

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.relu(self.a(value))
        out = torch.zeros(len(value), 3)
        left, right = out[:, :2], out[:, 2:]
        left.copy_(self.c(hidden)[:, :2])
        right.copy_(self.c(hidden)[:, 2:])
        return out


class SequenceFirst(Base):
    """Inside, the examples are not first."""

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.relu(self.a(torch.stack([value, -value], 1).transpose(0, 1)))
        return self.c(hidden.transpose(0, 1).sum(1))


class ExamplesFirst(Base):
    def forward(self, value: Tensor) -> Tensor:
        return self.c(self.relu(self.a(torch.stack([value, -value], 1))).sum(1))


class Cast(Base):
    def forward(self, value: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.c(self.relu(self.a(value))).float()


class Caught(Base):
    """An error inside is caught, and what comes after is not inside of what failed."""

    def __init__(self):
        super().__init__()
        self.failing = nn.Bilinear(2, 2, 2)

    def forward(self, value: Tensor) -> Tensor:
        try:
            value = self.failing(value, value)
        except RuntimeError:
            value = self.a(value)
        return self.c(F.relu(value))


class Hidden(Base):
    """A part of it cannot be seen, as that of a compiled module, and shows in small activations not at all."""

    def forward(self, value: Tensor) -> Tensor:
        hidden = self.relu(self.a(value))
        with torch._C.DisableTorchFunction():
            gate = torch.relu(hidden.sum(1, keepdim=True) - 6)
        return self.c(hidden) + 5 * gate * torch.tensor([0.0, 1.0, -1.0])


INPUTS = torch.randn(60, 6, generator=torch.Generator().manual_seed(1))
FEWER = Measurement(levels=4, samplings=2)


@pytest.mark.parametrize(
    ("hard", "plain", "replayed"),
    [
        (DroppedThenWritten, DroppedThenAdded, True),
        (UsedByItsArgument, UsedByItsResult, True),
        (WrittenForTwo, SharedByTwo, True),
        (InputWritten, InputKept, True),
        (InParts, UsedByItsResult, False),
        (InTwoViews, UsedByItsResult, False),
        (SequenceFirst, ExamplesFirst, True),
        (Caught, UsedByItsResult, True),
    ],
)
def test_it_is_measured_as_its_plain_twin_is(hard: type[Base], plain: type[Base], replayed: bool):
    expected = profile(plain(), [INPUTS], settings=FEWER)
    measured = profile(hard(), [INPUTS], settings=FEWER)
    whole = profile(hard(), [INPUTS], settings=FEWER, replay=False)
    assert measured.about["replayed"] == replayed, measured.about["reason"]
    for found in (measured, whole):
        assert found.ablation["unchanged"].tolist() == pytest.approx(expected.ablation["unchanged"].tolist(), abs=1e-9)
        assert found.units["mean"].tolist() == pytest.approx(expected.units["mean"].tolist(), rel=1e-5)
    assert (expected.ablation["unchanged"] < 1).any()


def test_examples_that_are_not_first_are_still_drawn_one_by_one():
    one, other = (profile(SequenceFirst(), [INPUTS], batch_size=size) for size in (7, 60))
    assert one.ablation.equals(other.ablation)
    assert one.correlation.equals(other.correlation)
    assert layers(SequenceFirst(), INPUTS)["shape"].tolist() == [(2, 6)]


@pytest.mark.parametrize(
    ("hard", "reason"), [(Cast, "cannot be run by itself|does not give what"), (Hidden, "not PyTorch's own")]
)
def test_what_cannot_be_replayed_is_run_whole_and_says_why(hard: type[Base], reason: str):
    small_first = torch.cat([INPUTS[:4] * 0.01, INPUTS[4:] * 3])
    measured, whole = (profile(hard(), [small_first], settings=FEWER, replay=replay) for replay in (True, False))
    assert not measured.about["replayed"]
    assert re.search(reason, measured.about["reason"])
    assert measured.ablation.equals(whole.ablation)


def test_a_name_found_after_a_caught_error_is_that_of_its_module():
    assert layers(Caught(), INPUTS)["layer"].tolist() == ["relu()"]


class Gated(Base):
    """A gate of one number for each example is no layer, and spoils nothing."""

    def __init__(self):
        super().__init__()
        self.g = nn.Linear(6, 1)

    def forward(self, value: Tensor) -> Tensor:
        gate = torch.sigmoid(self.g(value).squeeze(-1))
        return self.c(self.relu(self.a(value) * 0.5 - self.b(value)) * gate[:, None])


def test_what_has_no_units_is_no_layer_and_arithmetic_is_passed():
    table = layers(Gated(), INPUTS)
    assert table[table["measured"]]["layer"].tolist() == ["relu"]
    assert table[~table["measured"]][["layer", "note"]].to_numpy().tolist() == [
        ["sigmoid", "it has one number for each example"]
    ]


class Transposed(nn.Module):
    """Batch normalization over the last dimension's units, in the middle of three."""

    def __init__(self):
        super().__init__()
        self.dense, self.norm, self.head = nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Linear(16, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.dense(value).transpose(1, 2))).mean(2))


def test_units_are_followed_when_dimensions_are_swapped():
    (found,) = layers(Transposed(), torch.randn(5, 6, 4)).to_dict("records")
    assert (found["units"], found["shape"]) == (16, (16, 6))


def test_batches_are_joined_only_where_that_is_right():
    class Pair(Base):
        def forward(self, left: Tensor, right: Tensor, factor: float = 1.0) -> Tensor:
            return self.c(self.relu(self.a(left) - factor * right))

    halves = [(INPUTS[:20], INPUTS[20:40]), (INPUTS[40:], INPUTS[:20])]
    named = [{"left": halves[0][0], "right": halves[0][1]}, {"right": halves[1][1], "left": halves[1][0]}]
    model = Pair()
    expected = profile(model, [(half,) for half in halves], batch_size=20)
    assert profile(model, named).units.equals(profile(model, [(half,) for half in halves]).units)
    assert profile(model, named, batch_size=20) == expected
    with_factors = [((*half, factor),) for half, factor in zip(halves, (1.0, -1.0), strict=True)]
    apart, together = profile(model, with_factors, batch_size=20), profile(model, with_factors)
    assert apart.units["mean"].tolist() == pytest.approx(together.units["mean"].tolist())


def test_correlations_are_exact_also_under_autocast():
    model = UsedByItsResult()
    expected = profile(model, [INPUTS]).pairs["r"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        from widthwise.measurement.correlation import RunningCorrelation

        running = RunningCorrelation(6)
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            activity = model.relu(model.a(INPUTS))
        running.update(activity)
    assert running.compute().r.abs().triu(1).max().item() == pytest.approx(expected.abs().max(), abs=1e-6)


def test_a_norm_that_couples_units_and_a_unit_joined_twice_are_not_mistaken_for_disconnected():
    class Coupled(Base):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(6)
            self.c.weight.data[:, 0] = 0

        def forward(self, value: Tensor) -> Tensor:
            return self.c(self.norm(self.relu(self.a(value)) * torch.arange(9.0, 3.0, -1)))

    class Twice(Base):
        def __init__(self):
            super().__init__()
            self.c = nn.Linear(12, 3)
            self.c.weight.data[:, 0] = 0

        def forward(self, value: Tensor) -> Tensor:
            hidden = self.relu(self.a(value))
            return self.c(torch.cat([hidden, hidden], 1))

    for model in (Coupled(), Twice()):
        units = profile(model, [INPUTS]).units
        assert "disconnected" not in set(units["mechanism"].dropna())
    assert (units["outgoing_norm"] > 0).all()


def test_a_network_that_writes_to_its_parameters_is_refused():
    class Writing(Base):
        def forward(self, value: Tensor) -> Tensor:
            self.a.weight.add_(1)
            return self.c(self.relu(self.a(value)))

    with pytest.raises(ValueError, match=r"the network writes to its own parameter a\.weight"):
        profile(Writing(), [INPUTS])


def test_modes_are_set_and_put_back_without_a_networks_own_train():
    class Merging(UsedByItsResult):
        def train(self, mode: bool = True):
            self.a.weight.data += 1
            return super().train(mode)

    model = Merging()
    before = model.a.weight.clone()
    model.register_buffer("old", torch.zeros(2))
    with untouched(model):
        assert not any(module.training for module in model.modules())
        model.register_buffer("new", torch.ones(1))
    assert torch.equal(model.a.weight, before)
    assert all(module.training for module in model.modules())
    assert dict(model.named_buffers()).keys() == {"old"}


def test_images_of_several_sizes_are_not_sampled_unevenly():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    batches = [torch.randn(6, 1, 8, 8), torch.randn(6, 1, 9, 9)]
    with pytest.raises(ValueError, match=r"^activations: .*cannot be sampled evenly; .* or take all activations"):
        profile(model, batches, settings=Measurement(granularity="channel", activations=50))


def test_a_network_that_fails_when_units_are_dropped_is_said_to():
    class Fragile(Base):
        def forward(self, value: Tensor) -> Tensor:
            hidden = self.relu(self.a(value))
            if not hidden.any():
                raise ArithmeticError("nothing left")
            return self.c(hidden)

    with pytest.raises(ValueError, match="cannot be run without units of layer relu: ArithmeticError: nothing left"):
        profile(Fragile(), [INPUTS])


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")])
def test_too_little_memory_is_no_fault_of_the_request(error: Exception):
    class Large(Base):
        def forward(self, value: Tensor) -> Tensor:
            if len(value) > 4:
                raise error
            return self.c(self.relu(self.a(value)))

    with pytest.raises(TrialError, match=r"cannot be run on batch 1, .*; a smaller batch_size takes less memory"):
        profile(Large(), [INPUTS])
    assert profile(Large(), [INPUTS], batch_size=4).examples == len(INPUTS)
