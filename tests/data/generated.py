"""Small data sets in the formats of the real ones."""

import hashlib
import struct
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from widthwise.data import synthetic_images as synthetic
from widthwise.data.synthetic_images import Examples, batches_of, encoded, planes
from widthwise.data.synthetic_images import write_cifar10_binary as write_cifar10_binary


def cifar10_examples(train: int = 20, test: int = 8, seed: int = 0) -> dict[str, Examples]:
    """Noise of CIFAR-10's size in the colour of its label, by split; `train` is a multiple of 5."""
    return synthetic.cifar10_examples(train, test, seed)


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


def photograph(label: int, number: int) -> np.ndarray:
    """One of three classes' photographs."""
    return synthetic.photograph(label, number, 3)


def photographs_of(split: str, examples: int, classes: int = 3) -> list[tuple[int, np.ndarray]]:
    """Labels and photographs, `examples` of each class."""
    return synthetic.photographs_of(split, examples, classes)


def write_photograph_folders(location: Path, train: int = 4, validation: int = 2, classes: int = 3) -> Path:
    """An ImageNet-like tree: train/n00000001/000.JPEG …, val/…"""
    return synthetic.write_photograph_folders(location, train, validation, classes)


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
