"""CIFAR-10 from its official files, archived or extracted, or from Parquet files."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from widthwise.data.location import readable
from widthwise.data.parquet_images import image_column, in_bytes, read_labels, split_files, whole, why_undecodable
from widthwise.data.unpickling import unpickle_arrays
from widthwise.errors import RequestError

CLASSES = 10
PIXELS = 3 * 32 * 32
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
BINARY_ARCHIVE, PYTHON_ARCHIVE = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"
BINARY_FOLDER, PYTHON_FOLDER = "cifar-10-batches-bin", "cifar-10-batches-py"
PUBLISHED_MD5 = {
    BINARY_ARCHIVE: "c32a1d4ab5d03f1284b67883e8d87530",
    PYTHON_ARCHIVE: "c58f30108f718f92721af3b95e74349a",
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}

Part = tuple[UInt8[np.ndarray, "examples 32 32 3"], Int64[np.ndarray, " examples"]]


@dataclass(frozen=True)
class Pixels:
    """Images and their labels. The channels are last in memory: `images.permute(0, 2, 3, 1)` is contiguous."""

    images: UInt8[Tensor, "examples 3 32 32"]
    labels: Int64[Tensor, " examples"]


@dataclass(frozen=True)
class CIFAR10Files:
    """The content of the files.

    description: the data set and the kind of its files, for captions.
    damaged: the images that were left out, each by its file and row.
    """

    train: Pixels
    test: Pixels
    description: str
    damaged: tuple[str, ...] = ()


def read_cifar10(location: Path, damaged: Literal["refuse", "skip"]) -> CIFAR10Files:
    """The training and the test images at `location`, in the order of its files.

    Args:
        location: the archive `cifar-10-binary.tar.gz` or `cifar-10-python.tar.gz`; the folder that one of them is
            extracted to; a folder that holds one of these; or a folder with Parquet files named for train and test.
        damaged: `refuse` or `skip` an image in a Parquet file that cannot be decoded.

    Raises:
        RequestError: there is no such data, it is incomplete or not CIFAR-10, or a damaged image is refused.
    """
    if not location.exists():
        raise RequestError(f"there is no data at {location}: it must be an archive of CIFAR-10, or a folder")
    with readable(location):
        return _archive(location) if location.is_file() else _folder(location, damaged)


def _folder(folder: Path, damaged: Literal["refuse", "skip"]) -> CIFAR10Files:
    for name, ending, archive in ((BINARY_FOLDER, ".bin", BINARY_ARCHIVE), (PYTHON_FOLDER, "", PYTHON_ARCHIVE)):
        for within in (folder, folder / name):
            files = {file: within / file for file in (batch + ending for batch in BATCHES)}
            contents = {file: path.read_bytes() for file, path in files.items() if path.is_file()}
            if contents or (within.name == name and within.is_dir()):
                return _official(contents, within, ending)
        if (folder / archive).is_file():
            return _archive(folder / archive)
    if any(folder.rglob("*.parquet")):
        return _parquet(folder, damaged)
    held = sorted(entry.name for entry in folder.iterdir())
    _refuse_cifar100([folder.name, *held], folder)
    raise RequestError(
        f"the folder {folder} holds no CIFAR-10: neither {BINARY_ARCHIVE} or {PYTHON_ARCHIVE}, nor what they are "
        f"extracted to, {BINARY_FOLDER} or {PYTHON_FOLDER}, nor Parquet files such as train.parquet and test.parquet; "
        f"it holds {', '.join(held[:5]) or 'nothing'}"
    )


def _refuse_cifar100(names: Iterable[str], where: Path) -> None:
    if any(name.startswith("cifar-100") for name in names):
        raise RequestError(f"{where} holds CIFAR-100, not CIFAR-10")


def _archive(file: Path) -> CIFAR10Files:
    """The content of an archive, which is recognized by its MD5, under any name."""
    _refuse_cifar100([file.name], file)
    archives = [BINARY_ARCHIVE, PYTHON_ARCHIVE]
    if file.name not in archives and not tarfile.is_tarfile(file):
        raise RequestError(
            f"{file} is no archive of CIFAR-10: name {' or '.join(archives)}, or the folder that holds the files of "
            "both the training and the test images"
        )
    digest = _md5(file.read_bytes())
    if digest not in (PUBLISHED_MD5[name] for name in archives):
        raise _altered(file, digest, [file.name] if file.name in archives else archives)
    ending = ".bin" if digest == PUBLISHED_MD5[BINARY_ARCHIVE] else ""
    contents: dict[str, bytes] = {}
    with tarfile.open(file) as archive:
        for member in archive:  # in their order, since going back means to decompress again
            name = Path(member.name).name
            opened = archive.extractfile(member) if name in (batch + ending for batch in BATCHES) else None
            if opened is not None:
                contents[name] = opened.read()
    return _official(contents, file, ending)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _altered(file: Path, digest: str, names: list[str]) -> RequestError:
    published = " or ".join(PUBLISHED_MD5[name] for name in names)
    return RequestError(f"{file} is half-downloaded or altered: its MD5 is {digest}, the published one {published}")


def _official(contents: Mapping[str, bytes], where: Path, ending: str) -> CIFAR10Files:
    """The files of the binary version, which end in `.bin`, or of the Python version, by their names."""
    names = [batch + ending for batch in BATCHES]
    if missing := [name for name in names if name not in contents]:
        raise RequestError(f"{where} lacks {', '.join(missing)}: download and extract it again")
    read = _binary if ending else _python
    parts = [read(contents[name], where / name) for name in names]
    return CIFAR10Files(
        _pixels(parts[:-1]), _pixels(parts[-1:]), f"CIFAR-10 (official {'binary' if ending else 'Python'} files)"
    )


def _binary(content: bytes, file: Path) -> Part:
    """Records of a label and then the red, the green and the blue plane of an image, a byte each."""
    if not content or len(content) % (1 + PIXELS):
        raise RequestError(
            f"{file} is half-downloaded or damaged: its size is {len(content)} bytes, not a multiple of the "
            f"{1 + PIXELS} of an image and its label"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXELS)
    return _planes_last(records[:, 1:]), _checked(records[:, 0].astype(np.int64), file)


def _python(content: bytes, file: Path) -> Part:
    """A pickled dictionary, which is unpickled only if it is byte for byte the published one."""
    if (digest := _md5(content)) != PUBLISHED_MD5[file.name]:
        raise _altered(file, digest, [file.name])
    batch = unpickle_arrays(content, str(file))
    return _planes_last(batch["data"]), _checked(np.array(batch["labels"]), file)


def _planes_last(images: UInt8[np.ndarray, "examples 3072"]) -> UInt8[np.ndarray, "examples 32 32 3"]:
    return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _checked(labels: Int64[np.ndarray, " examples"], file: Path) -> Int64[np.ndarray, " examples"]:
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if len(wrong):
        raise RequestError(
            f"the label of record {wrong[0]} in {file} is {labels[wrong[0]]}, not one of 0 … {CLASSES - 1}: the file "
            "is damaged, or of another data set"
        )
    return labels


def _pixels(parts: list[Part]) -> Pixels:
    labels = np.concatenate([labels for _, labels in parts])
    images = np.empty((len(labels), 32, 32, 3), np.uint8)  # given to concatenate, which else keeps the planes apart
    np.concatenate([images for images, _ in parts], out=images)
    return Pixels(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels))


def _parquet(folder: Path, damaged: Literal["refuse", "skip"]) -> CIFAR10Files:
    skipped: list[str] = []
    kinds: set[str] = set()

    def split(name: str) -> Pixels:
        parts: list[Part] = []
        for file in split_files(folder, name):
            images, labels, failures = _decoded(file, kinds)
            if failures and damaged == "refuse":
                row, reason = next(iter(failures.items()))
                raise RequestError(
                    f"the image in row {row} of {file} cannot be decoded ({reason}), and damaged images are refused",
                    settings={"data.damaged": "skip"},
                )
            skipped.extend(f"{file.relative_to(folder)}, row {row}" for row in failures)
            whole_rows = np.delete(np.arange(len(labels)), list(failures)) if failures else slice(None)
            parts.append((images[whole_rows], labels[whole_rows]))
        return _pixels(parts)

    train, test = split("train"), split("test")
    return CIFAR10Files(
        train, test, f"CIFAR-10 ({' and '.join(sorted(kinds))} images in Parquet files)", tuple(skipped)
    )


def _decoded(
    file: Path, kinds: set[str]
) -> tuple[UInt8[np.ndarray, "examples 32 32 3"], Int64[np.ndarray, " examples"], dict[int, str]]:
    """A Parquet file's images and labels, and rows that cannot be decoded, with reasons; adds encodings to `kinds`.

    Raises:
        RequestError: the file is not one of CIFAR-10.
    """
    column = image_column(file)
    with whole(file):
        if "fine_label" in pq.read_schema(file).names:
            raise RequestError(f"{file} holds CIFAR-100, not CIFAR-10: it has a column fine_label")
        encoded = pq.ParquetFile(file).read(columns=[f"{column}.bytes"]).column(0).combine_chunks().field("bytes")
    labels = read_labels(file, CLASSES)
    images = np.zeros((len(labels), 32, 32, 3), np.uint8)

    failures: dict[int, str] = {}
    for row, content in enumerate(encoded):  # threads would wait for each other: half of the time is Python's
        try:
            image = Image.open(io.BytesIO(content.as_py()))
            kinds.add(image.format or "raw")
            pixels = np.asarray(in_bytes(image))
        except Exception as error:  # a damaged image raises anything
            failures[row] = why_undecodable(error)
            continue
        if pixels.shape != images.shape[1:]:
            size = f"{image.width}×{image.height} {image.mode}"
            raise RequestError(f"the image in row {row} of {file} is {size}, not 32×32 RGB: this is not CIFAR-10")
        images[row] = pixels
    return images, labels, failures
