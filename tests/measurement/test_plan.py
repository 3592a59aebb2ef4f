"""`plan`: what a profile would take, against what it takes."""

import time

import pytest
import torch
from torch import nn

import widthwise
from widthwise.errors import RequestError
from widthwise.measurement.plan import plan
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    )


def test_it_counts_layers_passes_runs_and_operations():
    model, images = network(), torch.randn(30, 3, 12, 12)
    planned = plan(model, images.split(10), batch_size=15)
    assert planned.layers == ("1", "3")
    assert (planned.examples, planned.batch_size, planned.passes) == (30, 15, 1)
    assert planned.runs == 30 * 2 * (3 * 5 + 1)
    assert planned.correlation_memory == 8 * (16**2 + 32**2)  # there are fewer activations than would be drawn
    drawn = plan(model, images.split(10), settings=Measurement(activations=400), batch_size=15)
    assert drawn.correlation_memory == 8 * 3 * (16**2 + 32**2)
    apart = plan(model, images.split(10), settings=Measurement(activations=400), batch_size=15, memory=8 * 3 * 32**2)
    assert (apart.passes, apart.correlation_memory) == (2, 8 * 3 * 32**2)
    one, two, head = 2 * 10 * 10 * 16 * 27, 2 * 4 * 4 * 32 * 144, 2 * 32 * 10  # of one example
    assert planned.flops == 30 * (one + two + head) + 30 * 16 * ((two + head) + head)
    sampled = plan(model, images.split(10), settings=Measurement(precision=0.1))
    assert sampled.runs < planned.runs
    more = plan(model, [images], settings=Measurement(single_units=True, replacement="mean"))
    assert more.passes == 3
    assert more.flops > planned.flops


def test_it_is_printed_in_80_columns_and_is_plain_data():
    model, images = network(), torch.randn(30, 3, 12, 12)
    planned = widthwise.plan(model, [images])
    assert isinstance(planned, widthwise.Plan)
    assert max(map(len, str(planned).splitlines())) <= 80
    assert str(planned).startswith("Profile of Sequential: 2 layers, 30 examples, 30 at a time.")
    assert planned.to_dict()["layers"] == ["1", "3"]
    with pytest.raises(RequestError, match="batch_size: must be at least 1"):
        plan(model, [images], batch_size=0)


def test_the_time_is_of_the_right_size():
    model, images = network(), torch.randn(400, 3, 24, 24)
    profile(model, [images[:50]])  # what starts slowly
    for precision in (None, 0.02):
        settings = Measurement(precision=precision)
        planned = plan(model, [images], settings=settings)
        started = time.perf_counter()
        profile(model, [images], settings=settings)
        taken = time.perf_counter() - started
        assert taken / 6 < planned.seconds < taken * 6, "other processes may be running; within 2 on a quiet machine"
