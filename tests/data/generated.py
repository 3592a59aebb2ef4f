"""Small data sets in the formats of the real ones."""

import hashlib
import io
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@dataclass(frozen=True)
class Examples:
    """Images, each (height, width, 3), and their labels."""

    images: np.ndarray
    labels: np.ndarray


def cifar10_examples(train: int = 20, test: int = 8, seed: int = 0) -> dict[str, Examples]:
    """Random images of CIFAR-10's size, their labels told by their brightness; `train` is a multiple of 5."""
    random = np.random.default_rng(seed)
    splits: dict[str, Examples] = {}
    for split, examples in (("train", train), ("test", test)):
        labels = random.integers(0, 10, examples)
        noise = random.integers(0, 60, (examples, 32, 32, 3))
        splits[split] = Examples((20 * labels[:, None, None, None] + noise).astype(np.uint8), labels)
    return splits


def batches_of(splits: dict[str, Examples]) -> dict[str, Examples]:
    """The same examples as the six official files hold them."""
    train = splits["train"]
    parts = zip(np.split(train.images, 5), np.split(train.labels, 5), strict=True)
    return dict(zip(BATCHES, [*(Examples(*part) for part in parts), splits["test"]], strict=True))


def planes(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_cifar10_binary(folder: Path, splits: dict[str, Examples]) -> Path:
    """The official binary version, extracted, in `folder`/cifar-10-batches-bin."""
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True, exist_ok=True)
    for name, batch in batches_of(splits).items():
        records = np.hstack([batch.labels[:, None].astype(np.uint8), planes(batch.images)])
        (place / f"{name}.bin").write_bytes(records.tobytes())
    return place


def python2_pickle(batch: Examples) -> bytes:
    """What Python 2 with an old numpy made of {"data": array, "labels": list}, as the official files have it."""
    data = planes(batch.images)
    examples, values = data.shape
    labels = b"".join(b"K" + bytes([label]) for label in batch.labels.tolist())
    return (
        b"\x80\x02}(U\x04data"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + b"J" + struct.pack("<i", examples) + b"J" + struct.pack("<i", values) + b"\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<i", data.size) + data.tobytes() + b"tb"
        b"U\x06labels](" + labels + b"eu."
    )


def write_cifar10_python(folder: Path, splits: dict[str, Examples]) -> Path:
    """The official Python version, extracted, in `folder`/cifar-10-batches-py."""
    place = folder / "cifar-10-batches-py"
    place.mkdir(parents=True, exist_ok=True)
    for name, batch in batches_of(splits).items():
        (place / name).write_bytes(python2_pickle(batch))
    return place


def archived(folder: Path, file: Path) -> Path:
    """A .tar.gz of a folder."""
    with tarfile.open(file, "w:gz") as archive:
        archive.add(folder, folder.name)
    return file


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, quality=95)  # PNG has none
    return sink.getvalue()


def write_parquet(file: Path, images: list[bytes], labels: list[int], column: str = "img", group: int = 1000) -> Path:
    """Encoded images and labels in the columns of the Hugging Face hub, `group` of them in a row group."""
    file.parent.mkdir(parents=True, exist_ok=True)
    structs = [{"bytes": image, "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({column: pa.array(structs, kind), "label": labels}), file, row_group_size=group)
    return file


def write_cifar10_parquet(folder: Path, splits: dict[str, Examples], kind: str = "PNG") -> Path:
    """One Parquet file for each split, in `folder`."""
    for split, examples in splits.items():
        images = [encoded(image, kind) for image in examples.images]
        write_parquet(folder / f"{split}-00000-of-00001.parquet", images, examples.labels.tolist())
    return folder


def photograph(label: int, number: int, classes: int = 3) -> np.ndarray:
    """A smooth colour gradient of a size of its own, brighter the higher the label."""
    random = np.random.default_rng([label, number])
    height, width = random.integers(30, 80, 2)
    across, down = np.linspace(0, 1, width), np.linspace(0, 1, height)
    slopes = random.uniform(20, 60, (2, 3))
    values = down[:, None, None] * slopes[0] + across[None, :, None] * slopes[1] + 130 * label / classes
    return values.astype(np.uint8)


def photographs_of(split: str, examples: int, classes: int = 3) -> list[tuple[int, np.ndarray]]:
    """Labels and photographs, `examples` of each class."""
    first = {"train": 0, "val": 1000}[split]
    return [(label, photograph(label, first + each, classes)) for label in range(classes) for each in range(examples)]


def write_photograph_folders(location: Path, train: int = 4, validation: int = 2, classes: int = 3) -> Path:
    """An ImageNet-like tree: train/n00000001/0.JPEG …, val/…"""
    for split, examples in (("train", train), ("val", validation)):
        for number, (label, pixels) in enumerate(photographs_of(split, examples, classes)):
            folder = location / split / f"n{label + 1:08d}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:03d}.JPEG").write_bytes(encoded(pixels, "JPEG"))
    return location


def write_photograph_shards(
    location: Path, train: int = 4, validation: int = 2, classes: int = 3, group: int = 2, named: str = "validation"
) -> Path:
    """The same photographs as two shards of training and one of validation images."""
    for split, examples, name, shards in (("train", train, "train", 2), ("val", validation, named, 1)):
        labelled = photographs_of(split, examples, classes)
        for shard, part in enumerate(np.array_split(np.arange(len(labelled)), shards)):
            images = [encoded(labelled[each][1], "JPEG") for each in part]
            labels = [labelled[each][0] for each in part]
            file = location / "data" / f"{name}-{shard:05d}-of-{shards:05d}.parquet"
            write_parquet(file, images, labels, "image", group)
    return location
