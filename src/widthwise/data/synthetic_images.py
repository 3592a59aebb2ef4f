"""Small images that the program generates, in the formats of the official files: to check that everything works."""

import colorsys
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from jaxtyping import Float, Int64, UInt8
from PIL import Image

from widthwise.data.cifar10 import BATCHES, BINARY_FOLDER, CLASSES
from widthwise.data.source import CIFAR10Data, PublishedImages

PHOTOGRAPHED = 5
"""Classes of the generated photographs."""
SEED = 0


@dataclass(frozen=True)
class Examples:
    """Images and their labels."""

    images: UInt8[np.ndarray, "examples height width 3"]
    labels: Int64[np.ndarray, " examples"]


def synthetic_images(source: PublishedImages, folder: Path) -> Path:
    """The folder with the images that are generated for `source`; it is written if it does not exist.

    It appears whole or not at all; if several processes write it at once, all use that of the first. The colour of an
    image shows its label, so that a network learns it in a few steps.

    Raises:
        OSError: it cannot be written.
    """
    if folder.exists():
        return folder
    partial = folder.with_name(f"{folder.name}.{uuid4().hex[:8]}.partial")
    train, test = source.SYNTHETIC
    try:
        if isinstance(source, CIFAR10Data):
            write_cifar10_binary(partial, cifar10_examples(train, test, SEED))
        else:
            write_photograph_folders(partial, train // PHOTOGRAPHED, test // PHOTOGRAPHED, PHOTOGRAPHED)
        partial.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def synthetic_description(source: PublishedImages) -> str:
    """A phrase for captions."""
    return f"images of {source.title}'s shape, made by widthwise"


def cifar10_examples(train: int, test: int, seed: int) -> dict[str, Examples]:
    """Noise of CIFAR-10's size in the colour of its label, by split; `train` is a multiple of 5."""
    random = np.random.default_rng(seed)
    splits: dict[str, Examples] = {}
    for split, examples in (("train", train), ("test", test)):
        labels = random.integers(0, CLASSES, examples)
        noise = random.integers(0, 60, (examples, 32, 32, 3))
        images = 180 * _colours(CLASSES)[labels, None, None] + noise
        splits[split] = Examples(images.astype(np.uint8), labels)
    return splits


def _colours(classes: int) -> Float[np.ndarray, "classes 3"]:
    """A hue for each class, all around the circle, in [0, 1]."""
    return np.array([colorsys.hsv_to_rgb(label / classes, 1.0, 1.0) for label in range(classes)])


def batches_of(splits: dict[str, Examples]) -> dict[str, Examples]:
    """The same examples as the six official files hold them."""
    train = splits["train"]
    parts = zip(np.split(train.images, 5), np.split(train.labels, 5), strict=True)
    return dict(zip(BATCHES, [*(Examples(*part) for part in parts), splits["test"]], strict=True))


def planes(images: UInt8[np.ndarray, "examples 32 32 3"]) -> UInt8[np.ndarray, "examples 3072"]:
    """Each image's red, green and blue values one after the other."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_cifar10_binary(folder: Path, splits: dict[str, Examples]) -> Path:
    """The official binary version, extracted, in `folder`/cifar-10-batches-bin."""
    written = folder / BINARY_FOLDER
    written.mkdir(parents=True, exist_ok=True)
    for name, batch in batches_of(splits).items():
        records = np.hstack([batch.labels[:, None].astype(np.uint8), planes(batch.images)])
        (written / f"{name}.bin").write_bytes(records.tobytes())
    return written


def photograph(label: int, number: int, classes: int) -> UInt8[np.ndarray, "height width 3"]:
    """A smooth gradient of a size of its own, 30 to 80 pixels, over the colour of its label."""
    random = np.random.default_rng([label, number])
    height, width = random.integers(30, 80, 2, endpoint=True)
    across, down = np.linspace(0, 1, width), np.linspace(0, 1, height)
    slopes = random.uniform(20, 60, (2, 3))
    values = down[:, None, None] * slopes[0] + across[None, :, None] * slopes[1] + 130 * _colours(classes)[label]
    return values.astype(np.uint8)


def photographs_of(split: str, examples: int, classes: int) -> list[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
    """Labels and photographs of `train` or `val`, `examples` of each class."""
    first = {"train": 0, "val": 1000}[split]
    return [(label, photograph(label, first + each, classes)) for label in range(classes) for each in range(examples)]


def encoded(pixels: UInt8[np.ndarray, "height width *channels"], kind: str = "PNG") -> bytes:
    """An image as a file of one of Pillow's kinds."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, quality=95)  # PNG has none
    return sink.getvalue()


def write_photograph_folders(location: Path, train: int, validation: int, classes: int) -> Path:
    """A tree as ImageNet's, with a number of photographs of each class: train/n00000001/000.JPEG …, val/…"""
    for split, examples in (("train", train), ("val", validation)):
        for number, (label, pixels) in enumerate(photographs_of(split, examples, classes)):
            folder = location / split / f"n{label + 1:08d}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:03d}.JPEG").write_bytes(encoded(pixels, "JPEG"))
    return location
