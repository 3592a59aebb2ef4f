"""Photographs in folders and in Parquet files."""

import pickle
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.data import generated

from widthwise.data.photographs import (
    FolderPhotographs,
    ParquetPhotographs,
    PhotographFiles,
    Photographs,
    read_photographs,
)
from widthwise.errors import RequestError


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return generated.write_photograph_folders(tmp_path / "folders")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return generated.write_photograph_shards(tmp_path / "shards")


def refused(location: Path, said: str, classes: int = 3) -> None:
    with pytest.raises(RequestError, match=said):
        read_photographs(location, classes)


def contents(photographs: Photographs) -> list[tuple[int, bytes]]:
    return [(int(label), photographs.read(index)) for index, label in enumerate(photographs.labels)]


def test_folders_and_shards_hold_the_same_images(folders: Path, shards: Path):
    one, other = read_photographs(folders, 3), read_photographs(shards, 3)
    assert one.description == "12 photographs of 3 classes (images in folders)"
    assert other.description == "12 photographs of 3 classes (images in Parquet files)"
    for split, examples in (("train", 4), ("test", 2)):
        expected = [
            (label, generated.encoded(pixels, "JPEG"))
            for label, pixels in generated.photographs_of("val" if split == "test" else "train", examples)
        ]
        assert contents(getattr(one, split)) == contents(getattr(other, split)) == expected
        assert len(getattr(one, split)) == 3 * examples


def test_names_lead_to_the_images(folders: Path, shards: Path):
    assert read_photographs(folders, 3).train.name(5) == str(folders / "train" / "n00000002" / "005.JPEG")
    train = read_photographs(shards, 3).train
    assert train.name(5) == f"{shards}/data/train-00000-of-00002.parquet, row 5"
    assert train.name(6) == f"{shards}/data/train-00001-of-00002.parquet, row 0"
    assert train.name(11) == f"{shards}/data/train-00001-of-00002.parquet, row 5"


def test_test_images_are_the_official_validation_images(tmp_path: Path):
    for named in ("val", "validation", "test"):
        location = generated.write_photograph_shards(tmp_path / named, named=named)
        assert len(read_photographs(location, 3).test) == 6
    both = generated.write_photograph_shards(tmp_path / "val", validation=1, named="test")
    assert len(read_photographs(both, 3).test) == 6
    folders = generated.write_photograph_folders(tmp_path / "folders")
    (folders / "val").rename(folders / "validation")
    assert len(read_photographs(folders, 3).test) == 6


def test_any_usual_ending_is_an_image(folders: Path):
    place = folders / "val" / "n00000001"
    (place / "000.JPEG").rename(place / "x.png")
    (place / "001.JPEG").rename(place / "y.Jpg")
    (place / "notes.txt").write_text("no image")
    assert read_photographs(folders, 3).test.name(1).endswith("y.Jpg")
    shutil.rmtree(place)  # a class without test images
    assert read_photographs(folders, 3).test.labels.tolist() == [1, 1, 2, 2]


def test_orders_are_random_and_of_all_examples(folders: Path, tmp_path: Path):
    shards = generated.write_photograph_shards(tmp_path / "many", train=40)
    for photographs in (read_photographs(folders, 3).train, read_photographs(shards, 3).train):
        one, same = (photographs.order(torch.Generator().manual_seed(0)) for _ in range(2))
        assert torch.equal(one, same)
        assert sorted(one.tolist()) == list(range(len(photographs)))
        assert not torch.equal(one, photographs.order(torch.Generator().manual_seed(1)))
        assert sum(after == before + 1 for before, after in pairwise(one.tolist())) < len(photographs) / 4


def test_neighbours_in_the_order_share_row_groups(tmp_path: Path):
    train = read_photographs(generated.write_photograph_shards(tmp_path, train=40), 3).train
    groups = train.order(torch.Generator().manual_seed(0)) // 2
    windows = [set(part.tolist()) for part in groups.split(32)]  # 60 row groups of two rows each
    assert [len(window) for window in windows] == [16, 16, 16, 12]
    assert len(set.union(*windows)) == 60
    for index in train.order(torch.Generator().manual_seed(0)).tolist():
        train.read(index)
    assert len(train._held) == 20


def test_they_are_cheap_to_send_to_another_process(folders: Path, shards: Path):
    for photographs in (read_photographs(folders, 3).train, read_photographs(shards, 3).train):
        expected = contents(photographs)
        sent = pickle.dumps(photographs)
        assert len(sent) < 2500
        assert contents(pickle.loads(sent)) == expected


def test_other_classes_are_refused(folders: Path, shards: Path):
    refused(folders, r"train has folders of 3 classes, not of 1000; set data.classes=3", 1000)
    refused(shards, r"the label in row 2 of .*train-00001.* is 2, not one of the labels 0 … 1", 2)
    (folders / "val" / "n00000009").mkdir()
    refused(folders, r"val has folders of classes that are none of the training images': .*n00000009")


def test_what_is_not_there_is_told(folders: Path, shards: Path, tmp_path: Path):
    refused(tmp_path / "missing", "there is no folder of photographs at")
    refused(shards / "data" / "train-00000-of-00002.parquet", "there is no folder of photographs at")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "holds no photographs: neither .* it holds nothing")
    (empty / "notes.txt").write_text("x")
    refused(empty, "it holds notes.txt")
    (shards / "data" / "validation-00000-of-00001.parquet").unlink()
    refused(shards, "no Parquet file of the split 'val' or 'validation' or 'test'.*it holds train-00000")
    validation = folders / "val"
    for image in list(validation.rglob("*.JPEG")):
        image.rename(validation / image.name)
    refused(folders, "val holds no images in folders of classes, such as n00000001/name.jpeg; its images must lie in")
    shutil.rmtree(validation)
    refused(folders, "has no folder val with the validation images, beside train")


def test_the_real_set_is_told_by_its_numbers(folders: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("widthwise.data.photographs.IMAGENET", (3, 12, 6))
    files: PhotographFiles = read_photographs(folders, 3)
    assert files.description == "ImageNet (images in folders)"
    assert isinstance(files.train, FolderPhotographs)
    assert not isinstance(files.train, ParquetPhotographs)
