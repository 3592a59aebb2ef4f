"""Profiles of parts of the data, merged, against the profile of the whole."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.correlation import RunningCorrelation
from widthwise.measurement.part import as_part
from widthwise.measurement.profile import profile
from widthwise.measurement.result import TABLES, Profile
from widthwise.measurement.settings import Measurement

EXAMPLES = 90


def network() -> nn.Sequential:
    """In double precision, so that batches of other sizes round alike in all digits that are compared."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 7), nn.ReLU(), nn.Linear(7, 4)]
    return nn.Sequential(*layers).double()


def images() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(EXAMPLES, 1, 6, 6, dtype=torch.float64)


def assert_equal(one: Profile, other: Profile) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-12)
    counts = ["unchanged", "units_dropped"]
    assert one.ablation[counts].equals(other.ablation[counts])
    assert one.correlation.equals(other.correlation)
    assert (one.examples, one.most_frequent_label_share) == (other.examples, other.most_frequent_label_share)
    assert one.about == other.about


@pytest.mark.parametrize("activations", [None, 40])
@pytest.mark.parametrize("granularity", ["application", "channel"])
@pytest.mark.parametrize("parts", [1, 2, 7])
def test_merged_parts_equal_the_whole(parts: int, granularity, activations: int | None):
    settings = Measurement(granularity=granularity, activations=activations, levels=4, samplings=2)
    batches = images().split(20)
    whole = profile(network(), batches, settings=settings, seed=3)
    measured = [
        profile(network(), batches, settings=settings, seed=3, part=(number, parts), batch_size=8)
        for number in range(1, parts + 1)
    ]
    assert sum(each.examples for each in measured) == EXAMPLES
    assert_equal(Profile.merge(measured[::-1]), whole)


def test_a_part_is_measured_like_those_examples_alone_but_for_the_draws():
    batches = images().split(20)
    settings = Measurement(levels=2, activations=None)
    part = profile(network(), batches, settings=settings, part=(2, 3))
    alone = profile(network(), [images()[30:60]], settings=settings)
    assert part.examples == 30
    assert_equal(part, alone)


def test_parts_are_merged_from_their_files(tmp_path: Path):
    batches = images().split(40)
    settings = Measurement(levels=3, samplings=2, activations=50)
    whole = profile(network(), batches, settings=settings)
    read = []
    for number in (1, 2):
        profile(network(), batches, settings=settings, part=(number, 2)).save(tmp_path / f"{number}.profile")
        read.append(Profile.load(tmp_path / f"{number}.profile"))
    assert_equal(Profile.merge(read), whole)
    merged = Profile.merge([Profile.load(tmp_path / f"{number}.profile") for number in (1, 2)])
    merged.save(tmp_path / "whole.profile")
    assert Profile.load(tmp_path / "whole.profile") == merged
    with pytest.raises(RequestError, match="only profiles that were measured with part="):
        Profile.merge([merged])


def test_batches_that_cannot_be_cut_belong_to_the_part_of_their_first_example():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, value: Tensor, names: list[bytes]) -> Tensor:
            assert len(names) == len(value)
            return self.inner(value)

    batches = [((part, [b"name"] * len(part)),) for part in images().split(25)]
    settings = Measurement(levels=3)
    parts = [profile(Named(), batches, settings=settings, part=(number, 3)) for number in (1, 2, 3)]
    assert [each.examples for each in parts] == [50, 25, 15]
    assert_equal(Profile.merge(parts), profile(Named(), batches, settings=settings))


def test_parts_that_do_not_fit_together_are_refused():
    batches = images().split(40)
    settings = Measurement(levels=2)

    def part(number: int, of: int = 2, seed: int = 0, levels: int = 2) -> Profile:
        return profile(network(), batches, settings=Measurement(levels=levels), seed=seed, part=(number, of))

    first = part(1)
    cases = {
        "each of them once; given are: 1 of 2": [first],
        "each of them once; given are: 1 of 2, 1 of 2": [first, part(1)],
        "each of them once; given are: 1 of 2, 2 of 3": [first, part(2, 3)],
        "different settings": [first, part(2, levels=3)],
        "different seeds": [first, part(2, seed=1)],
    }
    for problem, parts in cases.items():
        with pytest.raises(RequestError, match=problem):
            Profile.merge(parts)
    other = network()
    other[5].weight.data *= 2
    with pytest.raises(RequestError, match="different networks"):
        Profile.merge([part(1), profile(other, batches, settings=settings, part=(2, 2))])


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0), (1.0, 2), 1, "12", (1, 2, 3)])
def test_a_part_that_cannot_be_is_refused(part):
    with pytest.raises(RequestError, match=r"part: must be two whole numbers such as \(1, 4\)"):
        as_part(part)


@pytest.mark.parametrize("settings", [{"single_units": True}, {"replacement": "mean"}, {"precision": 0.1}])
def test_what_needs_all_examples_at_once_is_refused_for_a_part(settings):
    with pytest.raises(RequestError, match="needs all examples at once"):
        profile(network(), [images()], settings=Measurement(**settings), part=(1, 2))


def test_more_parts_than_examples_are_refused():
    with pytest.raises(RequestError, match="there are only 2 examples, so this part has none"):
        profile(network(), [images()[:2]], part=(1, 3))


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_merged_correlations_are_those_of_all_samples(offset: float):
    torch.manual_seed(2)
    activity = torch.randn(300, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + offset
    activity[200:] += 100
    running = [RunningCorrelation(6) for _ in range(4)]
    for each, samples in zip(running, activity.tensor_split([50, 200, 200]), strict=True):
        each.update(samples)
    for each in running[1:]:
        running[0].merge(each)
    expected = np.corrcoef(activity.numpy().T)
    np.testing.assert_allclose(running[0].compute().r.numpy(), expected, atol=1e-12 if offset == 0 else 1e-9)


def test_parts_stay_what_they_are_when_they_are_merged():
    parts = [profile(network(), images().split(20), part=(number, 2)) for number in (1, 2)]
    merged = Profile.merge(parts)
    assert_equal(Profile.merge(parts), merged)
