"""CIFAR-10 in its official formats and in Parquet files."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.data import generated

from widthwise.data import cifar10
from widthwise.data.cifar10 import CIFAR10Files, read_cifar10
from widthwise.data.unpickling import unpickle_arrays
from widthwise.errors import RequestError

SPLITS = generated.cifar10_examples()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The table of published MD5s, for a test to put those of its own files into."""
    table = dict(cifar10.PUBLISHED_MD5)
    monkeypatch.setattr(cifar10, "PUBLISHED_MD5", table)
    return table


def python_version(folder: Path, published: dict[str, str]) -> Path:
    place = generated.write_cifar10_python(folder, SPLITS)
    published.update({file.name: generated.md5(file) for file in place.iterdir()})
    return place


def holds_the_examples(files: CIFAR10Files, description: str) -> None:
    assert files.description == f"CIFAR-10 ({description})"
    assert files.damaged == ()
    for pixels, split in ((files.train, SPLITS["train"]), (files.test, SPLITS["test"])):
        np.testing.assert_array_equal(pixels.images.permute(0, 2, 3, 1).numpy(), split.images)
        assert pixels.images.permute(0, 2, 3, 1).is_contiguous()
        assert pixels.labels.tolist() == split.labels.tolist()


def refused(location: Path, said: str, damaged: Any = "refuse") -> None:
    with pytest.raises(RequestError, match=said):
        read_cifar10(location, damaged)


def test_all_formats_hold_the_same_examples(tmp_path: Path, published: dict[str, str]):
    binary = generated.write_cifar10_binary(tmp_path / "binary", SPLITS)
    for place in (binary, binary.parent):
        holds_the_examples(read_cifar10(place, "refuse"), "official binary files")
    holds_the_examples(read_cifar10(binary.rename(tmp_path / "renamed"), "refuse"), "official binary files")
    python = python_version(tmp_path / "python", published)
    for place in (python, python.parent):
        holds_the_examples(read_cifar10(place, "refuse"), "official Python files")
    parquet = generated.write_cifar10_parquet(tmp_path / "parquet" / "plain_text", SPLITS)
    for place in (parquet, parquet.parent):
        holds_the_examples(read_cifar10(place, "refuse"), "PNG images in Parquet files")


def test_archives_are_read_as_they_are(tmp_path: Path, published: dict[str, str]):
    for name, folder, description in (
        ("cifar-10-binary.tar.gz", generated.write_cifar10_binary(tmp_path / "a", SPLITS), "official binary files"),
        ("cifar-10-python.tar.gz", python_version(tmp_path / "b", published), "official Python files"),
    ):
        file = generated.archived(folder, tmp_path / name)
        refused(file, f"{name} is half-downloaded or altered: its MD5 is {generated.md5(file)}, the published one")
        published[name] = generated.md5(file)
        holds_the_examples(read_cifar10(file, "refuse"), description)
        holds_the_examples(read_cifar10(tmp_path, "refuse"), description)
        renamed = file.rename(tmp_path / "renamed.tgz")
        holds_the_examples(read_cifar10(renamed, "refuse"), description)
        renamed.write_bytes(renamed.read_bytes()[:-100])
        refused(renamed, "renamed.tgz is half-downloaded or altered.* or ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "renamed.tgz"]


def test_the_encoding_of_images_is_told(tmp_path: Path):
    files = read_cifar10(generated.write_cifar10_parquet(tmp_path, SPLITS, "JPEG"), "refuse")
    assert files.description == "CIFAR-10 (JPEG images in Parquet files)"
    difference = files.train.images.permute(0, 2, 3, 1).numpy().astype(float) - SPLITS["train"].images
    assert abs(difference.mean()) < 2


def test_binary_files_that_are_not_whole_are_refused(tmp_path: Path):
    folder = generated.write_cifar10_binary(tmp_path, SPLITS)
    third, second = folder / "data_batch_3.bin", folder / "data_batch_2.bin"
    content = bytearray(second.read_bytes())
    content[3073 * 2] = 11
    second.write_bytes(content)
    refused(tmp_path, r"the label of record 2 in .*data_batch_2.bin is 11, not one of 0 … 9")
    second.write_bytes(content[:-1])
    refused(tmp_path, r"data_batch_2.bin is half-downloaded or damaged: its size is 12291 bytes, .* 3073")
    second.write_bytes(b"")
    refused(tmp_path, r"data_batch_2.bin is half-downloaded or damaged: its size is 0 bytes")
    third.unlink()
    refused(folder, "cifar-10-batches-bin lacks data_batch_3.bin: download and extract it again")
    for file in folder.iterdir():
        file.unlink()
    refused(tmp_path, "lacks data_batch_1.bin, .*, test_batch.bin")


def test_nothing_of_an_altered_python_file_is_unpickled(tmp_path: Path, published: dict[str, str]):
    folder = python_version(tmp_path, published)
    written = tmp_path / "written"
    (folder / "data_batch_4").write_bytes(Hostile(os.system, f"touch {written}").pickled())
    refused(tmp_path, f"data_batch_4 is half-downloaded or altered: its MD5 is .*{published['data_batch_4']}")
    published["data_batch_4"] = generated.md5(folder / "data_batch_4")
    refused(tmp_path, r"data_batch_4 is refused: it asks for posix.system, which no array of bytes needs")
    (folder / "data_batch_1").unlink()
    refused(tmp_path, "lacks data_batch_1: ")
    assert not written.exists()


class Hostile:
    """Pickled, a call of any function."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call

    def pickled(self, protocol: int = 2) -> bytes:
        return pickle.dumps({"data": self}, protocol)


@pytest.mark.parametrize("protocol", range(6))
def test_no_pickle_runs_code(tmp_path: Path, protocol: int):
    written = tmp_path / "written"
    program = f"open({str(written)!r}, 'w')"
    for function, argument, said in (
        (os.system, f"touch {written}", "posix.system"),
        (exec, program, "(__builtin__|builtins).exec"),
        (eval, program, "(__builtin__|builtins).eval"),
        (np.fromfile, str(written), "numpy.fromfile"),
        (getattr, "x", "(__builtin__|builtins).getattr"),
        (np.dtype, "O", "it has an array of the type O, not of bytes"),
    ):
        with pytest.raises(RequestError, match=f"some file is refused: .*{said}"):
            unpickle_arrays(Hostile(function, argument).pickled(protocol), "some file")
        assert not written.exists()


def test_arrays_of_bytes_are_unpickled_and_damage_is_told():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = unpickle_arrays(pickle.dumps({"data": array, "labels": [1, 2, 3]}, 4), "some file")
    np.testing.assert_array_equal(found["data"], array)
    assert found["labels"] == [1, 2, 3]
    for content in (b"", b"no pickle", pickle.dumps(array, 4)[:-20]):
        with pytest.raises(RequestError, match="some file is damaged"):
            unpickle_arrays(content, "some file")


def parquet(folder: Path, images: list[bytes], labels: list[int]) -> Path:
    generated.write_cifar10_parquet(folder, SPLITS)
    generated.write_parquet(folder / "test-00000-of-00001.parquet", images, labels)
    return folder


def test_damaged_images_are_refused_or_left_out(tmp_path: Path):
    whole = [generated.encoded(image) for image in SPLITS["test"].images[:3]]
    folder = parquet(tmp_path, [whole[0], b"no image", whole[1][:-500], whole[2], b""], [0, 1, 2, 3, 4])
    refused(folder, "the image in row 1 of .*test-00000.* cannot be decoded .it is no image.*data.damaged=skip")
    files = read_cifar10(folder, "skip")
    assert files.damaged == tuple(f"test-00000-of-00001.parquet, row {row}" for row in (1, 2, 4))
    assert files.test.labels.tolist() == [0, 3]
    expected = torch.from_numpy(SPLITS["test"].images[[0, 2]])
    assert torch.equal(files.test.images.permute(0, 2, 3, 1), expected)


def test_other_data_sets_are_refused(tmp_path: Path):
    image = generated.encoded(SPLITS["test"].images[0])
    refused(parquet(tmp_path / "1", [image, image], [0, 10]), "label in row 1 of .* is 10, not one of the labels 0 … 9")
    refused(parquet(tmp_path / "2", [image, image], [0, -1]), "label in row 1 of .* is -1.* a split without labels")
    large = generated.encoded(np.zeros((64, 48, 3), np.uint8))
    refused(parquet(tmp_path / "3", [image, large], [0, 1]), "row 1 of .* is 48×64 RGB, not 32×32 RGB: .* not CIFAR-10")
    grey = generated.encoded(np.zeros((32, 32), np.uint8))
    refused(parquet(tmp_path / "4", [grey], [0]), "row 0 of .* is 32×32 L, not 32×32 RGB", "skip")
    finer = generated.write_cifar10_parquet(tmp_path / "5", SPLITS) / "train-00000-of-00001.parquet"
    table = pq.ParquetFile(finer).read()
    pq.write_table(table.rename_columns(["img", "fine_label"]), finer)
    refused(tmp_path / "5", "holds CIFAR-100, not CIFAR-10: it has a column fine_label")
    pq.write_table(table.set_column(1, "label", pa.array(["cat"] * len(table))), finer)
    refused(tmp_path / "5", r"no column of whole numbers named label; it has \['img', 'label'\]")
    (tmp_path / "6" / "cifar-100-python").mkdir(parents=True)
    refused(tmp_path / "6", "6 holds CIFAR-100")
    refused(tmp_path / "6" / "cifar-100-python", "cifar-100-python holds CIFAR-100")
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(b"x")
    refused(tmp_path / "cifar-100-python.tar.gz", "holds CIFAR-100")


def test_what_is_not_there_is_told(tmp_path: Path):
    refused(tmp_path / "missing", "there is no data at")
    refused(tmp_path, "holds no CIFAR-10: neither .* nor Parquet files such as .*; it holds nothing")
    for name in "fbdeca":
        (tmp_path / name).write_bytes(b"x")
    refused(tmp_path, "it holds a, b, c, d, e$")
    refused(tmp_path / "a", "a is no archive of CIFAR-10: name cifar-10-binary.tar.gz or")
    folder = generated.write_cifar10_parquet(tmp_path / "parquet", SPLITS)
    train, test = (folder / f"{split}-00000-of-00001.parquet" for split in ("train", "test"))
    refused(train, "is no archive of CIFAR-10: .*the folder that holds the files of both")
    test.write_bytes(test.read_bytes()[:100])
    refused(folder, "test-00000-of-00001.parquet is no whole Parquet file")
    test.unlink()
    refused(folder, "has no Parquet file of the split 'test'")


def test_parquet_labels_may_be_of_any_whole_type(tmp_path: Path):
    folder = generated.write_cifar10_parquet(tmp_path, SPLITS)
    file = folder / "train-00000-of-00001.parquet"
    table = pq.ParquetFile(file).read()
    pq.write_table(table.set_column(1, "label", table["label"].cast(pa.uint8())), file)
    holds_the_examples(read_cifar10(folder, "refuse"), "PNG images in Parquet files")
