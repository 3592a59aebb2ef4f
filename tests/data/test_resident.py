"""A split of small images in memory: its batches, and how an epoch goes through it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from widthwise.data.colour import drawn_colours
from widthwise.data.dataset import Part
from widthwise.data.resident import ResidentImages

EXAMPLES = 23
IMAGES = torch.randint(256, (EXAMPLES, 3, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def split(images: Tensor = IMAGES) -> ResidentImages:
    """Each image's label is its number, so that batches tell which images they hold."""
    return ResidentImages(images, torch.arange(len(images)), torch.device("cpu"))


def epoch(seed: int = 3, number: int = 1, batch_size: int = 5, augment: bool = True, **part: int) -> list[Any]:
    return list(split().epoch(seed, number, batch_size, augment=augment, part=Part(**part)))


def order(*arguments: int, **options: Any) -> list[int]:
    return torch.cat([labels for _, labels, _ in epoch(*arguments, **options)]).tolist()


def by_number(batches: list[Any]) -> dict[int, Tensor]:
    return {int(label): image for images, labels, _ in batches for image, label in zip(images, labels, strict=True)}


def standardized(pixels: np.ndarray) -> np.ndarray:
    return (pixels - pixels.mean()) / pixels.std()


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2] for a, b in zip(one, other, strict=True)
    )


def test_batches_are_in_order_and_may_be_limited():
    found = list(split().batches(10))
    assert torch.cat([labels for _, labels in found]).tolist() == list(range(EXAMPLES))
    expected = np.stack([standardized(image) for image in IMAGES.double().numpy()])
    np.testing.assert_allclose(torch.cat([images for images, _ in found]).numpy(), expected, atol=1e-5)
    assert [len(labels) for _, labels in split().batches(10, limit=12)] == [10, 2]


def test_an_epoch_has_each_example_once_in_an_order_of_its_own():
    assert sorted(order()) == list(range(EXAMPLES))
    assert [(len(images), len(labels), total) for images, labels, total in epoch()] == [(5, 5, 5)] * 4 + [(3, 3, 3)]
    assert order() == order()
    assert len({tuple(order(seed, number)) for seed in (3, 4) for number in (0, 1)}) == 4


def test_the_order_depends_on_seed_and_epoch_alone():
    images = split()
    for number in (0, 1, 0):  # neither on what was gone through before
        list(images.epoch(3, number, 5, augment=True))
    again = torch.cat([labels for _, labels, _ in images.epoch(3, 1, 5, augment=True)]).tolist()
    assert again == order() == order(batch_size=7) == order(augment=False)


def test_without_augmentation_the_images_stay():
    plain = torch.cat([images for images, _ in split().batches(EXAMPLES)])
    for number, image in by_number(epoch(augment=False)).items():
        torch.testing.assert_close(image, plain[number])


def test_an_augmented_image_is_one_of_its_crops():
    found = by_number(epoch())
    offsets = set()
    for number, pixels in enumerate(IMAGES.double().numpy()):
        padded = np.pad(pixels, ((0, 0), (4, 4), (4, 4)))
        crops = {
            (top, left, mirrored): standardized(part[:, :, ::-1] if mirrored else part)
            for top in range(9)
            for left in range(9)
            for mirrored in (False, True)
            for part in [padded[:, top : top + 6, left : left + 6]]
        }
        image = found[number].numpy()
        offsets |= {place for place, crop in crops.items() if np.allclose(crop, image, atol=1e-4)}
    assert len(offsets) >= EXAMPLES - 5, "nearly every image has another crop"


def test_half_of_the_images_are_mirrored():
    gradient = (torch.arange(32) * 8).to(torch.uint8).expand(400, 3, 32, 32)
    batches = split(gradient).epoch(0, 0, 400, augment=True)
    inside = torch.cat([images for images, _, _ in batches])[:, 0, 16, 6:26]  # the border never comes so far
    mirrored = (inside[:, 0] > inside[:, -1]).sum().item()
    assert 150 < mirrored < 250  # five standard deviations


def test_other_epochs_and_seeds_have_other_crops():
    first, *others = (by_number(epoch(seed, number)) for seed, number in ((3, 1), (3, 2), (4, 1)))
    for other in others:
        assert sum(torch.equal(first[number], other[number]) for number in range(EXAMPLES)) < 3


@pytest.mark.parametrize("processes", [2, 3, 5, 7])
def test_the_shares_of_processes_are_the_batch(processes: int):
    """With the same crops and flips; of a small batch some processes have nothing."""
    shares = [epoch(rank=rank, processes=processes) for rank in range(processes)]
    together = [
        (torch.cat([images for images, _, _ in parts]), torch.cat([labels for _, labels, _ in parts]), parts[0][2])
        for parts in zip(*shares, strict=True)
    ]
    assert same(together, epoch())


def test_an_images_crop_does_not_depend_on_its_batch():
    one, other = by_number(epoch()), by_number(epoch(batch_size=7))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[number], other[number]) for number in one)


def test_an_epoch_is_continued_from_a_batch():
    assert same(epoch(start=2), epoch()[2:])
    assert same(epoch(start=2, rank=1, processes=2), epoch(rank=1, processes=2)[2:])
    assert epoch(start=5) == []


def test_a_fixed_order_is_that_of_the_data_in_every_epoch():
    for number in (0, 1):
        batches = list(split().epoch(3, number, 5, augment=False, shuffled=False))
        assert torch.cat([labels for _, labels, _ in batches]).tolist() == list(range(EXAMPLES))
    images = split()
    assert order() == torch.cat([labels for _, labels, _ in images.epoch(3, 1, 5, augment=True)]).tolist()
    fixed = images.epoch(3, 1, 5, augment=True, shuffled=False)
    assert torch.cat([labels for _, labels, _ in fixed]).tolist() == list(range(EXAMPLES))


def test_an_epoch_may_end_before_its_examples():
    assert same(epoch(stop=3), epoch()[:3])
    assert same(epoch(start=1, stop=3, rank=1, processes=2), epoch(rank=1, processes=2)[1:3])


def enlarged(crop: np.ndarray) -> np.ndarray:
    """A crop of 4 × 4 pixels, standardized and then interpolated to 6 × 6."""
    places = np.clip((np.arange(6) + 0.5) * 4 / 6 - 0.5, 0, 3)
    rows = np.apply_along_axis(lambda line: np.interp(places, np.arange(4), line), 2, standardized(crop))
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(4), line), 1, rows)


def cropping() -> ResidentImages:
    return ResidentImages(IMAGES, torch.arange(EXAMPLES), torch.device("cpu"), crop=4)


def test_the_middle_of_each_image_is_enlarged():
    for batches in (list(cropping().batches(10)), [each[:2] for each in cropping().epoch(0, 0, 5, augment=False)]):
        for images, labels in batches:
            expected = np.stack([enlarged(IMAGES[label].double().numpy()[:, 1:5, 1:5]) for label in labels])
            np.testing.assert_allclose(images.numpy(), expected, atol=1e-5)


def test_an_augmented_crop_is_a_window_of_the_image_itself():
    found, windows = by_number(list(cropping().epoch(3, 1, 5, augment=True))), set()
    for number, pixels in enumerate(IMAGES.double().numpy()):
        crops = {
            (top, left, mirrored): enlarged(part[:, :, ::-1] if mirrored else part)
            for top in range(3)
            for left in range(3)
            for mirrored in (False, True)
            for part in [pixels[:, top : top + 4, left : left + 4]]
        }
        fitting = {window for window, crop in crops.items() if np.allclose(crop, found[number].numpy(), atol=1e-4)}
        assert len(fitting) == 1
        windows |= fitting
    assert {top for top, _, _ in windows} == {left for _, left, _ in windows} == {0, 1, 2}
    assert len(windows) > 9


def test_colours_are_drawn_for_each_image_by_seed_and_epoch():
    def recoloured(seed: int = 3, number: int = 1, **options: Any) -> dict[int, Tensor]:
        return by_number(list(split().epoch(seed, number, 5, **{"augment": False, **options}, recolour=True)))

    found, plain = recoloured(), by_number(epoch(augment=False))
    added, factor = drawn_colours(3, 1, EXAMPLES).double().numpy()
    for number, pixels in enumerate(IMAGES.double().numpy()):
        mean = pixels.mean((1, 2), keepdims=True)
        expected = standardized((pixels - mean) * factor[number] + mean + added[number])
        np.testing.assert_allclose(found[number].numpy(), expected, atol=1e-4)
    assert sum(torch.allclose(found[number], plain[number], atol=1e-3) for number in plain) < 3
    for other in (recoloured(seed=4), recoloured(number=2)):
        assert not any(torch.equal(other[number], found[number]) for number in found)
    fixed = recoloured(shuffled=False)
    assert all(torch.equal(fixed[number], found[number]) for number in found)


@pytest.mark.parametrize("processes", [2, 7])
def test_the_shares_of_processes_are_the_batch_with_crops_and_colours(processes: int):
    options = {"augment": True, "recolour": True}
    whole = list(cropping().epoch(3, 1, 5, **options))
    shares = [list(cropping().epoch(3, 1, 5, **options, part=Part(rank, processes))) for rank in range(processes)]
    for (images, labels, _), parts in zip(whole, zip(*shares, strict=True), strict=True):
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
        torch.testing.assert_close(torch.cat([part[0] for part in parts]), images, atol=1e-6, rtol=0)
