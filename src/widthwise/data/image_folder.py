"""A user's own images: folders of classes or Parquet files, decoded once, and kept in memory as bytes."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from widthwise.data.dataset import Dataset
from widthwise.data.labels import partly_random
from widthwise.data.location import readable
from widthwise.data.parquet_images import image_column
from widthwise.data.photographs import (
    VALIDATION,
    FolderPhotographs,
    ParquetPhotographs,
    Photographs,
    check_classes,
    folders_in,
)
from widthwise.data.resident import ResidentImages
from widthwise.data.source import ImageFolderData
from widthwise.data.splitting import check_largest, divided
from widthwise.data.streamed import Decoding, decoded_batches, noted
from widthwise.errors import RequestError

DECODED_AT_ONCE = 100
SPLITS = {"train": ("train",), "validation": VALIDATION, "test": ("test",)}
"""The names of each split's folder or Parquet files."""
MOST_CLASSES = 1 << 31


def image_folder(source: ImageFolderData, location: Path, device: torch.device, workers: int) -> Dataset:
    """Images in `location`, resized and cut to one size, with the labels of their folders or of a column.

    Args:
        source: the choice of images, and their size.
        location: a folder with `CLASS/IMAGE`; or with `train/CLASS/IMAGE` and, if there are, `val` or `validation` and
            `test`; or with Parquet files, which may be named for these splits; or one Parquet file.
        device: the device to keep them on.
        workers: the number of processes that decode; 0: decode in this process.

    Raises:
        RequestError: there are no such images, they do not fit in memory, or one cannot be decoded.
        TrialError: a file cannot be read, or a worker process was killed.
    """
    with readable(location):
        given, kind = _given(location, source.classes)
    classes = source.classes or max(int(photographs.labels.max()) for photographs in given.values()) + 1
    if source.classes is None:
        check_largest(classes - 1, sum(map(len, given.values())), f"{location} has")
    if classes < 2:
        raise RequestError(f"the images at {location} are of one class; there must be two", field="data")
    wanted = {"train": source.train_examples, "validation": source.validation_examples, "test": source.test_examples}
    sizes = {name: len(photographs) for name, photographs in given.items()}
    chosen = divided(sizes, wanted, source.seed, str(location))
    count = sum(len(examples) for _, examples in chosen.values())
    _check_memory(count, source.image_size, location, device)

    splits: dict[str, ResidentImages] = {}
    for name, (held_in, examples) in chosen.items():
        pixels, kept, damaged = _decoded(source, given[held_in], examples, workers)
        if not len(kept):
            raise RequestError(f"no image for {name} at {location} can be decoded", field="data")
        labels = partly_random(given[held_in].labels[kept], source, name, classes)
        splits[name] = ResidentImages(pixels, labels, device, source.crop)
        splits[name].damaged.update(damaged)
    description = f"{sum(map(len, splits.values())):,} images of {classes} classes ({kind})"
    shape = (3, source.image_size, source.image_size)
    return Dataset(**splits, classes=classes, shape=shape, description=description)


def _given(location: Path, classes: int | None) -> tuple[Mapping[str, Photographs], str]:
    """The images of each split that the files have, and the kind of the files."""
    if location.is_file():
        image_column(location)
        return {"train": ParquetPhotographs([location], classes or MOST_CLASSES)}, "a Parquet file"
    if not location.is_dir():
        raise RequestError(f"there is no folder of images at {location}", field="data")
    files = sorted(location.rglob("*.parquet"))
    if files:
        named = {split: [file for file in files if file.stem.split("-")[0] in names] for split, names in SPLITS.items()}
        found = {split: some for split, some in named.items() if some} if named["train"] else {"train": files}
        splits = {split: ParquetPhotographs(some, classes or MOST_CLASSES) for split, some in found.items()}
        return splits, "Parquet files"
    within = {
        split: folder
        for split, names in SPLITS.items()
        for folder in (location / name for name in names)
        if folders_in(folder)
    }
    if "train" not in within:
        within = {"train": location}
    names = folders_in(within["train"])
    if not names:
        held = ", ".join(sorted(entry.name for entry in location.iterdir())[:5]) or "nothing"
        raise RequestError(
            f"the folder {location} holds neither CLASS/IMAGE nor train/CLASS/IMAGE nor Parquet files; it holds {held}",
            field="data",
        )
    if classes is not None:
        check_classes(within["train"], names, classes)
    return {split: FolderPhotographs(folder, names) for split, folder in within.items()}, "in folders"


def _decoded(
    source: ImageFolderData, photographs: Photographs, chosen: Int[Tensor, " examples"], workers: int
) -> tuple[UInt8[Tensor, "decoded 3 size size"], Int[Tensor, " decoded"], dict[str, str]]:
    """Pixels, the indices of their images, and the images that cannot be decoded, with the reason."""
    decoding = Decoding(photographs, source.image_size, None, shorter_side=1.0)
    batches = chosen.split(DECODED_AT_ONCE)
    workers = workers if len(batches) > 2 else 0  # a few are decoded before a process has started
    pixels: list[Tensor] = []
    kept: list[Tensor] = []
    damaged: dict[str, str] = {}
    for batch, (images, failures) in zip(
        batches, decoded_batches(decoding, [batch.numpy() for batch in batches], workers), strict=True
    ):
        damaged |= noted(failures.values(), source.damaged == "refuse")
        pixels.append(images)
        kept.append(batch[[number for number in range(len(batch)) if number not in failures]])
    return torch.cat(pixels).permute(0, 3, 1, 2), torch.cat(kept), damaged


def _check_memory(count: int, size: int, location: Path, device: torch.device) -> None:
    """Check that the images fit in memory twice, since a copy of them exists while they are read."""
    needed = 2 * count * 3 * size * size
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else needed
    if device.type == "cuda":
        available = min(available, 2 * torch.cuda.mem_get_info(device)[0])
    if needed > available:
        raise RequestError(
            f"the {count:,} images at {location} take {needed / 1e9:.1f} GB at {size}×{size} pixels, and there are "
            f"{available / 1e9:.1f} GB of memory; set data.image_size or data.train_examples to less",
            field="data.image_size",
        )
