"""Units are where the data says: each index of the producing weight, wherever an operation puts it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from widthwise.measurement.profile import layers, profile
from widthwise.tracing.flow import Flow
from widthwise.tracing.graph import Graph
from widthwise.tracing.recording import record
from widthwise.tracing.tape import Operation, Tape
from widthwise.tracing.unit_flow import Units, units_after
from widthwise.tracing.unit_labels import Labels, along_one_dimension, codes_by_bits, labelled

UNITS = 16


class Moved(nn.Module):
    """A product of 16 units at 9 positions, moved in some way before its nonlinearity."""

    def __init__(self, move: Callable[[Tensor], Tensor], convolution: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.product = nn.Conv2d(3, UNITS, 3, padding=1) if convolution else nn.Linear(5, UNITS)
        self.move = move
        self.head = nn.LazyLinear(4)

    def forward(self, value: Tensor) -> Tensor:
        return self.head(F.relu(self.move(self.product(value))).flatten(1))


def shuffled(value: Tensor) -> Tensor:
    return value.view(-1, 4, 4, 6, 6).transpose(1, 2).reshape(-1, UNITS, 6, 6)


@pytest.mark.parametrize(
    ("move", "convolution", "units", "by_hand"),
    [
        (lambda x: x.movedim(2, 1), False, 16, lambda x: x),
        (lambda x: x.mT, False, 16, lambda x: x),
        (lambda x: x.swapdims(1, 2), False, 16, lambda x: x),
        (lambda x: x.reshape_as(torch.zeros(len(x), 3, 3, 16)), False, 16, lambda x: x),
        (lambda x: x.masked_fill(torch.arange(9).view(9, 1) > 6, 0.0), False, 16, None),
        (lambda x: x.roll(2, 1), False, 16, lambda x: x),
        (lambda x: x.roll(2, 2), False, 16, lambda x: x.roll(2, -1)),
        (lambda x: x.transpose(1, 2).chunk(2, 1)[1], False, 8, lambda x: x[..., 8:]),
        (lambda x: torch.split(x, [5, 11], 2)[0], False, 5, lambda x: x[..., :5]),
        (lambda x: torch.stack([x, x], 1), False, 16, lambda x: x),
        (lambda x: x.unflatten(2, (4, 4)).transpose(1, 2).transpose(1, 2).flatten(2), False, 16, lambda x: x),
        (lambda x: x.unsqueeze(-1).expand(-1, -1, -1, 3), False, 16, lambda x: x),
        (lambda x: x.gather(1, torch.arange(8, -1, -1).view(1, 9, 1).expand(len(x), 9, 16)), False, 16, lambda x: x),
        (
            lambda x: torch.view_as_real(torch.view_as_complex(x.reshape(-1, 9, 8, 2))).flatten(2),
            *(False, 16, lambda x: x),
        ),
        (lambda x: x.permute(0, 2, 3, 1).chunk(2, -1)[0], True, 8, lambda x: x[..., :8]),
        (lambda x: x.repeat(1, 1, 2, 1), True, 16, lambda x: x),
        (lambda x: x.flatten(1), False, 16, lambda x: x),
        (lambda x: x.flatten(0, 1).T.flatten().view(16, -1, 9).transpose(0, 1), False, 16, lambda x: x),
        (lambda x: x.mT.flatten(0, 1).view(-1, 16, 9), False, 16, lambda x: x),
        (lambda x: x.flatten(1), True, 16, lambda x: x),
        (lambda x: torch.fft.rfft(x, dim=3).real, True, 16, None),
        (shuffled, True, 16, lambda x: x.unflatten(-1, (4, 4)).mT.flatten(-2)),
        (lambda x: F.pixel_shuffle(x, 2), True, 4, lambda x: x.unflatten(-1, (4, 4)).mean(-1)),
        (lambda x: F.pad(x, (1, 1, 0, 0, 2, 2)), True, 20, None),
        (lambda x: torch.cat([x, -x], 1), True, 32, lambda x: x),
    ],
)
def test_units_are_followed_wherever_they_go(move: Any, convolution: bool, units: int, by_hand: Any):
    inputs = torch.randn(6, *((3, 6, 6) if convolution else (9, 5)))
    model = Moved(move, convolution).eval()
    model(inputs)
    (row,) = layers(model, inputs).to_dict("records")
    assert row["measured"], row["note"]
    assert row["units"] == units
    if by_hand is not None:  # the mean activity of each unit, from the product itself
        with torch.no_grad():
            product = model.product(inputs)
            activity = F.relu(product.movedim(1, -1) if convolution else product)
        expected = by_hand(activity).reshape(-1, by_hand(activity).shape[-1]).mean(0)
        found = profile(model, [inputs]).units["mean"].to_numpy()
        assert found[: len(expected)] == pytest.approx(expected.numpy(), rel=1e-5)


class Weighted(nn.Module):
    def __init__(self, product: Callable[[Tensor, Tensor], Tensor], *shape: int):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(shape))
        self.product = product
        self.head = nn.LazyLinear(4)

    def forward(self, value: Tensor) -> Tensor:
        return self.head(torch.tanh(self.product(value, self.weight)).flatten(1))


@pytest.mark.parametrize(
    ("product", "shape", "dimension"),
    [
        (lambda x, w: x @ w, (5, 16), 2),
        (lambda x, w: w @ x.mT, (16, 5), 1),
        (lambda x, w: F.linear(x, w), (16, 5), 2),
        (lambda x, w: torch.einsum("btd,fd->btf", x, w), (16, 5), 2),
        (lambda x, w: torch.einsum("fd,btd->bft", w, x), (16, 5), 1),
        (lambda x, w: torch.addmm(torch.zeros(16), x[:, 0], w), (5, 16), 1),
        (lambda x, w: torch.addmm(torch.zeros(16, 1), w, x[:, 0].mT).mT, (16, 5), 1),
        (lambda x, w: torch.baddbmm(torch.zeros(16), x, w.expand(len(x), 5, 16)), (5, 16), 2),
        (lambda x, w: torch.bmm(x, w.repeat(len(x), 1, 1)), (5, 16), 2),
        (lambda x, w: torch.tensordot(x, w, 1), (5, 16), 2),
        (lambda x, w: F.conv1d(x.mT, w), (16, 5, 2), 1),
        (lambda x, w: F.conv_transpose1d(x.mT, w), (5, 16, 2), 1),
        (lambda x, w: torch.einsum("bct,ck->bkt", x.mT, w * w.abs()), (5, 16), 1),
        (lambda x, w: torch.einsum("btd,dhf->bthf", x, w).flatten(2), (5, 4, 4), 2),
        (lambda x, w: -torch.cdist(x, w), (16, 5), 2),
    ],
)
def test_units_of_every_product_are_found(product: Any, shape: tuple[int, ...], dimension: int):
    inputs = torch.randn(6, 9, 5)
    model = Weighted(product, *shape).eval()
    model(inputs)
    (row,) = layers(model, inputs).to_dict("records")
    assert (row["units"], row["unit_dimension"], row["note"]) == (16, dimension, "")


def test_embeddings_have_units():
    for embedding in (nn.Embedding(20, 16), nn.EmbeddingBag(20, 16)):
        model = nn.Sequential(embedding, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3)).eval()
        tokens = torch.randint(0, 20, (6, 9))
        model(tokens)
        (row,) = layers(model, tokens).to_dict("records")
        assert (row["units"], row["follows"]) == (16, "0")


@pytest.mark.parametrize(
    ("move", "reason"),
    [
        (lambda x: x.unflatten(2, (4, 4)), "they lie along more than one dimension"),
        (lambda x: x.unflatten(2, (4, 4)).transpose(1, 2), "they lie along more than one dimension"),
        (lambda x: x.cumsum(2), "cumsum mixes them"),
        (lambda x: x @ x.mT, "matmul mixes them"),
        (lambda x: x.sum(2, keepdim=True) + 1, "sum sums over them or takes one of them"),
        (lambda x: torch.cat([x.mT.flatten(1), x[:, 0]], 1), "they take different numbers of entries"),
    ],
)
def test_what_is_not_known_is_left_out_and_can_be_said(move: Any, reason: str):
    inputs = torch.randn(6, 9, 5)
    model = nn.Sequential(Moved(move), nn.ReLU(), nn.Linear(4, 3)).eval()
    model(inputs)
    table = layers(model, inputs)
    assert table["layer"].tolist() == ["0.relu", "1"]
    assert table["note"][0] == f"units not known: {reason}"
    measured = profile(model, [inputs])
    assert measured.layers["layer"].tolist() == ["1"]
    with pytest.raises(ValueError, match=rf"where the units of 0\.relu, .* lie is not known: {reason}; say"):
        layers(model, inputs, layers="0.relu")
    told = layers(model, inputs, units={"0.relu": 1})
    assert told["measured"].all()
    assert told["unit_dimension"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"1": 2}, "units: the value of 1 has 2 dimensions, so its units cannot lie along 2"),
        ({"0": 1}, "units: 0 is given a dimension, but is not measured; name it in layers, too"),
        ({"relu": 1}, "'relu' is no layer of the network"),
    ],
)
def test_a_dimension_that_cannot_be_is_refused(units: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        layers(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(5, 3), units=units)


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        return value.transpose(1, 2) * 2


def test_a_users_own_function_is_followed():
    inputs = torch.randn(6, 9, 5)
    model = Moved(Own.apply).eval()  # type: ignore[arg-type]
    model(inputs)
    assert layers(model, inputs)[["units", "unit_dimension"]].to_numpy().tolist() == [[16, 1]]


RULED: list[Callable[[Tensor], Any]] = [
    lambda x: x + 1,
    lambda x: x * torch.arange(1.0, x.shape[-1] + 1),
    lambda x: F.batch_norm(x, torch.zeros(x.shape[1]), torch.ones(x.shape[1])),
    lambda x: F.max_pool2d(x, 2),
    lambda x: F.adaptive_avg_pool2d(x, 1),
    lambda x: F.interpolate(x, scale_factor=2),
    lambda x: torch.tanh(x),
    lambda x: torch.maximum(x, -x),
    lambda x: torch.where(x > 0, x, 0.0),
    lambda x: x.masked_fill(x > 0, 0.0),
    lambda x: x.permute(0, 3, 1, 2),
    lambda x: x.transpose(1, -1),
    lambda x: x.mT,
    lambda x: x.flatten(1),
    lambda x: x.reshape(x.shape[0], x.shape[1], -1),
    lambda x: x.reshape(-1, x.shape[-1]),
    lambda x: x.unsqueeze(1),
    lambda x: x[:, :, :1].squeeze(2),
    lambda x: x[1:, 0],
    lambda x: x.mean((2, 3)),
    lambda x: x.sum(1, keepdim=True),
    lambda x: x.amax(-1),
    lambda x: x.std(2),
    lambda x: x.chunk(2, 1),
    lambda x: x.split([1, x.shape[3] - 1], 3),
    lambda x: torch.cat([x, x], 2),
    lambda x: torch.cat([x.detach() * 2, x], 1),
    lambda x: F.dropout(x, training=False),
    lambda x: x.expand(3, *x.shape),
    lambda x: x.to(torch.float64),
]


@pytest.mark.parametrize("which", range(len(RULED)))
@settings(max_examples=6, deadline=None)
@given(shape=st.lists(st.integers(2, 4), min_size=4, max_size=4), dimension=st.integers(1, 3))
def test_rules_by_name_give_what_calling_gives(which: int, shape: list[int], dimension: int):
    """What each rule says about every operation of a function is what changing its input's entries shows."""
    torch.manual_seed(0)
    start = torch.randn(shape)
    tape = record(nn.Identity(), lambda: list(_flat(RULED[which](start))))
    place: dict[Any, Units] = {slot: Units(dimension) for slot, value in tape.values.items() if value is start}
    for operation in tape.operations:
        for slot in [slot for slot in operation.inputs if slot in place]:
            moved = units_after(tape, operation, slot, place[slot])
            found = called(tape, operation, slot, place[slot])
            if moved is None:
                continue
            for output in dict.fromkeys(operation.outputs):
                units = [each for one, each in moved if one == output]
                labels = found[output]
                if not units:
                    assert labels is None or not (labels > 0).any() or tape.values[output].dim() == 0
                    continue
                expected = torch.zeros(tape.values[output].shape, dtype=torch.long)
                for each in units:
                    codes = labelled(tape.values[output], each).codes
                    expected = torch.where(codes <= shape[dimension], torch.maximum(expected, codes), expected)
                assert labels is not None
                assert ((labels == expected) | (labels == 0)).all()
                assert set(labels.unique().tolist()) == set(expected.unique().tolist()) | {0} & set(
                    labels.unique().tolist()
                )
                place[output] = units[0]


def called(tape: Tape, operation: Operation, slot: Any, units: Units) -> dict[Any, Tensor | None]:
    value = tape.values[slot]
    labels = labelled(value, units)
    found = codes_by_bits(lambda changed: tape.computed(operation, {slot: changed}), value, labels.codes, labels.count)
    assert found is not None
    return found


def _flat(values: Any) -> list[Tensor]:
    return [values] if isinstance(values, Tensor) else list(values)


def test_units_along_two_dimensions_or_none_are_told_apart_from_those_along_one():
    index = torch.arange(1, 13)
    assert along_one_dimension(Labels(index.view(1, 12).expand(5, 12), 12)) == Units(1)
    assert along_one_dimension(Labels(index.repeat_interleave(3).view(1, 36).expand(5, 36), 12)) == Units(1, 0, 3)
    assert along_one_dimension(Labels(index.view(3, 4), 12)) == "they lie along more than one dimension"
    assert along_one_dimension(Labels(torch.ones(3, 4, dtype=torch.long), 12)) == (
        "they lie along no dimension of their own"
    )


def test_a_constant_matrix_between_products_keeps_the_units_of_the_product():
    """An adjacency matrix mixes nodes, not features."""

    class Graphs(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("adjacent", torch.rand(9, 9))
            self.features, self.head = nn.Linear(5, 16), nn.Linear(16, 3)

        def forward(self, value: Tensor) -> Tensor:
            return self.head(F.relu(self.adjacent @ self.features(value)).mean(1))

    (row,) = layers(Graphs(), torch.randn(4, 9, 5)).to_dict("records")
    assert (row["units"], row["unit_dimension"], row["follows"]) == (16, 2, "features")


def test_a_weight_held_as_a_buffer_is_a_weight():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.randint(-8, 8, (16, 5)))
            self.head = nn.Linear(16, 3)

        def forward(self, value: Tensor) -> Tensor:
            return self.head(F.relu(value @ (self.weight * 0.1).mT))

    (row,) = layers(Frozen(), torch.randn(4, 5)).to_dict("records")
    assert (row["units"], row["unit_dimension"]) == (16, 1)


def test_flows_are_found_without_running_the_network_again():
    calls = []

    class Counting(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            calls.append(1)
            return super().forward(input)

    model, inputs = nn.Sequential(Counting(4, 6), nn.ReLU(), Counting(6, 3)), torch.randn(3, 4)
    tape = record(model, lambda: [model(inputs)])
    seen = len(calls)
    flow = Flow(Graph(model, tape, set(), True))
    carried = flow.at(tape.results[0])
    assert carried is not None
    assert carried.units == Units(1)
    assert len(calls) == seen
