"""Photographs that are decoded while they are gone through."""

import io
import multiprocessing
import os
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data import generated
from torch import Tensor

from widthwise.data.colour import drawn_colours
from widthwise.data.dataset import Part
from widthwise.data.photographs import FolderPhotographs, Photographs, read_photographs
from widthwise.data.streamed import Decoding, StreamedImages, cut, middle, random_region
from widthwise.errors import RequestError, TrialError

SIZE = 28
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return generated.write_photograph_folders(tmp_path / "photographs")


def streamed(photographs: Photographs, damaged: Any = "refuse", workers: int = 0, size: int = SIZE) -> StreamedImages:
    everything = torch.arange(len(photographs))
    return StreamedImages(photographs, everything, photographs.labels, size, damaged, workers)


def epoch(images: StreamedImages, batch_size: int = 5, augment: bool = True, epoch: int = 1, **part: int) -> list[Any]:
    return list(images.epoch(3, epoch, batch_size, augment=augment, part=Part(**part)))


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2:] == b[2:] for a, b in zip(one, other, strict=True)
    )


def pixels_of(batch: Tensor) -> np.ndarray:
    """Images as bytes with their channels last, from a standardized batch."""
    values = (batch.permute(0, 2, 3, 1) * DEVIATION + MEAN) * 255
    return values.round().to(torch.uint8).numpy()


def evaluated(image: Image.Image) -> np.ndarray:
    """The shorter side resized to 32, and the middle 28 × 28 pixels of that."""
    width, height = image.size
    scale = 32 / min(width, height)
    resized = image.resize((int(width * scale + 1e-9), int(height * scale + 1e-9)), Image.Resampling.BILINEAR)
    left, top = round((resized.width - SIZE) / 2), round((resized.height - SIZE) / 2)
    return np.asarray(resized.crop((left, top, left + SIZE, top + SIZE)))


def test_evaluation_cuts_out_the_middle_and_standardizes(location: Path):
    test = read_photographs(location, 3).test
    for index, (_, pixels) in enumerate(generated.photographs_of("val", 2)):
        Path(test.name(index)).write_bytes(generated.encoded(pixels))  # PNG, which is never decoded smaller
    ((images, labels),) = streamed(test).batches(6)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.shape == (6, 3, SIZE, SIZE)
    assert images.is_contiguous(memory_format=torch.channels_last)
    expected = np.stack([evaluated(Image.open(test.name(index))) for index in range(6)])
    np.testing.assert_allclose(pixels_of(images).astype(int), expected.astype(int), atol=1)
    standardized = (torch.from_numpy(pixels_of(images)) / 255 - MEAN) / DEVIATION
    torch.testing.assert_close(images.permute(0, 2, 3, 1), standardized, atol=1e-5, rtol=0)


def test_batches_are_in_order_and_may_be_limited(location: Path):
    photographs = read_photographs(location, 3).train
    chosen, labels = torch.tensor([7, 1, 2, 9, 4]), torch.tensor([0, 1, 2, 0, 1])
    images = StreamedImages(photographs, chosen, labels, SIZE, "refuse", 0)
    assert len(images) == 5
    everything = torch.cat([inputs for inputs, _ in streamed(photographs).batches(12)])
    found = list(images.batches(2))
    assert [len(labels) for _, labels in found] == [2, 2, 1]
    assert torch.equal(torch.cat([inputs for inputs, _ in found]), everything[chosen])
    assert torch.equal(torch.cat([labels for _, labels in found]), labels)
    assert labels[[0, 1, 3]].tolist() == [0, 1, 0]  # three of five at even distances
    assert [labels.tolist() for _, labels in images.batches(2, limit=3)] == [[0, 1], [0]]


def test_an_epoch_has_every_example_once_in_an_order_of_its_own(location: Path):
    images = streamed(read_photographs(location, 3).train)
    ordered = torch.cat([inputs for inputs, _ in images.batches(5)])

    def order(number: int) -> list[int]:
        batches = epoch(images, augment=False, epoch=number)
        assert [(len(inputs), len(labels), total) for inputs, labels, total in batches] == [(5, 5, 5)] * 2 + [(2, 2, 2)]
        places = [int((ordered == each).flatten(1).all(1).nonzero()) for inputs, _, _ in batches for each in inputs]
        assert torch.cat([labels for _, labels, _ in batches]).tolist() == images.labels[places].tolist()
        return places

    assert sorted(order(0)) == sorted(order(1)) == list(range(12))
    assert order(0) != order(1)
    assert order(1) == order(1)


def test_only_the_chosen_examples_are_gone_through(tmp_path: Path):
    photographs = read_photographs(generated.write_photograph_shards(tmp_path), 3).train
    images = StreamedImages(photographs, torch.tensor([1, 6, 10]), torch.tensor([2, 0, 1]), SIZE, "refuse", 0)
    (batch,) = epoch(images)
    assert sorted(batch[1].tolist()) == [0, 1, 2]
    assert batch[2] == 3


def test_training_is_continued_in_the_middle_of_an_epoch(location: Path):
    images = streamed(read_photographs(location, 3).train)
    assert same(epoch(images, start=1), epoch(images)[1:])
    assert same(epoch(images, start=3), [])


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_the_shares_of_processes_are_one_process_batch(location: Path, processes: int):
    images = streamed(read_photographs(location, 3).train)
    shares = [epoch(images, rank=rank, processes=processes) for rank in range(processes)]
    together = [
        (torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]), parts[0][2])
        for parts in zip(*shares, strict=True)
    ]
    assert same(together, epoch(images))


def test_augmentation_depends_on_seed_epoch_and_image_alone(location: Path):
    photographs = read_photographs(location, 3).train
    images = streamed(photographs)
    torch.manual_seed(0)
    once = epoch(images)
    torch.manual_seed(1)
    assert same(once, epoch(images))
    assert not same(once, epoch(images, epoch=2))
    one = Decoding(photographs, SIZE, (3, 1))
    alone, among = one[np.array([4])][0], one[np.array([7, 4, 2])][0]
    assert torch.equal(alone[0], among[1])


def test_going_through_draws_nothing_from_the_global_stream(location: Path):
    images = streamed(read_photographs(location, 3).train)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    epoch(images)
    assert torch.equal(torch.rand(3), expected)


def test_worker_processes_give_the_same_and_end_with_the_iterator(tmp_path: Path):
    before = multiprocessing.active_children()  # the tests' own drawing process
    photographs = read_photographs(generated.write_photograph_shards(tmp_path), 3).train
    assert same(epoch(streamed(photographs, workers=2)), epoch(streamed(photographs)))
    assert multiprocessing.active_children() == before
    closed = streamed(photographs, workers=1).epoch(0, 0, 2, augment=True)
    next(closed)
    assert len(multiprocessing.active_children()) == len(before) + 1
    closed.close()
    assert multiprocessing.active_children() == before


class Deadly(FolderPhotographs):
    """Whoever reads them is killed."""

    def read(self, index: int) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""


def test_a_worker_that_is_killed_is_told(location: Path):
    before = multiprocessing.active_children()
    photographs = Deadly(location / "train", sorted(folder.name for folder in (location / "train").iterdir()))
    with pytest.raises(TrialError, match="a process that decodes images ended: "):
        next(streamed(photographs, workers=1).batches(1))
    assert multiprocessing.active_children() == before


def test_images_that_cannot_be_decoded_are_refused_or_left_out(location: Path):
    train = location / "train"
    (train / "n00000001" / "001.JPEG").write_bytes(b"no image")
    whole = (train / "n00000002" / "006.JPEG").read_bytes()
    (train / "n00000002" / "006.JPEG").write_bytes(whole[:-100])
    photographs = read_photographs(location, 3).train
    (train / "n00000003" / "008.JPEG").write_bytes(b"")
    with pytest.raises(RequestError, match=r"001.JPEG cannot be decoded \(it is no image\), .*; set data.damaged=skip"):
        list(streamed(photographs).batches(4))
    with pytest.raises(RequestError, match="cannot be decoded"):
        epoch(streamed(photographs))
    images = streamed(photographs, "skip")
    assert [len(labels) for _, labels in images.batches(4)] == [3, 3, 3]
    reasons = {Path(name).name: reason for name, reason in images.damaged.items()}
    assert reasons["001.JPEG"] == "it is no image"
    assert "truncated" in reasons["006.JPEG"]
    assert reasons["008.JPEG"] == "it is no image"
    batches = epoch(images)
    assert sum(len(labels) for _, labels, _ in batches) == 9
    assert [total for _, _, total in batches] == [5, 5, 2]
    assert len(images.damaged) == 3
    single = StreamedImages(photographs, torch.tensor([1]), torch.tensor([0]), SIZE, "skip", 0)
    ((inputs, labels),) = single.batches(1)
    assert inputs.shape == (0, 3, SIZE, SIZE)
    assert labels.shape == (0,)


def test_a_file_that_cannot_be_read_is_never_left_out(location: Path):
    photographs = read_photographs(location, 3).train
    (location / "train" / "n00000003" / "008.JPEG").unlink()
    with pytest.raises(TrialError, match=r"the image \S*008.JPEG cannot be read \(No such file or directory\)"):
        list(streamed(photographs, "skip").batches(4))


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("1", "PNG")]
)
def test_every_kind_of_colour_becomes_rgb(mode: str, kind: str):
    sink = io.BytesIO()
    drawn = Image.fromarray(generated.photograph(1, 0)).convert(mode)
    drawn.save(sink, kind)
    found = cut(Image.open(sink), (0.0, 0.0, float(drawn.width), float(drawn.height)), 8)
    expected = np.asarray(drawn.convert("RGB").resize((8, 8), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=6)


def test_a_palette_with_transparency_gives_no_warning_and_16_bits_are_refused(location: Path):
    place = location / "train" / "n00000001"
    transparent = Image.fromarray(generated.photograph(1, 0)).quantize(8)
    transparent.save(place / "000.JPEG", "PNG", transparency=bytes(range(8)))
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(place / "001.JPEG", "PNG")
    images = streamed(read_photographs(location, 3).train, "skip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(len(labels) for _, labels in images.batches(4)) == 11
    assert next(iter(images.damaged.values())).startswith("its pixels are of the kind I;16")


def test_large_photographs_are_decoded_smaller_but_never_too_small():
    sink = io.BytesIO()
    rows, columns = np.mgrid[0:600, 0:900]
    pixels = np.stack([rows * 255 / 600, columns * 255 / 900, 0 * rows + 90], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(sink, "JPEG", quality=95)
    for region in (
        middle(900, 600, 28),
        (300.0, 100.0, 700.0, 420.0),
        (0.0, 0.0, 900.0, 600.0),
        (1.0, 2.0, 40.0, 44.0),
    ):
        reduced = Image.open(sink)
        found = cut(reduced, region, 28)
        whole = Image.open(sink).resize((28, 28), Image.Resampling.BILINEAR, box=region)
        np.testing.assert_allclose(found.astype(int), np.asarray(whole).astype(int), atol=3)
        shown = [(region[2] - region[0]) * reduced.width / 900, (region[3] - region[1]) * reduced.height / 600]
        assert min(shown) >= 28
        assert reduced.width == 900 or min(shown) < 28 * 16
    assert Image.open(sink).size == (900, 600)


def test_random_regions_have_the_areas_and_shapes_that_are_said():
    draws = torch.rand(500, 40, generator=torch.Generator().manual_seed(0))
    regions = np.array([random_region(500, 400, each) for each in draws.tolist()])
    width, height = regions[:, 2] - regions[:, 0], regions[:, 3] - regions[:, 1]
    assert (regions[:, :2] >= 0).all()
    assert (regions[:, 2] <= 500).all()
    assert (regions[:, 3] <= 400).all()
    share = width * height / (500 * 400)
    assert share.min() == pytest.approx(0.08, abs=0.01)
    assert share.max() > 0.9
    assert (width / height).min() == pytest.approx(3 / 4, abs=0.02)
    assert (width / height).max() == pytest.approx(4 / 3, abs=0.02)
    assert np.median(width / height) == pytest.approx(1, abs=0.05)


def test_where_no_random_region_fits_the_middle_is_taken():
    always_too_wide = [0.99] * 40
    assert random_region(1000, 10, always_too_wide) == (493, 0, 506, 10)
    assert random_region(10, 1000, always_too_wide) == (0, 493, 10, 506)


def test_an_epoch_may_be_in_the_order_of_the_examples_and_end_early(location: Path):
    photographs = read_photographs(location, 3).train
    chosen = torch.tensor([7, 1, 2, 9, 4])
    images = StreamedImages(photographs, chosen, torch.arange(5), SIZE, "refuse", 0)
    for number in (0, 1):
        found = list(images.epoch(3, number, 2, augment=False, shuffled=False, part=Part(stop=2)))
        assert torch.cat([labels for _, labels, _ in found]).tolist() == [0, 1, 2, 3]
        plain = torch.cat([some for some, _ in images.batches(4)])[:4]
        assert torch.equal(torch.cat([some for some, *_ in found]), plain)
    everything = streamed(photographs)
    assert same(epoch(everything, stop=2), epoch(everything)[:2])


def test_colours_are_drawn_for_each_photograph_by_seed_and_epoch(location: Path):
    images = streamed(read_photographs(location, 3).train)
    options = {"augment": False, "shuffled": False}
    added, factor = drawn_colours(3, 1, len(images))
    plain = torch.cat([some for some, *_ in images.epoch(3, 1, 5, **options)])
    found = torch.cat([some for some, *_ in images.epoch(3, 1, 5, **options, recolour=True)])
    pixels = 255 * (plain.permute(0, 2, 3, 1) * DEVIATION + MEAN)
    mean = pixels.mean((1, 2), keepdim=True)
    changed = (pixels - mean) * factor.view(-1, 1, 1, 1) + mean + added.view(-1, 1, 1, 1)
    expected = (changed / 255 - MEAN) / DEVIATION
    torch.testing.assert_close(found.permute(0, 2, 3, 1), expected, atol=1e-4, rtol=0)
    whole = list(images.epoch(3, 1, 5, augment=True, recolour=True))
    shares = [list(images.epoch(3, 1, 5, augment=True, recolour=True, part=Part(rank, 2))) for rank in (0, 1)]
    for (some, *_), parts in zip(whole, zip(*shares, strict=True), strict=True):
        torch.testing.assert_close(torch.cat([part[0] for part in parts]), some, atol=1e-5, rtol=0)
