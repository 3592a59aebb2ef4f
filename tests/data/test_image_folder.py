"""Images of one's own, of any size and any classes: which are read, how they are split and cut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data import generated

from widthwise.data import image_folder as module
from widthwise.data.dataset import Dataset
from widthwise.data.load import load_dataset
from widthwise.data.source import ImageFolderData
from widthwise.data.splitting import check_largest
from widthwise.errors import RequestError

SIZE = 8


def loaded(location: Path, decoders: int = 0, **settings: Any) -> Dataset:
    source = ImageFolderData.model_validate({"image_size": SIZE, **settings})
    return load_dataset(source, location, torch.device("cpu"), decoders)


def write(folder: Path, classes: tuple[str, ...] = ("ant", "bee"), count: int = 10, first: int = 0) -> Path:
    """Grey images of a brightness that is their number, and a stripe of their class's."""
    folder.mkdir(parents=True, exist_ok=True)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            pixels = np.full((10, 14 + label), 10 * number, np.uint8)
            pixels[:3] = 200
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def sizes(dataset: Dataset) -> tuple[int, ...]:
    return tuple(len(split) for split in (dataset.train, dataset.validation, dataset.test))


def test_folders_of_classes_are_split_by_drawing(tmp_path: Path):
    dataset = loaded(write(tmp_path))
    assert sizes(dataset) == (16, 2, 2)
    assert (dataset.classes, dataset.shape) == (2, (3, SIZE, SIZE))
    assert dataset.description == "20 images of 2 classes (in folders)"
    counted = sizes(loaded(tmp_path, validation_examples=5, test_examples=6, train_examples=4))
    assert counted == (4, 5, 6)
    images, labels = next(dataset.train.batches(16))
    assert images.shape == (16, 3, SIZE, SIZE)
    assert set(labels.tolist()) == {0, 1}
    torch.testing.assert_close(images.mean((1, 2, 3)), torch.zeros(16), atol=1e-5, rtol=0)


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_splits_of_the_folder_stay(tmp_path: Path, validation: str):
    write(tmp_path / "train")
    assert sizes(loaded(tmp_path)) == (16, 2, 2)
    write(tmp_path / validation, count=3)
    assert sizes(loaded(tmp_path)) == (18, 6, 2)
    write(tmp_path / "test", count=4)
    assert sizes(loaded(tmp_path)) == (20, 6, 8)
    assert sizes(loaded(tmp_path, test_examples=3)) == (20, 6, 3)


def test_an_image_is_resized_and_its_middle_cut_out(tmp_path: Path):
    left_to_right = np.tile(np.repeat(np.arange(4), 16).astype(np.uint8) * 80, (32, 1))  # 64 wide, 32 high
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.fromarray(left_to_right).save(tmp_path / name / f"{number}.png")
    images, _ = next(loaded(tmp_path).train.batches(1))
    expected = np.repeat([[80.0, 160.0]], SIZE // 2, axis=1).repeat(SIZE, 0)
    expected = (expected - expected.mean()) / expected.std()
    middle = [1, 2, 5, 6]  # at their borders the shades are mixed
    np.testing.assert_allclose(images[0, 0].numpy()[:, middle], expected[:, middle], atol=0.1)


def test_training_images_are_cropped_and_flipped(tmp_path: Path):
    split = loaded(write(tmp_path)).train
    plain = next(split.epoch(0, 0, 16, augment=False))[0]
    augmented = next(split.epoch(0, 0, 16, augment=True))[0]
    assert plain.shape == augmented.shape
    assert not torch.equal(plain, augmented)


def test_parquet_files_are_read(tmp_path: Path):
    shards = generated.write_photograph_shards(tmp_path / "shards", train=8, validation=2)
    dataset = loaded(shards)
    assert (sizes(dataset), dataset.classes) == ((22, 6, 2), 3)
    assert dataset.description == "30 images of 3 classes (Parquet files)"
    labelled = generated.photographs_of("train", 8)
    images = [generated.encoded(pixels) for _, pixels in labelled]
    file = generated.write_parquet(tmp_path / "any.parquet", images, [label for label, _ in labelled])
    assert sizes(loaded(file)) == (20, 2, 2)
    (tmp_path / "alone").mkdir()
    assert sizes(loaded(file.rename(tmp_path / "alone" / "any.parquet").parent)) == (20, 2, 2)


def test_processes_decode_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "DECODED_AT_ONCE", 4)
    here, there = loaded(write(tmp_path)), loaded(tmp_path, decoders=1)
    for one, other in zip(here.train.batches(5), there.train.batches(5), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_damaged_images_are_refused_or_left_out(tmp_path: Path):
    write(tmp_path)
    (tmp_path / "ant" / "3.png").write_bytes(b"no image")
    with pytest.raises(
        RequestError, match=r"ant/3\.png cannot be decoded \(it is no image\), .*; set data\.damaged=skip"
    ):
        loaded(tmp_path)
    dataset = loaded(tmp_path, damaged="skip")
    assert sum(sizes(dataset)) == 19
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [name for split in splits for name in split.damaged] == [str(tmp_path / "ant" / "3.png")]


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for settings, location, said in (
        ({}, tmp_path / "nowhere", "there is no folder of images at"),
        (
            {},
            write(tmp_path / "empty", classes=()),
            "holds neither CLASS/IMAGE nor train/CLASS/IMAGE nor Parquet files; it holds nothing",
        ),
        ({"classes": 3}, write(tmp_path / "two"), "has folders of 2 classes, not of 3; set data.classes=2"),
        ({"test_examples": 20}, tmp_path / "two", "data.test_examples: it is 20 and .* has only 19 examples for it"),
        ({}, write(tmp_path / "one", classes=("ant",)), "are of one class; there must be two"),
    ):
        with pytest.raises(RequestError, match=said):
            loaded(location, **settings)
    monkeypatch.setattr(module.os, "sysconf", lambda name: 10)
    with pytest.raises(RequestError, match=r"data\.image_size: the 20 images at .* take 0\.0 GB at 8×8 pixels, and"):
        loaded(tmp_path / "two")


def test_a_label_larger_than_all_images_is_no_number_of_classes():
    check_largest(999, 3, "images have")
    check_largest(5000, 5001, "images have")
    with pytest.raises(RequestError, match=r"data\.classes: images have the label 5,000 and only 4,000 examples"):
        check_largest(5000, 4000, "images have")


def test_the_middle_of_each_image_may_be_enlarged(tmp_path: Path):
    """A column becomes that of the middle six rows, at the eight places between them."""
    write(tmp_path)
    whole, middle = (next(loaded(tmp_path, **settings).train.batches(16))[0] for settings in ({}, {"crop": 6}))
    assert middle.shape == whole.shape
    places = np.clip((np.arange(SIZE) + 0.5) * 6 / SIZE - 0.5, 0, 5)
    for before, after in zip(whole[:, 0, :, 3].double().numpy(), middle[:, 0, :, 3].double().numpy(), strict=True):
        expected = np.interp(places, np.arange(6), before[1:7])
        slope = (after[-1] - after[0]) / (expected[-1] - expected[0])  # standardized by other values
        np.testing.assert_allclose(after - after[0], slope * (expected - expected[0]), atol=1e-4)
        assert slope > 0
