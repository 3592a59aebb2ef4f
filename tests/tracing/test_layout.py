"""The memory layout of inputs is the user's wherever another one does not work or means something else."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.measurement.profile import layers, profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.inputs import Inputs, copied, joined
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched

FEWER = Measurement(levels=4, samplings=2)
IMAGES = torch.randn(30, 2, 5, 5, generator=torch.Generator().manual_seed(0))


class Convolutional(nn.Module):
    """A convolution and a dense layer, with a way of its own to flatten between them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.head = nn.Conv2d(2, 4, 3), nn.Linear(36, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.head(self.flat(F.relu(self.convolution(value))))

    def flat(self, value: Tensor) -> Tensor:
        return value.flatten(1)


class Viewed(Convolutional):
    def flat(self, value: Tensor) -> Tensor:
        return value.view(value.size(0), -1)


class Strided(Convolutional):
    """Reads the memory as it lies."""

    def flat(self, value: Tensor) -> Tensor:
        return value.as_strided((len(value), 36), (36, 1))


class ByItsStrides(Convolutional):
    """Looks at the strides of its input."""

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(value if value.stride(1) == 25 else -value)


class OnlyForSmallOnes(Convolutional):
    """With channels last, it cannot be run on images larger than those of the first batch."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def flat(self, value: Tensor) -> Tensor:
        return value.view(len(value), 4, -1).mean(2)


@pytest.mark.parametrize("network", [Viewed, Strided, ByItsStrides])
def test_a_network_for_the_given_layout_is_measured_as_its_twin_for_any_layout(network: type[Convolutional]):
    measured, expected = (profile(each(), [IMAGES], settings=FEWER) for each in (network, Convolutional))
    assert measured.about["replayed"]
    for table in ("ablation", "layers"):
        assert getattr(measured, table).equals(getattr(expected, table))
    assert measured.units["mean"].tolist() == pytest.approx(expected.units["mean"].tolist(), rel=1e-5)
    assert layers(network(), IMAGES)["units"].tolist() == [4]
    assert (expected.ablation["unchanged"] < 1).any()


@pytest.mark.parametrize(
    ("network", "channels_last"), [(Convolutional, True), (Viewed, False), (Strided, False), (ByItsStrides, False)]
)
def test_channels_are_last_only_where_that_gives_the_same(network: type[Convolutional], channels_last: bool):
    model = network()
    with untouched(model):
        assert Network(model, Inputs((IMAGES,), {})).channels_last == channels_last


def test_a_later_batch_that_cannot_be_run_with_channels_last_is_run_as_given():
    model = OnlyForSmallOnes()
    batches = [IMAGES[:, :, :3, :3], IMAGES]
    measured = profile(model, batches, settings=Measurement(levels=4, samplings=2, granularity="channel"))
    with torch.no_grad():
        activity = torch.cat([F.relu(model.convolution(batch)).movedim(1, -1).flatten(0, 2) for batch in batches])
    assert measured.units["mean"].tolist() == pytest.approx(activity.double().mean(0).tolist(), rel=1e-5)


class OnlyChannelsLast(Convolutional):
    """Works on images whose channels lie next to each other in memory."""

    def forward(self, value: Tensor) -> Tensor:
        rows = value.permute(0, 2, 3, 1).view(-1, 2)
        return super().forward(rows.view(len(value), 5, 5, 2).permute(0, 3, 1, 2))


def test_a_layout_that_the_user_gives_stays_also_where_batches_are_joined():
    given = IMAGES.contiguous(memory_format=torch.channels_last)
    expected = profile(Convolutional(), [IMAGES], settings=FEWER)
    measured = profile(OnlyChannelsLast(), list(given.split(7)), settings=FEWER)
    assert measured.ablation.equals(expected.ablation)


def test_copies_and_joined_parts_have_the_strides_of_what_was_given():
    base = torch.arange(240.0).view(6, 4, 10)
    for given in (base, base.transpose(1, 2), base[:, :, ::2], base[:, :1].expand(6, 4, 10), base.permute(2, 0, 1)):
        copy = copied(given)
        assert torch.equal(copy, given)
        assert copy.stride() == given.stride()
        assert copy.data_ptr() != given.data_ptr()
    parts = [Inputs((part,), {}) for part in base.transpose(1, 2).split(2)]
    (together,) = joined(parts).tensors
    assert torch.equal(together, base.transpose(1, 2))
    assert together.stride() == base.transpose(1, 2).stride()


def test_an_expanded_input_is_measured_as_its_copy():
    given = torch.randn(30, 1, 5, 5).expand(30, 2, 5, 5)
    expanded, copy = (profile(Convolutional(), [each], settings=FEWER) for each in (given, given.clone()))
    assert expanded.ablation.equals(copy.ablation)
