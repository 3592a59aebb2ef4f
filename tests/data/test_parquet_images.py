"""Images from Parquet files."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from widthwise.data.parquet_images import ParquetImages
from widthwise.errors import RequestError


def encoded(pixels: np.ndarray) -> dict:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return {"bytes": sink.getvalue(), "path": None}


def written(file: Path, images: list[dict], column: str = "img") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"label": list(range(len(images))), column: images}), file)
    return file


PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)


def test_images_are_decoded_scaled_and_standardized(tmp_path: Path):
    folder = tmp_path / "data"
    written(folder / "data" / "test-00000-of-00002.parquet", [encoded(each) for each in PIXELS[:3]], "image")
    written(folder / "data" / "test-00001-of-00002.parquet", [encoded(each) for each in PIXELS[3:]], "image")
    written(folder / "data" / "train-00000-of-00001.parquet", [encoded(PIXELS[0])], "image")
    expected = torch.from_numpy(PIXELS).movedim(-1, 1) / 255
    images = ParquetImages(folder)
    for _ in range(2):
        assert torch.equal(torch.cat([batch for (batch,) in images]), expected)
    standardized = ParquetImages(folder, mean=[0.1, 0.2, 0.3], deviation=[0.5], examples=4)
    shifted = (expected[:4] - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / 0.5
    torch.testing.assert_close(torch.cat([batch for (batch,) in standardized]), shifted)


def test_grey_images_have_one_channel(tmp_path: Path):
    file = written(tmp_path / "grey.parquet", [encoded(PIXELS[0, :, :, 0])])
    assert next(iter(ParquetImages(file)))[0].shape == (1, 1, 6, 4)


def test_palettes_are_colours_and_16_bits_are_refused(tmp_path: Path):
    sink = io.BytesIO()
    Image.fromarray(PIXELS[0]).quantize(8).save(sink, "PNG")
    file = written(tmp_path / "palette.parquet", [{"bytes": sink.getvalue(), "path": None}])
    assert next(iter(ParquetImages(file)))[0].shape == (1, 3, 6, 4)
    deep = written(tmp_path / "deep.parquet", [encoded(PIXELS[0, :, :, 0].astype(np.uint16) * 200)])
    with pytest.raises(RequestError, match=r"row 0 of .* cannot be decoded .its pixels are of the kind I"):
        list(ParquetImages(deep))


def test_what_is_no_such_data_is_refused(tmp_path: Path):
    def refused(path: Path, said: str, **options) -> None:
        with pytest.raises(RequestError, match=said):
            list(ParquetImages(path, **options))

    refused(tmp_path / "missing", "there is no data at")
    written(tmp_path / "some" / "train.parquet", [encoded(PIXELS[0])])
    refused(tmp_path / "some", "no Parquet file of the split 'test'.*; it holds train.parquet")
    refused(tmp_path / "some", "the mean has 2 numbers and the images 3 channels", split="train", mean=[0.5, 0.5])
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "some" / "train.parquet").read_bytes()[:80])
    refused(tmp_path / "cut.parquet", "is no whole Parquet file")
    pq.write_table(pa.table({"label": [1]}), tmp_path / "labels.parquet")
    refused(tmp_path / "labels.parquet", r"no column of images.*\['label'\]")
    damaged = written(tmp_path / "damaged.parquet", [encoded(PIXELS[0]), {"bytes": b"no image", "path": None}])
    refused(damaged, "the image in row 1 of .* cannot be decoded")
    sizes = written(tmp_path / "sizes.parquet", [encoded(PIXELS[0]), encoded(PIXELS[1, :5])])
    refused(sizes, r"the image in row 1 .* has the shape \(5, 4, 3\)")
