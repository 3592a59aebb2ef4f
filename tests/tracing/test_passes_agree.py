"""Every pass over the data sees the same examples, or the measurement is refused."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from widthwise.errors import RequestError
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.arrangement import Arrangement
from widthwise.tracing.batches import Batches
from widthwise.tracing.digest import digest
from widthwise.tracing.inputs import Inputs

SETTINGS = Measurement(levels=4, samplings=2, replacement="mean", activations=None)
VALUES = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
LITTLE = 100
"""Bytes: less than the values take, so that they are read in every pass."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))


class Augmented(Dataset):
    """Other examples each time."""

    def __len__(self) -> int:
        return len(VALUES)

    def __getitem__(self, index: int) -> Tensor:
        return VALUES[index] + torch.randn(5)


class Exhausted(IterableDataset):
    """One iterator behind it, so that each reading goes on where another ended."""

    def __init__(self, more: int):
        self.values = iter(VALUES)
        self.more = more

    def __iter__(self) -> Iterator[Tensor]:
        for _, value in zip(range(self.more), self.values, strict=False):
            yield value


class Counting:
    """Batches that note how often they are read; `change` makes those of the next reading."""

    def __init__(self, change: Callable[[list[Tensor], int], list[Tensor]] = lambda batches, reading: batches):
        self.readings = 0
        self.change = change

    def __iter__(self) -> Iterator[Tensor]:
        self.readings += 1
        yield from self.change(list(VALUES.split(7)), self.readings)


class OneMemory:
    """Fills the same memory with each batch, and is right in every reading."""

    def __iter__(self) -> Iterator[Tensor]:
        memory = torch.empty(5, 5)
        for part in VALUES.split(5):
            yield memory.copy_(part)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(TensorDataset(VALUES), 7, shuffle=True),
        lambda: DataLoader(Augmented(), 7),
        lambda: (part for part in VALUES.split(7)),
        lambda: iter(DataLoader(TensorDataset(VALUES), 7, shuffle=True)),
        lambda: Counting(lambda batches, reading: [batch + reading for batch in batches]),
    ],
)
def test_what_can_be_held_is_read_once_whatever_it_would_give_next_time(make: Callable):
    measured = profile(network(), make(), settings=SETTINGS)
    assert measured.examples == 20
    assert measured.ablation["unchanged"][measured.ablation["share_dropped"] == 0].tolist() == [1.0] * 2
    counted = Counting()
    expected = profile(network(), [VALUES], settings=SETTINGS)
    assert profile(network(), counted, settings=SETTINGS) == expected
    assert counted.readings == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataLoader(TensorDataset(VALUES), 7, shuffle=True), "batch 1 holds other examples when it is read"),
        (
            lambda: DataLoader(Augmented(), 7),
            "batch 1 holds other examples when it is read again; batches must give the",
        ),
        (lambda: DataLoader(Exhausted(6), 3), "batch 1 holds other examples"),
        (lambda: DataLoader(Exhausted(10), 5), "batches gives 0 batches when it is read again, and not"),
        (
            lambda: Counting(lambda batches, reading: batches[: 4 - reading]),
            "gives 1 batch when it is read again, and not 2",
        ),
        (lambda: Counting(lambda batches, reading: batches[:reading]), "gives more than 2 batches when it is read ag"),
        (
            lambda: Counting(lambda batches, reading: batches[::-1] if reading == 3 else batches),
            "batch 1 holds other ex",
        ),
        (lambda: Counting(lambda b, reading: [b[0].flip(0) if reading == 3 else b[0], *b[1:]]), "batch 1 holds other"),
    ],
)
def test_what_does_not_fit_and_changes_is_refused(make: Callable, message: str):
    with pytest.raises(RequestError, match=message) as refused:
        profile(network(), make(), settings=SETTINGS, memory=LITTLE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("make", [Counting, OneMemory, lambda: DataLoader(TensorDataset(VALUES), 7)])
def test_what_does_not_fit_and_stays_the_same_is_measured(make: Callable):
    expected = profile(network(), [VALUES], settings=SETTINGS)
    assert profile(network(), make(), settings=SETTINGS, memory=LITTLE, batch_size=20) == expected


def test_a_loader_that_fills_one_memory_is_read_anew_also_where_it_would_fit():
    expected = profile(network(), [VALUES], settings=SETTINGS)
    assert profile(network(), OneMemory(), settings=SETTINGS) == expected
    assert profile(network(), iter(OneMemory()), settings=SETTINGS) == expected


def test_a_table_that_all_batches_share_does_not_keep_them_from_being_held():
    table = torch.eye(5)

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, value: Tensor, turn: Tensor) -> Tensor:
            return self.body(value @ turn)

    class Shuffled:
        def __iter__(self) -> Iterator[tuple[tuple[Tensor, Tensor]]]:
            for part in VALUES[torch.randperm(20)].split(7):
                yield ((part, table),)

    measured = profile(Turned(), Shuffled(), settings=SETTINGS)
    expected = profile(network(), [VALUES], settings=SETTINGS)
    assert measured.units["mean"].tolist() == pytest.approx(expected.units["mean"].tolist(), rel=1e-5)


def test_no_more_than_allowed_is_held():
    batches = Batches(Counting(), memory=LITTLE)
    batches.arrange(Arrangement({(0,): 0}))
    assert batches.examples == 20
    assert batches._held is None
    assert torch.equal(torch.cat([part.tensors[0] for part in batches.of_size(6)]), VALUES)


def test_a_digest_tells_order_type_and_shape_apart_but_not_memory_layout():
    def of(tensor: Tensor) -> bytes:
        return digest(Inputs((tensor,), {}))

    square = torch.arange(12.0).view(3, 4)
    different = [
        square,
        square.flip(0),
        square.view(4, 3),
        square.T,
        square.int(),
        square.to_sparse(),
        square * 1j,
        -square,
    ]
    assert len({of(each) for each in different}) == len(different)
    assert of(square) == of(square.T.contiguous().T) == of(square.clone())
    assert of(square.to_sparse()) == of(square.clone().to_sparse())
