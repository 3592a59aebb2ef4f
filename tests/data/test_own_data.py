"""Data of a user's own: every form that its function may give, how it is split, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from widthwise.data.dataset import Dataset, Part, Split
from widthwise.data.examples import ResidentExamples
from widthwise.data.load import load_dataset
from widthwise.data.source import OwnData
from widthwise.errors import RequestError
from widthwise.experiments.user_code import with_code

CPU = torch.device("cpu")
ARRAYS = """
import numpy as np
import torch


def load(examples=100, seed=0):
    labels = np.arange(examples) % 4
    return np.stack([labels, np.full(examples, seed)], 1).astype(float), labels


def tokens():
    labels = torch.arange(60) % 2
    return {"tokens": labels[:, None].expand(60, 5), "mask": torch.ones(60, 5, dtype=torch.bool)}, labels


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 50

    def __getitem__(self, number):
        return torch.full((2, 2), number), number % 3


def numbers():
    return Numbers()


def splits():
    part = lambda first, count: (torch.arange(first, first + count)[:, None].float(), torch.arange(count) % 5)
    return {"train": part(0, 40), "validation": part(100, 10), "test": part(200, 20)}


def halves():
    return {"train": load(40), "test": load(20)}
"""


def source(folder: Path, function: str = "load", text: str = ARRAYS, **settings: Any) -> OwnData:
    (folder / "mydata.py").write_text(text)
    return OwnData.model_validate(with_code({"factory": f"mydata.py:{function}", **settings}, folder))


def loaded(folder: Path, function: str = "load", text: str = ARRAYS, **settings: Any) -> Dataset:
    return load_dataset(source(folder, function, text, **settings), None, CPU, 0)


def sizes(dataset: Dataset) -> tuple[int, ...]:
    return tuple(len(split) for split in (dataset.train, dataset.validation, dataset.test))


def values(split: Split) -> torch.Tensor:
    assert isinstance(split, ResidentExamples)
    assert isinstance(split.inputs, torch.Tensor)
    return split.inputs


def test_arrays_become_three_splits_of_tensors(tmp_path: Path):
    dataset = loaded(tmp_path, arguments={"examples": 200}, seed=3)
    assert sizes(dataset) == (160, 20, 20), "a tenth tests and a tenth validates"
    assert (dataset.classes, dataset.shape, dataset.description) == (4, (2,), "data of mydata.py:load")
    for split in (dataset.train, dataset.validation, dataset.test):
        assert isinstance(split, Split)
        assert values(split).dtype == torch.float32
        assert torch.equal(values(split)[:, 0].long(), split.labels), "inputs stay with their labels"
        assert values(split)[:, 1].unique().tolist() == [3], "the function is given the seed"


def test_the_seed_draws_the_splits_and_numbers_say_how_many(tmp_path: Path):
    text = "import torch\ndef load(): return torch.arange(100.0)[:, None], torch.arange(100) % 2\n"
    wanted = {"validation_examples": 30, "test_examples": 20, "train_examples": 10}
    one, same, other = (loaded(tmp_path, text=text, seed=seed, **wanted) for seed in (1, 1, 2))
    assert sizes(one) == (10, 30, 20)
    drawn = [torch.cat([values(split) for split in (data.train, data.validation, data.test)]) for data in (one, same)]
    assert torch.equal(drawn[0], drawn[1])
    assert len(drawn[0].unique()) == 60, "the splits have no example in common"
    assert not torch.equal(values(one.test), values(other.test))
    more = loaded(tmp_path, text=text, seed=1, validation_examples=30, test_examples=20)
    assert torch.equal(values(more.test), values(one.test))
    assert sizes(more) == (50, 30, 20)


def test_inputs_may_have_several_parts_of_any_type(tmp_path: Path):
    dataset = loaded(tmp_path, "tokens")
    assert dataset.shape == {"tokens": (5,), "mask": (5,)}
    inputs, labels = next(dataset.train.batches(7))
    assert {name: (part.shape, part.dtype) for name, part in inputs.items()} == {
        "tokens": ((7, 5), torch.int64),
        "mask": ((7, 5), torch.bool),
    }
    assert torch.equal(inputs["tokens"][:, 0], labels)


def test_a_torch_data_set_is_taken_whole(tmp_path: Path):
    dataset = loaded(tmp_path, "numbers")
    assert (sizes(dataset), dataset.shape, dataset.classes) == ((40, 5, 5), (2, 2), 3)
    assert torch.equal(values(dataset.train)[:, 0, 0] % 3, dataset.train.labels)


def test_splits_of_its_own_stay(tmp_path: Path):
    dataset = loaded(tmp_path, "splits")
    assert sizes(dataset) == (40, 10, 20)
    assert values(dataset.test).flatten().tolist() == list(range(200, 220))
    fewer = loaded(tmp_path, "splits", train_examples=8, test_examples=5)
    assert sizes(fewer) == (8, 10, 5)
    assert set(values(fewer.test).flatten().tolist()) < set(range(200, 220))
    assert sizes(loaded(tmp_path, "halves")) == (36, 4, 20), "what is lacking is drawn from what trains"


def test_a_share_of_labels_is_random_but_for_the_test(tmp_path: Path):
    true, random = loaded(tmp_path, "splits"), loaded(tmp_path, "splits", random_label_share=1.0)
    assert torch.equal(true.test.labels, random.test.labels)
    assert not torch.equal(true.train.labels, random.train.labels)
    assert torch.equal(values(true.train), values(random.train))


def test_an_epoch_has_each_example_once_in_an_order_of_seed_and_epoch(tmp_path: Path):
    split = loaded(tmp_path, "splits").train

    def order(seed: int, epoch: int, **share: int) -> list[float]:
        batches = list(split.epoch(seed, epoch, 16, augment=False, part=Part(**share)))
        assert [whole for *_, whole in batches] == [16, 16, 8][share.get("start", 0) : share.get("stop")]
        return torch.cat([inputs for inputs, *_ in batches]).flatten().tolist()

    assert sorted(order(1, 0)) == list(range(40))
    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
    assert order(1, 0, start=2) == order(1, 0)[32:]
    shares = [order(1, 0, rank=rank, processes=3) for rank in range(3)]
    assert sorted(sum(shares, [])) == list(range(40))  # noqa: RUF017
    assert order(1, 0, stop=2) == order(1, 0)[:32]
    fixed = split.epoch(1, 0, 16, augment=False, shuffled=False)
    assert torch.cat([inputs for inputs, *_ in fixed]).flatten().tolist() == values(split).flatten().tolist()
    for options in ({"augment": True}, {"augment": False, "recolour": True}):
        with pytest.raises(ValueError, match="augmentation is for images"):
            next(iter(split.epoch(1, 0, 16, **options)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise KeyError('gone')", r"load\(\) of mydata\.py raised KeyError: 'gone'"),
        ("return 3", r"load\(\) of mydata\.py returns int; it must return \(inputs, labels\), a torch"),
        ("return {'test': 1}", "returns has no 'train'; it must return"),
        ("return {'train': (1, 2), 'tset': (1, 2)}", "has 'tset': did you mean test"),
        ("return torch.ones(3, 2), torch.ones(3)", "labels of type torch.float32 and shape .3,.; one whole number"),
        ("return torch.ones(3, 2), torch.ones(4).long()", "3 inputs and 4 labels; each input needs one label"),
        ("return torch.ones(3, 2), torch.tensor([0, -1, 1])", "the label -1; labels count from 0"),
        ("return torch.ones(3, 2), torch.zeros(3).long()", "have the label 0; there must be two"),
        ("return ['a', 'b'], [0, 1]", "inputs that are no tensor or array"),
        ("return torch.ones(3, 2), torch.tensor([0, 1, 7])", "the label 7, and labels are 0 … 4"),
        (
            "return torch.ones(2, 2), torch.tensor([0, 1])",
            r"mydata.py returns 2 training examples.* at least 3",
        ),
        ("raise SystemExit(3)", r"load\(\) of mydata\.py raised SystemExit: 3"),
        ("return torch.ones(0, 2), torch.ones(0).long()", "mydata.py returns no examples"),
        ("return torch.utils.data.TensorDataset(torch.ones(0), torch.ones(0))", "mydata.py returns no examples"),
        ("return torch.tensor([[1.0], [torch.nan]]), torch.tensor([0, 1])", r"\(NaN\), first in example 1; replace"),
        ("return torch.eye(3).to_sparse(), torch.tensor([0, 1, 0])", "no plain tensor .*sparse_coo"),
        ("return torch.ones(3, 2, device='meta'), torch.tensor([0, 1, 0])", "no plain tensor .*meta"),
        ("return {'x': torch.ones(3), 'y': torch.tensor(1)}, torch.tensor([0, 1, 0])", "a single number as inputs"),
        ("return torch.ones(3, 2), torch.tensor([0, 1, 10**9])", "the label 1,000,000,000 and only 3 examples"),
        (
            "a = torch.arange(9) % 2\n    return {'train': (a, a), 'test': (a.float(), a)}",
            "inputs of type torch.int64 to train and torch.float32 for test",
        ),
    ],
)
def test_what_is_no_data_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str):
    classes = 5 if "7]" in text else None
    with pytest.raises(RequestError, match=said) as raised:
        loaded(tmp_path, text=f"import torch\ndef load():\n    {text}\n", classes=classes)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("data.")


def test_arrays_of_any_order_of_bytes_and_those_that_must_not_be_written_to_are_taken(tmp_path: Path):
    text = """
import numpy as np


def load():
    labels = np.arange(30) % 3
    inputs = labels[::-1].astype(">f4")
    inputs.flags.writeable = False
    return inputs[:, None], labels.astype(">i8")
"""
    data = loaded(tmp_path, text=text)
    assert isinstance(data.train.inputs, torch.Tensor)
    assert data.train.inputs.dtype == torch.float32
    assert (data.train.inputs[:, 0] == 2 - data.train.labels).all()
