"""Where data lies, and whether it is the same."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from widthwise.data import location
from widthwise.data.location import fingerprint, located
from widthwise.errors import RequestError

huggingface_hub = pytest.importorskip("huggingface_hub")


def folder_of(place: Path, **files: str) -> Path:
    for name, content in files.items():
        file = place / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return place


def test_a_path_is_itself():
    assert located("some/folder") == Path("some/folder")


def test_a_data_set_of_the_hub_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def download(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(RequestError, match="hub:uoft-cs/cifar10 has no Parquet files"):
        located("hub:uoft-cs/cifar10")
    folder_of(tmp_path, plain_text__train="x")
    (tmp_path / "plain_text" / "train").rename(tmp_path / "plain_text" / "train.parquet")
    assert located("hub:uoft-cs/cifar10") == tmp_path
    assert asked[-1] == ("uoft-cs/cifar10", {"repo_type": "dataset", "allow_patterns": "*.parquet"})


def test_what_keeps_from_downloading_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def refused(reference: str, said: str) -> None:
        with pytest.raises(RequestError, match=said) as told:
            located(reference)
        assert "\n" not in str(told.value)

    def unreachable(name: str, **options: Any) -> str:
        raise ConnectionError("no route to host\nand a page of details")

    for wrong in ("hub:", "hub:cifar10", "hub:a/b/c", "hub:../x y"):
        refused(wrong, "names no data set: write hub:OWNER/NAME")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    refused("hub:uoft-cs/cifar10", r"hub:uoft-cs/cifar10 cannot be downloaded \(no route to host\)")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused("hub:uoft-cs/cifar10", r"needs the package huggingface_hub: install widthwise\[hub\]")


def test_the_same_files_have_the_same_fingerprint_anywhere(tmp_path: Path):
    one = folder_of(tmp_path / "one", a="1", b__c="2", b__d="3")
    mark = fingerprint(one)
    assert len(mark) == 16
    assert fingerprint(Path(shutil.copytree(one, tmp_path / "other"))) == mark
    folder_of(one, **{".cache": "x"})
    assert fingerprint(one) == mark
    shutil.move(one / "a", tmp_path / "renamed")
    assert fingerprint(tmp_path / "renamed") == fingerprint(tmp_path / "other" / "a")


def test_other_files_have_another_fingerprint(tmp_path: Path):
    variants = [
        {"a": "1", "b__c": "2"},
        {"a": "1", "b__c": "3"},
        {"a": "1", "b__d": "2"},
        {"a": "1", "c": "2"},
        {"a": "12", "b__c": ""},
        {"a": "1"},
    ]
    marks = {fingerprint(folder_of(tmp_path / str(number), **each)) for number, each in enumerate(variants)}
    marks.add(fingerprint(tmp_path / "0" / "a"))
    assert len(marks) == len(variants) + 1


def test_of_very_large_folders_names_and_sizes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(location, "CONTENTS_UP_TO", 3)
    small = fingerprint(folder_of(tmp_path / "small", a="123"))
    assert small != fingerprint(folder_of(tmp_path / "small", a="321"))
    large = fingerprint(folder_of(tmp_path / "large", a="1234"))
    assert large == fingerprint(folder_of(tmp_path / "large", a="4321"))
    assert large != fingerprint(folder_of(tmp_path / "large", a="12345"))


def test_links_count_as_the_files_they_lead_to(tmp_path: Path):
    real = folder_of(tmp_path / "real", a="1")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "a").symlink_to(real / "a")
    assert fingerprint(linked) == fingerprint(real)


def test_nothing_has_no_fingerprint(tmp_path: Path):
    with pytest.raises(RequestError, match="there is no data at"):
        fingerprint(tmp_path / "missing")
