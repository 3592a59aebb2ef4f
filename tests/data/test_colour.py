"""Random brightness and contrast, against a plain loop over images and channels."""

import numpy as np
import pytest
import torch

from widthwise.data.colour import drawn_colours, recoloured
from widthwise.data.pixels import standardized

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 5, 7, 3), dtype=np.uint8)
NONE, ONE = torch.zeros(4), torch.ones(4)


def changed(added: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return recoloured(torch.from_numpy(IMAGES), torch.stack([added, factor]))


def test_brightness_is_added_and_contrast_is_around_each_channels_mean():
    added, factor = torch.tensor([0.0, 63.0, -63.0, 10.0]), torch.tensor([1.0, 0.2, 1.8, 1.1])
    changes = zip(
        IMAGES.astype(np.float64), changed(added, factor).numpy(), added.tolist(), factor.tolist(), strict=True
    )
    for image, values, more, times in changes:
        for channel in range(3):
            brighter = image[..., channel] + more
            expected = (brighter - brighter.mean()) * times + brighter.mean()
            np.testing.assert_allclose(values[..., channel], expected, atol=1e-3)


def test_nothing_is_cut_off():
    assert changed(NONE - 63, ONE).min() < 0
    assert changed(NONE + 63, ONE).max() > 255


def test_standardization_of_each_image_undoes_brightness_but_not_contrast():
    plain = standardized(torch.from_numpy(IMAGES))
    torch.testing.assert_close(standardized(changed(NONE + 40, ONE)), plain, atol=1e-5, rtol=0)
    assert (standardized(changed(NONE, ONE * 0.2)) - plain).abs().max() > 0.1


def test_the_images_themselves_stay():
    images = torch.from_numpy(IMAGES.copy())
    recoloured(images, torch.stack([NONE + 9, ONE * 2]))
    assert np.array_equal(images.numpy(), IMAGES)


def test_draws_fill_their_ranges_and_depend_on_seed_and_epoch():
    added, factor = drawn_colours(3, 1, 4000)
    for values, low, high in ((added, -63, 63), (factor, 0.2, 1.8)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        deviation = (high - low) / 12**0.5 / 4000**0.5
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=5 * deviation)
    assert abs(torch.corrcoef(torch.stack([added, factor]))[0, 1]) < 0.1
    assert torch.equal(drawn_colours(3, 1, 4000)[0], added)
    assert len({drawn_colours(seed, epoch, 5).sum().item() for seed in (3, 4) for epoch in (0, 1)}) == 4
