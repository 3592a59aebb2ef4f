"""Files are written whole or not at all; equal data have equal JSON and digests."""

from pathlib import Path

import pytest

from widthwise.files import as_json, digest, write_whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.txt"
    write_whole(path, b"first")

    def fail(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_said_before(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_whole(tmp_path / "nowhere" / "a.txt", b"")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        write_whole(tmp_path, b"")


def test_equal_data_have_equal_json_and_digests():
    assert as_json({"b": 1, "a": [2]}) == as_json({"a": [2], "b": 1})
    assert digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
