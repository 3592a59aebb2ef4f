"""Batches of images as bytes, against a plain loop over images."""

import numpy as np
import torch

from widthwise.data.pixels import bordered, crop_and_flip, middle, resized, standardized

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
"""Neither square nor of a size that hides a mistaken stride."""


def with_border(image: np.ndarray) -> np.ndarray:
    return np.pad(image, ((4, 4), (4, 4), (0, 0)))


def test_a_border_is_four_black_pixels():
    expected = np.stack([with_border(image) for image in IMAGES])
    assert np.array_equal(bordered(torch.from_numpy(IMAGES)).numpy(), expected)


def test_crops_and_flips_are_those_of_a_plain_loop():
    corners = [(5, 8, 8, True), (5, 8, 8, False), (0, 0, 0, False), (0, 0, 0, True), (2, 0, 8, True), (3, 4, 4, False)]
    drawn = [tuple(RANDOM.integers((6, 9, 9, 2)).tolist()) for _ in range(200)]
    chosen, top, left, flipped = (torch.tensor(each) for each in zip(*corners, *drawn, strict=True))
    found = crop_and_flip(bordered(torch.from_numpy(IMAGES)), chosen, top, left, flipped.bool())
    assert found.shape == (206, 5, 7, 3)
    for image, number, row, column, mirror in zip(found.numpy(), chosen, top, left, flipped, strict=True):
        part = with_border(IMAGES[number])[row : row + 5, column : column + 7]
        assert np.array_equal(image, part[:, ::-1] if mirror else part)


def test_the_middle_crop_is_the_image():
    middle = torch.full((6,), 4)
    found = crop_and_flip(
        bordered(torch.from_numpy(IMAGES)), torch.arange(6), middle, middle, torch.zeros(6, dtype=torch.bool)
    )
    assert np.array_equal(found.numpy(), IMAGES)


def test_a_batch_may_be_empty():
    none = torch.zeros(0, dtype=torch.int64)
    assert crop_and_flip(bordered(torch.from_numpy(IMAGES)), none, none, none, none.bool()).shape == (0, 5, 7, 3)
    assert standardized(torch.zeros(0, 5, 7, 3, dtype=torch.uint8)).shape == (0, 3, 5, 7)


def test_each_image_is_standardized_by_itself():
    found = standardized(torch.from_numpy(IMAGES)).permute(0, 2, 3, 1).numpy()
    for image, values in zip(IMAGES.astype(np.float64), found, strict=True):
        np.testing.assert_allclose(values, (image - image.mean()) / image.std(), atol=1e-5)


def test_an_image_of_one_colour_becomes_zeros():
    grey = torch.full((1, 5, 7, 3), 200, dtype=torch.uint8)
    assert torch.equal(standardized(grey), torch.zeros(1, 3, 5, 7))


def test_the_deviation_is_at_least_one_over_the_root_of_the_number_of_values():
    image = np.zeros((5, 7, 3), np.uint8)
    image[2, 3, 1] = 1
    assert image.std() < 105**-0.5
    found = standardized(torch.from_numpy(image[None]))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, (image - image.mean()) * 105**0.5, rtol=1e-5)


def test_a_middle_of_other_sizes_is_cut_out():
    for border, (first, height, width) in {0: (0, 5, 7), 1: (0, 4, 6), 2: (1, 3, 5), 4: (2, 1, 3)}.items():
        found = middle(torch.from_numpy(IMAGES), border).numpy()
        assert np.array_equal(found, IMAGES[:, first : first + height, first : first + width])


def test_windows_of_images_without_a_border():
    for top, left, mirror in ((0, 0, False), (2, 1, True), (2, 2, False)):
        corner = (torch.tensor([each]) for each in (4, top, left))
        (found,) = crop_and_flip(torch.from_numpy(IMAGES), *corner, torch.tensor([mirror]), border=2).numpy()
        part = IMAGES[4][top : top + 3, left : left + 5]
        assert np.array_equal(found, part[:, ::-1] if mirror else part)


def test_resizing_interpolates_between_the_centres_of_pixels():
    image = RANDOM.random((4, 4)).astype(np.float32)
    found = resized(torch.from_numpy(image).expand(2, 3, 4, 4), 6)
    assert found.shape == (2, 3, 6, 6)
    places = np.clip((np.arange(6) + 0.5) * 4 / 6 - 0.5, 0, 3)
    rows = np.stack([np.interp(places, np.arange(4), row) for row in image])
    expected = np.stack([np.interp(places, np.arange(4), column) for column in rows.T]).T
    np.testing.assert_allclose(found[1, 2].numpy(), expected, atol=1e-6)
    assert resized(torch.zeros(0, 3, 4, 4), 6).shape == (0, 3, 6, 6)
