"""Images from Parquet files, in the columns that the Hugging Face Hub uses: a struct of an encoded image's bytes."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Int64
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from widthwise.errors import RequestError

READ_AT_ONCE = 1000


class ParquetImages:
    """The images of a split as batches, decoded while they are read, in [0, 1] or standardized. Can be read again.

    Args:
        path: a Parquet file, or a folder in which files are named for their split, such as `test.parquet` or
            `data/test-00000-of-00001.parquet`.
        split: the split whose files are read from a folder.
        mean, deviation: for each channel, the mean to subtract and the standard deviation to divide by.
        examples: only the first this many images are read.

    Raises:
        RequestError: there are no such files, or they hold no images.
    """

    def __init__(
        self,
        path: str | Path,
        split: str = "test",
        mean: Sequence[float] | None = None,
        deviation: Sequence[float] | None = None,
        examples: int | None = None,
    ):
        self._files = split_files(Path(path), split)
        self._column = image_column(self._files[0])
        self._mean, self._deviation, self._examples = mean, deviation, examples

    def __iter__(self) -> Iterator[tuple[Float[Tensor, "images channels height width"]]]:
        left = self._examples
        for file in self._files:
            row = 0
            for batch in pq.ParquetFile(file).iter_batches(READ_AT_ONCE, columns=[self._column]):
                encoded = batch.column(0).field("bytes").to_pylist()[:left]
                if not encoded:
                    return
                yield (self._standardized(_decoded(encoded, file, row)),)
                row += len(encoded)
                left = None if left is None else left - len(encoded)

    def _standardized(self, images: Float[Tensor, "images channels height width"]) -> Tensor:
        for numbers, what in ((self._mean, "mean"), (self._deviation, "std")):
            if numbers is not None and len(numbers) not in (1, images.shape[1]):
                raise RequestError(f"the {what} has {len(numbers)} numbers and the images {images.shape[1]} channels")
        if self._mean is not None:
            images = images - torch.tensor(self._mean).view(-1, 1, 1)
        if self._deviation is not None:
            images = images / torch.tensor(self._deviation).view(-1, 1, 1)
        return images


def split_files(path: Path, *splits: str) -> list[Path]:
    """The Parquet files of the first of `splits` that has some in a folder, sorted; for a file, the file itself.

    Raises:
        RequestError: there are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RequestError(f"there is no data at {path}: it must be a Parquet file, or a folder of them")
    files = sorted(path.rglob("*.parquet"))
    for split in splits:
        if found := [file for file in files if file.stem.split("-")[0] == split]:
            return found
    raise RequestError(
        f"the folder {path} has no Parquet file of the split {' or '.join(map(repr, splits))}, named such as "
        f"{splits[0]}.parquet or {splits[0]}-00000-of-00001.parquet; it holds "
        f"{', '.join(sorted(file.name for file in files)[:5]) or 'no Parquet file'}"
    )


def image_column(file: Path) -> str:
    """The name of the first column that is a struct with the field `bytes`.

    Raises:
        RequestError: there is none, or the file is not a complete Parquet file.
    """
    with whole(file):
        schema = pq.read_schema(file)
    for column in schema:
        if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
            return column.name
    raise RequestError(f"{file} has no column of images, that is a struct with the field bytes; it has {schema.names}")


def read_labels(file: Path, classes: int) -> Int64[np.ndarray, " rows"]:
    """The column `label` of a Parquet file.

    Raises:
        RequestError: there is none, or not every label is one of 0 … `classes` - 1.
    """
    with whole(file):
        schema = pq.read_schema(file)
        if "label" not in schema.names or not pa.types.is_integer(schema.field("label").type):
            raise RequestError(f"{file} has no column of whole numbers named label; it has {schema.names}")
        column = pq.ParquetFile(file).read(columns=["label"]).column(0)
    labels = column.cast(pa.int64()).fill_null(-1).to_numpy()
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise RequestError(
            f"the label in row {wrong[0]} of {file} is {column[int(wrong[0])].as_py()}, not one of the labels 0 … "
            f"{classes - 1}: this is another data set, or a split without labels"
        )
    return labels


@contextmanager
def whole(file: Path) -> Iterator[None]:
    """Turn errors while `file` is read into a RequestError that names it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise RequestError(f"{file} is no whole Parquet file ({str(error).splitlines()[0]})") from None


def in_bytes(image: Image.Image) -> Image.Image:
    """An image in grey or in colour, with a byte for each channel.

    Raises:
        OSError: its pixels are larger numbers, or it cannot be decoded.
    """
    if image.mode.startswith(("I", "F")):
        raise OSError(f"its pixels are of the kind {image.mode}, not bytes")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of transparency in a palette that becomes RGB at once
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def why_undecodable(error: Exception) -> str:
    """The reason in an error that decoding an image has raised."""
    return "it is no image" if isinstance(error, (UnidentifiedImageError, TypeError)) else str(error)


def _decoded(encoded: list[bytes], file: Path, first: int) -> Float[Tensor, "images channels height width"]:
    """Images as floats in [0, 1]."""
    images: list[np.ndarray] = []
    for row, content in enumerate(encoded, start=first):
        try:
            image = np.asarray(in_bytes(Image.open(io.BytesIO(content))))
        except (UnidentifiedImageError, OSError, TypeError) as error:
            raise RequestError(f"the image in row {row} of {file} cannot be decoded ({error})") from None
        if images and image.shape != images[0].shape:
            raise RequestError(
                f"the image in row {row} of {file} has the shape {image.shape} and those before it {images[0].shape}; "
                "images must be of one size: give batches of your own as MODULE:FACTORY"
            )
        images.append(image)
    stacked = torch.from_numpy(np.stack(images))
    stacked = stacked.unsqueeze(1) if stacked.dim() == 3 else stacked.movedim(-1, 1)
    return stacked.float() / 255
