"""Which inputs hold examples is found by running parts; where a batch is more than its examples, it stays whole."""

from typing import Any, NamedTuple

import pytest
import torch
from tests.tracing.plain import plain_activity
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.profile import layers, profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched

EXACT = Measurement(levels=4, samplings=2, activations=None)


class Base(nn.Module):
    """One hidden layer, used in any way."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.head, self.relu = nn.Linear(5, 6), nn.Linear(6, 3), nn.ReLU()
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def forward(self, value: Tensor) -> Tensor:
        return self.head(self.relu(self.hidden(value)))


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


class TableFirst(Base):
    """Rows of a table, chosen by the examples."""

    def forward(self, table: Tensor, value: Tensor) -> Tensor:
        return super().forward(table[value])


class Prototypes(Base):
    """One score for each row of a table that is as long as the batch."""

    def forward(self, prototypes: Tensor, value: Tensor) -> Tensor:
        return super().forward(value)[:, :2] @ prototypes.T


class Weighted(Base):
    """A scalar and a number for each class."""

    def forward(self, value: Tensor, factor: Tensor, bias: Tensor) -> Tensor:
        return super().forward(value) * factor + bias


class Positions(Base):
    """A position for each of a sequence's entries, the same for all examples."""

    def forward(self, value: Tensor, positions: Tensor) -> Tensor:
        return super().forward(value + positions[:, :, None]).sum(1)


class PositionsFirst(Base):
    """Positions come first, then examples, as in `nn.GRU`; the answer is one for each example."""

    def __init__(self):
        super().__init__()
        self.cells = nn.GRU(5, 5)

    def forward(self, value: Tensor, start: Tensor | None = None) -> Tensor:
        return super().forward(self.cells(value, start)[0][-1])


class EveryStep(PositionsFirst):
    """As before, with an answer at every position: what comes first does not depend on what comes later."""

    def forward(self, value: Tensor, start: Tensor | None = None) -> Tensor:
        return Base.forward(self, self.cells(value, start)[0])


ITEMS = {
    "table": (TableFirst(), ((normal(9, 5), torch.arange(20) % 9),), 20, (None, 0)),
    "prototypes, more than examples": (Prototypes(), ((normal(30, 2), normal(20, 5)),), 20, (None, 0)),
    "scalar and classes": (Weighted(), ((normal(20, 5), torch.tensor(2.0), normal(3)),), 20, (0, None, None)),
    "as many classes as examples": (Weighted(), ((normal(3, 5), torch.tensor(2.0), normal(3)),), 3, (0, None, None)),
    "positions": (Positions(), ((normal(20, 4, 5), torch.arange(4.0)[None]),), 20, (0, None)),
    "one example": (Base(), (normal(1, 5),), 1, (0,)),
    "fewer than the probe": (Base(), (normal(2, 5),), 2, (0,)),
    "sequences first": (PositionsFirst(), (normal(7, 20, 5),), 20, (1,)),
    "sequences as many as positions": (PositionsFirst(), (normal(7, 7, 5),), 7, (1,)),
    "with a state": (PositionsFirst(), ((normal(7, 20, 5), normal(1, 20, 5)),), 20, (1, 1)),
    "every step": (EveryStep(), (normal(7, 20, 5),), 20, (1,)),
}


@pytest.mark.parametrize("item", ITEMS)
def test_the_examples_are_those_along_which_outputs_grow(item: str):
    model, batch, examples, along = ITEMS[item]
    given = batch[0]
    inputs = Inputs(given if isinstance(given, tuple) else (given,), {})
    with untouched(model):
        network = Network(model, inputs)
        found = network.arrangement.of(inputs)
    assert (found.examples, found.along, found.divisible) == (examples, along, True)
    measured = profile(model, [batch], settings=EXACT, batch_size=3)
    assert measured.examples == examples
    expected = plain_activity(model, [inputs.args], "relu")
    assert measured.units["mean"].tolist() == pytest.approx(expected.mean(0).tolist(), rel=1e-4, abs=1e-6)
    assert measured.about["labels"] % examples == 0


def test_only_examples_are_cut_and_batches_with_other_tables_are_not_joined():
    model, values = TableFirst(), torch.arange(18) % 9
    tables = normal(9, 5), normal(9, 5) * 2
    batches = [((table, part),) for part in values.split(6) for table in tables]
    measured = profile(model, batches, settings=EXACT, batch_size=4)
    expected = plain_activity(model, [batch[0] for batch in batches], "relu")
    assert measured.units["mean"].tolist() == pytest.approx(expected.mean(0).tolist(), rel=1e-5)
    assert measured.examples == 36
    together = [((tables[0], values),)]
    apart = [((tables[0], part),) for part in values.split(5)]
    assert profile(model, apart, settings=EXACT).ablation.equals(profile(model, together, settings=EXACT).ablation)


class Contrastive(Base):
    """The scores of each left part are its products with all right parts of the batch."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return super().forward(left) @ super().forward(right).T


class Centred(Base):
    """Takes the mean of the batch away."""

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value - value.mean(0))


class FixedSize(Base):
    """Written for eight examples at a time."""

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value.reshape(8, -1))


class NormedByBatch(Base):
    """Batch normalization by the batch's own statistics also in evaluation."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5, track_running_stats=False)

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(self.norm(value))


@pytest.mark.parametrize(
    ("model", "batches"),
    [
        (Contrastive(), [((normal(8, 5), normal(8, 5) + 1),), ((normal(8, 5) * 2, normal(8, 5)),)]),
        (Prototypes(), [((normal(8, 2), normal(8, 5)),), ((normal(8, 2) * 2, normal(8, 5) - 1),)]),
        (Centred(), [normal(8, 5), normal(8, 5) + 3]),
        (NormedByBatch(), [normal(8, 5), normal(8, 5) * 3]),
        (FixedSize(), [normal(8, 5), normal(8, 5) * 2]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_network_of_whole_batches_is_measured_on_them_as_they_are_given(model: Base, batches: list):
    measured = profile(model, batches, settings=EXACT, batch_size=5)
    assert "part of a batch" in measured.about["batches_as_given"]
    assert measured.examples == 16
    given = [batch[0] if isinstance(batch, tuple) else (batch,) for batch in batches]
    site = "relu:2" if isinstance(model, Contrastive) else "relu"
    expected = plain_activity(model, given, site)
    units = measured.units[measured.units["layer"] == site]
    assert units["mean"].tolist() == pytest.approx(expected.mean(0).tolist(), rel=1e-5)
    with torch.no_grad():
        labels = torch.cat([model(*arguments).argmax(-1) for arguments in given])
        zeroed = torch.cat([_without_all(model, site, arguments).argmax(-1) for arguments in given])
    last = measured.ablation[(measured.ablation["layer"] == site) & (measured.ablation["share_dropped"] == 1)]
    assert last["unchanged"].tolist() == pytest.approx([(labels == zeroed).double().mean().item()] * 2)


def _without_all(model: Base, site: str, arguments: tuple[Tensor, ...]) -> Tensor:
    """The output when all of a layer's values are 0."""
    calls = []

    def drop(module: nn.Module, given: object, output: Tensor) -> Tensor:
        calls.append(output)
        return output * 0 if len(calls) == (2 if site.endswith(":2") else 1) else output

    handle = model.relu.register_forward_hook(drop)
    try:
        return model(*arguments)
    finally:
        handle.remove()


class OfGraph(Base):
    """A node's answer is of its neighbours, which the edges' ends name."""

    def forward(self, value: Tensor, edges: Tensor) -> Tensor:
        return super().forward(value.index_add(0, edges[1], value[edges[0]]))


class OfBags(Base):
    """Examples of several tokens each, which follow each other in one dimension."""

    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(9, 5)

    def forward(self, tokens: Tensor, starts: Tensor) -> Tensor:
        return super().forward(self.table(tokens, starts))


class OfPacked(PositionsFirst):
    def forward(self, value: Any) -> Tensor:
        return Base.forward(self, self.cells(value)[1][0])


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


class OfNamed(Base):
    def forward(self, pair: Pair) -> Tensor:
        return super().forward(pair.left - pair.right)


@pytest.mark.parametrize(
    ("model", "batch", "examples"),
    [
        (OfGraph(), ((normal(12, 5), torch.arange(80).view(2, 40) % 12),), 12),
        (OfBags(), ((torch.arange(30) % 9, torch.arange(0, 30, 3)),), 10),
        (OfPacked(), nn.utils.rnn.pack_sequence([normal(length, 5) for length in (3, 6, 2, 4)], False), 4),
        (OfNamed(), ((Pair(normal(9, 5), normal(9, 5) ** 2),),), 9),
    ],
    ids=lambda each: type(each).__name__,
)
def test_inputs_of_every_form_are_examples_by_the_outputs_that_they_have(model: Base, batch: Any, examples: int):
    measured = profile(model, [batch], settings=EXACT)
    arguments = batch[0] if type(batch) is tuple else (batch,)
    expected = plain_activity(model, [arguments], "relu")
    assert measured.examples == examples == len(expected)
    assert measured.units["mean"].tolist() == pytest.approx(expected.mean(0).tolist(), rel=1e-5)


def test_a_smaller_last_batch_of_a_fixed_size_is_refused_by_its_number():
    with pytest.raises(RequestError, match=r"FixedSize cannot be run on batch 2, of shape \(3, 5\): RuntimeError"):
        profile(FixedSize(), [normal(8, 5), normal(3, 5)])


def test_one_answer_for_a_whole_batch_is_refused():
    class OfTheSet(Base):
        def forward(self, value: Tensor) -> Tensor:
            return super().forward(value).mean(0, keepdim=True)

    with pytest.raises(RequestError, match=r"the output, of shape \(1, 3\), does not grow with any of the inputs"):
        layers(OfTheSet(), normal(8, 5))


def test_inputs_of_different_numbers_of_examples_are_refused():
    class Pair(Base):
        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return super().forward(left + right)

    batches = [((normal(8, 5), normal(8, 5)),), ((normal(8, 5), normal(6, 5)),)]
    with pytest.raises(
        RequestError, match=r"batch 2, of shapes \(8, 5\), \(6, 5\), hold different numbers of examples"
    ):
        profile(Pair(), batches)


def test_positions_for_all_in_a_later_batch_of_one_example_are_right_too():
    positions = torch.arange(4.0)[None]
    values = normal(9, 4, 5)
    model = Positions()
    batches = [((part, positions),) for part in (values[:1], values[1:])]
    together = [((values, positions),)]
    one, other = (profile(model, each, settings=EXACT) for each in (batches, together))
    assert one.ablation.equals(other.ablation)
    assert one.examples == other.examples == 9
