"""`profile` finds the layers of every kind of network, and both ways of running it again give the same."""

import pandas as pd
import pytest
import torch
from tests.measurement.architectures import ARCHITECTURES, Choosing, Example, build

from widthwise.measurement.profile import layers, profile
from widthwise.measurement.result import TABLES
from widthwise.measurement.settings import Measurement

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FEWER = Measurement(levels=4, samplings=2, single_units=True)


@pytest.fixture(params=ARCHITECTURES)
def example(request: pytest.FixtureRequest) -> Example:
    return build(request.param)


def test_its_layers_are_found(example: Example):
    table = layers(example.model, example.batches[0])
    assert table["layer"].tolist() == example.layers
    assert table["measured"].all()
    assert (table["follows"] != "").all()


def test_replaying_what_follows_and_running_the_whole_network_give_the_same(example: Example):
    model = example.model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    replayed, whole = (
        profile(model, example.batches, settings=FEWER, seed=3, replay=replay) for replay in (True, False)
    )
    assert not whole.about["replayed"]
    if isinstance(model, Choosing):
        assert replayed.about["reason"].startswith("what the network does depends on a value behind relu")
    else:
        assert replayed.about["replayed"], replayed.about["reason"]
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(replayed, name), getattr(whole, name), check_exact=True)
    assert (replayed.ablation["unchanged"] < 1).any(), "the network uses some layer"

    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
