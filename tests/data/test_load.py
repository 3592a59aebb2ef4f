"""From files to the three splits of a trial."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data import generated

from widthwise.data.dataset import Dataset, Split
from widthwise.data.load import load_dataset
from widthwise.data.source import CIFAR10Data, ImageFolderData, ImageNetData
from widthwise.errors import RequestError

CPU = torch.device("cpu")
CIFAR10 = generated.cifar10_examples(train=200, test=30)


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated.write_cifar10_binary(tmp_path_factory.mktemp("cifar10"), CIFAR10)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated.write_photograph_folders(tmp_path_factory.mktemp("photographs"))


def small(location: Path, **settings: Any) -> Dataset:
    return load_dataset(CIFAR10Data(**{"validation_examples": 20, **settings}), location, CPU, 0)


def large(location: Path, **settings: Any) -> Dataset:
    fields = {"classes": 3, "image_size": 28, "validation_examples": 4, **settings}
    return load_dataset(ImageNetData(**fields), location, CPU, 0)


def pixels(split: Split) -> list[bytes]:
    return [image.numpy().tobytes() for images, _ in split.batches(100) for image in images.contiguous()]


def labels(split: Split) -> np.ndarray:
    found = np.concatenate([some.numpy() for _, some in split.batches(100)])
    assert np.array_equal(found, split.labels.numpy())
    return found


def test_the_last_training_images_are_the_validation_set(cifar10: Path):
    dataset = small(cifar10)
    train, test = CIFAR10["train"], CIFAR10["test"]
    for split, images, their in (
        (dataset.train, train.images[:180], train.labels[:180]),
        (dataset.validation, train.images[180:], train.labels[180:]),
        (dataset.test, test.images, test.labels),
    ):
        assert np.array_equal(labels(split), their)
        found = torch.cat([some for some, _ in split.batches(64)]).permute(0, 2, 3, 1).numpy()
        values = images.reshape(len(images), -1).astype(np.float64)
        expected = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
        np.testing.assert_allclose(found.reshape(len(images), -1), expected, atol=1e-5)
    assert dataset.classes == 10
    assert dataset.description == "CIFAR-10 (official binary files)"


def test_without_settings_5000_images_validate(cifar10: Path):
    with pytest.raises(RequestError, match=r"data.validation_examples: it is 5,000 and .* has only 199 images for it"):
        load_dataset(CIFAR10Data(), cifar10, CPU, 0)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_share_of_the_labels_is_replaced(cifar10: Path, share: float):
    true, random = small(cifar10), small(cifar10, random_label_share=share)
    for name, examples in (("train", 180), ("validation", 20)):
        one, other = getattr(true, name), getattr(random, name)
        assert pixels(one) == pixels(other)
        changed = (labels(one) != labels(other)).sum()
        assert 0.7 * share * examples < changed <= share * examples, "a tenth of the draws are the true label"
    assert set(labels(random.train)) == set(range(10))
    assert np.array_equal(labels(random.test), labels(true.test)), "test labels stay"


def test_the_seed_decides_random_labels(cifar10: Path):
    one, same, other = (labels(small(cifar10, random_label_share=1, seed=seed).train) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert (one == other).mean() < 0.3


def test_the_seed_draws_the_examples(cifar10: Path):
    everything = small(cifar10)
    available = {"train": pixels(everything.train), "test": pixels(everything.test)}
    drawn = [small(cifar10, train_examples=50, test_examples=10, seed=seed) for seed in (1, 1, 2)]
    for name, wanted in (("train", 50), ("test", 10)):
        one, same, other = (
            [available[name].index(image) for image in pixels(getattr(dataset, name))] for dataset in drawn
        )
        assert one == same
        assert one == sorted(set(one))
        assert len(one) == wanted
        assert one != other
    for dataset in drawn:
        assert pixels(dataset.validation) == pixels(everything.validation)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train_examples": 181}, "data.train_examples: it is 181 and .* has only 180 images for it; set it to less"),
        ({"test_examples": 31}, "data.test_examples: it is 31 and .* has only 30 images for it; set it to less"),
        ({"validation_examples": 200}, "data.validation_examples: it is 200 and .* has only 199 images for it"),
    ],
)
def test_too_few_images_are_told(cifar10: Path, settings: dict[str, int], said: str):
    with pytest.raises(RequestError, match=said):
        small(cifar10, **settings)


def test_images_that_cannot_be_decoded_are_counted_once(tmp_path: Path):
    splits = generated.cifar10_examples()
    generated.write_cifar10_parquet(tmp_path, splits)
    images = [generated.encoded(image) for image in splits["train"].images]
    images[3] = images[3][:50]
    file = generated.write_parquet(tmp_path / "train-00000-of-00001.parquet", images, splits["train"].labels.tolist())
    with pytest.raises(RequestError, match=rf"the image in row 3 of {file} cannot be decoded .*data.damaged=skip"):
        small(tmp_path, validation_examples=5)
    dataset = small(tmp_path, validation_examples=5, damaged="skip")
    assert dataset.train.damaged == {"train-00000-of-00001.parquet, row 3": "left out"}
    assert dataset.validation.damaged == dataset.test.damaged == {}
    assert np.array_equal(labels(dataset.train), np.delete(splits["train"].labels[:15], 3))


def test_held_out_photographs_are_the_same_whatever_the_seed(photographs: Path):
    first = large(photographs)
    held_out, trained_on = set(pixels(first.validation)), set(pixels(first.train))
    assert (len(held_out), len(trained_on), len(first.test)) == (4, 8, 6)
    assert not held_out & trained_on
    assert set(labels(first.validation)) != {0}, "they are of all classes"
    for settings in ({"seed": 1}, {"seed": 2, "train_examples": 5}, {"seed": 3, "random_label_share": 1.0}):
        other = large(photographs, **settings)
        assert pixels(other.validation) == pixels(first.validation)
        assert set(pixels(other.train)) <= trained_on
    assert len(set(pixels(large(photographs, train_examples=5).train))) == 5


def test_photographs_have_the_labels_of_their_folders_or_random_ones(photographs: Path):
    true, random = large(photographs), large(photographs, random_label_share=1.0)
    assert sorted([*labels(true.train), *labels(true.validation)]) == [0] * 4 + [1] * 4 + [2] * 4
    assert labels(true.test).tolist() == labels(random.test).tolist() == [0, 0, 1, 1, 2, 2]
    assert pixels(random.train) == pixels(true.train)
    assert not np.array_equal(labels(random.train), labels(true.train))


def test_too_few_photographs_are_told(photographs: Path):
    for settings, said in (
        ({"validation_examples": 12}, "data.validation_examples: it is 12 and .* has only 11 images for it"),
        ({"train_examples": 9}, "data.train_examples: it is 9 and .* has only 8 images for it"),
        ({"test_examples": 7}, "data.test_examples: it is 7 and .* has only 6 images for it"),
    ):
        with pytest.raises(RequestError, match=said):
            large(photographs, **settings)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_labels_of_one_split_alone_may_be_random(cifar10: Path, split: str):
    true = small(cifar10)
    both, one = (
        small(cifar10, random_label_share=1.0, random_label_splits=splits)
        for splits in (("train", "validation"), (split,))
    )
    for name in ("train", "validation", "test"):
        expected = both if name == split else true
        assert np.array_equal(labels(getattr(one, name)), labels(getattr(expected, name)))
    assert (labels(getattr(one, split)) != labels(getattr(true, split))).any()


def test_no_split_with_random_labels_is_refused():
    with pytest.raises(ValueError, match="random_label_splits names no split; leave it out"):
        CIFAR10Data(random_label_splits=())


def test_the_authors_split_has_47500_images_to_train():
    assert CIFAR10Data(validation_examples=2500).training_examples == 47_500


def test_images_are_cropped_to_their_middle_and_enlarged(cifar10: Path):
    dataset = small(cifar10, crop=28)
    assert dataset.shape == (3, 32, 32)
    for split, images in ((dataset.train, CIFAR10["train"].images[:180]), (dataset.test, CIFAR10["test"].images)):
        found = torch.cat([some for some, _ in split.batches(64)])
        assert found.shape[1:] == (3, 32, 32)
        values = images[:, 2:30, 2:30].astype(np.float64)
        middle = (values - values.mean((1, 2, 3), keepdims=True)) / values.std((1, 2, 3), keepdims=True)
        corners = middle[:, [0, 0, -1, -1], [0, -1, 0, -1]]  # which bilinear enlarging keeps
        np.testing.assert_allclose(found[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].mT.numpy(), corners, atol=1e-5)
    whole = torch.cat([some for some, _ in small(cifar10, crop=32).test.batches(64)])
    torch.testing.assert_close(whole, torch.cat([some for some, _ in small(cifar10).test.batches(64)]))


def test_a_crop_larger_than_the_images_is_refused():
    with pytest.raises(ValueError, match="crop is 33 and images are 32×32 pixels; it must be at most 32"):
        CIFAR10Data(crop=33)
    with pytest.raises(ValueError, match="crop is 33 and images are 24×24 pixels; it must be at most 24"):
        ImageFolderData(crop=33, image_size=24)
