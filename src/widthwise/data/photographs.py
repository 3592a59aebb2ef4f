"""Photographs in files: a folder for each class, or shards of Parquet files."""

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Int64
from torch import Tensor

from widthwise.data.location import readable
from widthwise.data.parquet_images import image_column, read_labels, split_files, whole
from widthwise.errors import RequestError

ENDINGS = (".jpeg", ".jpg", ".png")
VALIDATION = ("val", "validation")
SHUFFLED_TOGETHER = 16
"""Row groups whose rows are shuffled together: enough to mix them, few enough to hold."""
HELD = SHUFFLED_TOGETHER + 4
IMAGENET = (1000, 1_281_167, 50_000)


class FolderPhotographs:
    """The images of one split in a folder for each class.

    Args:
        folder: the folder of the split.
        classes: the names of the classes' folders; an image's label is the index of its own.

    Raises:
        RequestError: the split holds no images, or folders of other classes.
    """

    def __init__(self, folder: Path, classes: list[str]):
        if strange := sorted(set(folders_in(folder)) - set(classes)):
            raise RequestError(f"{folder} has folders of classes that are none of the training images': {strange[:5]}")
        names = [_images(folder / name) for name in classes]
        self._folder = folder
        self._names = pa.array(  # a million strings in one block of memory, which is sent to other processes as a whole
            [f"{label}/{name}" for label, some in zip(classes, names, strict=True) for name in some], pa.string()
        )
        self.labels: Int64[Tensor, " examples"] = torch.repeat_interleave(torch.tensor([len(some) for some in names]))
        if not len(self):
            flat = "; its images must lie in a folder for each class" if _images(folder) else ""
            raise RequestError(f"{folder} holds no images in folders of classes, such as {classes[0]}/name.jpeg{flat}")

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """The location of the image: its file."""
        return str(self._folder / self._names[index].as_py())

    def read(self, index: int) -> bytes:
        """The encoded image."""
        return Path(self.name(index)).read_bytes()

    def order(self, generator: torch.Generator) -> Int64[Tensor, " examples"]:
        """All examples in a random order."""
        return torch.randperm(len(self), generator=generator)


class ParquetPhotographs:
    """The images of one split in Parquet files. A file is opened when it is first read.

    Args:
        files: the files, in order.
        classes: the number of classes.

    Raises:
        RequestError: they are not complete Parquet files with a column of images and labels from 0 to `classes` - 1.
    """

    def __init__(self, files: list[Path], classes: int):
        self._files, self._column = files, image_column(files[0])
        self.labels: Int64[Tensor, " examples"] = torch.from_numpy(
            np.concatenate([read_labels(file, classes) for file in files])
        )
        if not len(self):
            raise RequestError(f"{files[0]} holds no images")
        sizes: list[int] = []
        groups: list[tuple[int, int]] = []
        for number, file in enumerate(files):
            with whole(file):
                metadata = pq.read_metadata(file)
            sizes += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            groups += [(number, group) for group in range(metadata.num_row_groups)]
        self._groups = np.array(groups)
        """The file of each row group, and its number there."""
        self._ends = np.cumsum(sizes)
        """The first example after each row group."""
        self._held: OrderedDict[int, pa.Array] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_held": OrderedDict()}

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """The location of the image: its file, and its row there, counted from 0."""
        file = self._groups[self._group(index), 0]
        first = self._begin(int(np.searchsorted(self._groups[:, 0], file)))
        return f"{self._files[file]}, row {index - first}"

    def read(self, index: int) -> bytes:
        """The encoded image."""
        group = self._group(index)
        if group not in self._held:
            file, number = self._groups[group]
            with pq.ParquetFile(self._files[file]) as opened:
                rows = opened.read_row_group(number, columns=[f"{self._column}.bytes"]).column(0)
            self._held[group] = rows.combine_chunks().field("bytes")
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(group)
        return self._held[group][index - self._begin(group)].as_py()

    def order(self, generator: torch.Generator) -> Int64[Tensor, " examples"]:
        """All examples in a random order in which neighbours share few row groups.

        Row groups are in random order, and the rows of every 16 successive groups are shuffled.
        """
        parts: list[Tensor] = []
        for groups in torch.randperm(len(self._ends), generator=generator).split(SHUFFLED_TOGETHER):
            rows = torch.cat([torch.arange(self._begin(group), int(self._ends[group])) for group in groups.tolist()])
            parts.append(rows[torch.randperm(len(rows), generator=generator)])
        return torch.cat(parts)

    def _group(self, index: int) -> int:
        return int(np.searchsorted(self._ends, index, side="right"))

    def _begin(self, group: int) -> int:
        return int(self._ends[group - 1]) if group else 0


Photographs = FolderPhotographs | ParquetPhotographs


@dataclass(frozen=True)
class PhotographFiles:
    """Photographs to train and to test, and a phrase for captions."""

    train: Photographs
    test: Photographs
    description: str


def read_photographs(location: Path, classes: int) -> PhotographFiles:
    """The training images and the official validation images, which are the test set here.

    Args:
        location: a folder with `train/CLASS/IMAGE` and `val/CLASS/IMAGE`, or with Parquet files that are named for
            train and for val, validation or, failing these, test, and have the columns of the Hugging Face Hub.
        classes: the required number of classes.

    Raises:
        RequestError: there is no such data, or it has other classes.
    """
    if not location.is_dir():
        raise RequestError(f"there is no folder of photographs at {location}")
    with readable(location):
        names = folders_in(location / "train")
        if names:
            return _from_folders(location, names, classes)
        if not any(location.rglob("*.parquet")):
            held = sorted(entry.name for entry in location.iterdir())[:5]
            raise RequestError(
                f"the folder {location} holds no photographs: neither train/CLASS/IMAGE and val/CLASS/IMAGE, nor "
                f"Parquet files such as train-00000-of-00001.parquet; it holds {', '.join(held) or 'nothing'}"
            )
    train = ParquetPhotographs(split_files(location, "train"), classes)
    test = ParquetPhotographs(split_files(location, *VALIDATION, "test"), classes)
    return PhotographFiles(train, test, _described(train, test, classes, "images in Parquet files"))


def _from_folders(location: Path, names: list[str], classes: int) -> PhotographFiles:
    check_classes(location / "train", names, classes)
    validation = next((location / name for name in VALIDATION if (location / name).is_dir()), None)
    if validation is None:
        raise RequestError(f"{location} has no folder val with the validation images, beside train")
    train, test = (FolderPhotographs(folder, names) for folder in (location / "train", validation))
    return PhotographFiles(train, test, _described(train, test, classes, "images in folders"))


def _described(train: Photographs, test: Photographs, classes: int, kind: str) -> str:
    if (classes, len(train), len(test)) == IMAGENET:
        return f"ImageNet ({kind})"
    return f"{len(train)} photographs of {classes} classes ({kind})"


def check_classes(folder: Path, names: list[str], classes: int) -> None:
    """Check that the folders in `folder` are those of this number of classes.

    Raises:
        RequestError: they are not.
    """
    if len(names) != classes:
        raise RequestError(
            f"{folder} has folders of {len(names)} classes, not of {classes}", settings={"data.classes": len(names)}
        )


def folders_in(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; empty if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.name.lower().endswith(ENDINGS))
