"""A batch that does not fit in memory is refused before anything is trained, with what would fit."""

import pytest

from widthwise.errors import RequestError
from widthwise.execution import memory
from widthwise.execution.machine import Machine
from widthwise.execution.memory import check_memory, training_memory
from widthwise.experiments.settings import resolved


def trial(**training):
    return resolved({"network": {"name": "alexnet", "width_factor": 0.25}, "training": training}, "test")


def test_memory_is_that_of_the_parameters_and_of_each_example():
    fixed = 4 * 4 * 438_746  # weights, gradients, momentum, and the best network so far
    one, two = (training_memory(trial(), examples=examples) for examples in (1, 2))
    assert one - (two - one) == fixed
    assert training_memory(trial(optimizer="adam"), examples=1) == one + 4 * 438_746
    assert training_memory(trial()) == fixed + 128 * (two - one)
    images, pooled = 3 * 32 * 32, 24 * 16 * 16
    assert two - one > 4 * (images + 24 * 32 * 32 + 2 * pooled)


def test_what_would_fit_is_said_and_does(monkeypatch: pytest.MonkeyPatch):
    free = training_memory(trial(), examples=40)
    monkeypatch.setattr(memory, "available_memory", lambda device: free)
    with pytest.raises(RequestError, match=r"^alexnet at 0.25x needs \d+\.\d GB for 128 examples at once") as raised:
        check_memory(trial(), Machine())
    assert raised.value.settings == {"training.micro_batch_size": 32}
    assert str(raised.value).endswith("in pieces; set training.micro_batch_size=32")
    check_memory(trial(micro_batch_size=32), Machine())


def test_processes_share_the_memory_of_a_cpu(monkeypatch: pytest.MonkeyPatch):
    free = training_memory(trial(), examples=128)
    monkeypatch.setattr(memory, "available_memory", lambda device: free)
    check_memory(trial(), Machine())
    with pytest.raises(RequestError, match="for 64 examples at once"):
        check_memory(trial(), Machine(processes=2))


def test_a_network_that_fits_by_no_means_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "available_memory", lambda device: 1_000_000)
    with pytest.raises(RequestError, match="one example alone does not fit"):
        check_memory(trial(), Machine())
