"""Images that the program generates: the same everywhere, whole, as the official files are, and to be learned."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from widthwise.data import synthetic_images as synthetic
from widthwise.data.cifar10 import read_cifar10
from widthwise.data.dataset import Split
from widthwise.data.load import load_dataset
from widthwise.data.location import fingerprint
from widthwise.data.photographs import read_photographs
from widthwise.data.source import CIFAR10Data, ImageNetData, PublishedImages
from widthwise.data.synthetic_images import synthetic_images

CIFAR10 = CIFAR10Data(synthetic=True, validation_examples=50)
IMAGENET = ImageNetData(synthetic=True, validation_examples=10, classes=5, image_size=32)
SOURCES = pytest.mark.parametrize("source", [CIFAR10, IMAGENET], ids=lambda source: source.name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[PublishedImages, Path]:
    folder = tmp_path_factory.mktemp("synthetic")
    return {source: synthetic_images(source, folder / source.name) for source in (CIFAR10, IMAGENET)}


def test_they_are_read_as_the_official_files(folders: dict[PublishedImages, Path]):
    small = read_cifar10(folders[CIFAR10], "refuse")
    assert (len(small.train.labels), len(small.test.labels)) == CIFAR10.available == (300, 100)
    assert small.description == "CIFAR-10 (official binary files)"
    assert set(small.train.labels.tolist()) == set(small.test.labels.tolist()) == set(range(10))
    large = read_photographs(folders[IMAGENET], IMAGENET.classes)
    assert (len(large.train), len(large.test)) == IMAGENET.available == (60, 30)
    assert large.train.labels.bincount().tolist() == [12] * 5
    assert large.test.labels.bincount().tolist() == [6] * 5
    sizes = set()
    for photographs in (large.train, large.test):
        for index in range(len(photographs)):
            with Image.open(photographs.name(index)) as image:
                assert image.format == "JPEG"
                sizes.add(image.size)
    assert all(30 <= side <= 80 for size in sizes for side in size)
    assert len(sizes) > 80


def colours(split: Split) -> np.ndarray:
    return np.concatenate([images.mean((2, 3)).numpy() for images, _ in split.batches(100)])


@SOURCES
def test_the_mean_colour_of_what_a_network_sees_tells_the_label(
    source: PublishedImages, folders: dict[PublishedImages, Path]
):
    dataset = load_dataset(source, folders[source], torch.device("cpu"), 0)
    learned, labels = colours(dataset.train), dataset.train.labels.numpy()
    means = np.stack([learned[labels == label].mean(0) for label in range(source.classes)])
    for split in (dataset.validation, dataset.test):
        distances = np.linalg.norm(colours(split)[:, None] - means, axis=2)
        assert (distances.argmin(1) == split.labels.numpy()).mean() > 0.95


WRITE_AT_ONCE = """
import sys, time
from pathlib import Path
from widthwise.data.synthetic_images import synthetic_images
from widthwise.data.source import CIFAR10Data, ImageNetData, PublishedImages

folder = Path(sys.argv[1])
(folder / f"ready{sys.argv[2]}").touch()
while len(list(folder.glob("ready*"))) < 2:
    time.sleep(0.001)
for source in (CIFAR10Data(synthetic=True), ImageNetData(synthetic=True)):
    print(synthetic_images(source, folder / "synthetic" / source.name))
"""


def test_two_processes_at_once_write_what_one_writes(folders: dict[PublishedImages, Path], tmp_path: Path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_AT_ONCE, tmp_path, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in processes:
        out, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert out.split() == [f"{tmp_path}/synthetic/cifar10", f"{tmp_path}/synthetic/imagenet"]
    assert sorted(entry.name for entry in (tmp_path / "synthetic").iterdir()) == ["cifar10", "imagenet"]
    for source, folder in folders.items():
        assert fingerprint(tmp_path / "synthetic" / source.name) == fingerprint(folder)


def test_who_comes_second_uses_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write, there = synthetic.write_cifar10_binary, tmp_path / "cifar10"

    def overtaken(folder: Path, splits: dict[str, synthetic.Examples]) -> Path:
        monkeypatch.setattr(synthetic, "write_cifar10_binary", write)
        synthetic_images(CIFAR10, there)
        (there / "first").touch()
        return write(folder, splits)

    monkeypatch.setattr(synthetic, "write_cifar10_binary", overtaken)
    assert synthetic_images(CIFAR10, there) == there
    assert list(tmp_path.iterdir()) == [there]
    assert (there / "first").exists()


def test_what_cannot_be_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = synthetic.write_cifar10_binary

    def broken_off(folder: Path, splits: dict[str, synthetic.Examples]) -> Path:
        write(folder, splits)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic, "write_cifar10_binary", broken_off)
    with pytest.raises(OSError, match="No space left"):
        synthetic_images(CIFAR10, tmp_path / "cifar10")
    assert list(tmp_path.iterdir()) == []
