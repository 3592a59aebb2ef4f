"""A measurement that goes on after an interruption ends with the same numbers, to the bit."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement import checkpoint as checkpoints
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.progress import Progress


class Interrupted(Exception):
    """What a killed process is to these tests."""


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 6), nn.Tanh(), nn.Linear(6, 3))


def inputs() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(70, 4)


@pytest.fixture(autouse=True)
def written_after_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", float("inf"))


def measure(file: Path | None, stop_after: int | None = None, **options) -> Profile:
    """Measure 70 examples in batches of 10; it is interrupted at the end of the batch after `stop_after` others."""
    batches, last = 0, 0.0

    def interrupt(progress: Progress) -> None:
        nonlocal batches, last
        if not progress.subject and progress.done > last:  # the end of a batch
            batches, last = batches + 1, progress.done
        if stop_after is not None and batches > stop_after:
            raise Interrupted

    given = {"model": network(), "batches": [inputs()], "batch_size": 10, **options}
    return profile(**given, checkpoint=file, on_progress=interrupt)


SETTINGS = [
    Measurement(levels=3),
    Measurement(levels=3, activations=30, samplings=2, granularity="channel"),
    Measurement(levels=3, single_units=True, replacement="mean", protocols=("text", "figures")),
    Measurement(precision=0.05, levels=4),
    Measurement(precision=0.002, levels=4, samplings=2, single_units=True, protocols=("figures", "text")),
]


@cache
def uninterrupted(settings: Measurement) -> Profile:
    return measure(None, settings=settings)


@pytest.mark.parametrize("stop_after", [1, 6, 9, 15])
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_result_is_that_of_an_uninterrupted_one(settings: Measurement, stop_after: int, tmp_path: Path):
    file = tmp_path / "state"
    try:
        measure(file, stop_after, settings=settings)
    except Interrupted:
        assert [path.name for path in tmp_path.iterdir()] == ["state"]
    resumed = measure(file, settings=settings)
    assert resumed == uninterrupted(settings)
    assert not any(tmp_path.iterdir())


def test_what_was_done_is_not_run_again(tmp_path: Path):
    model, calls = network(), []
    model[4].register_forward_hook(lambda *_: calls.append(None))
    options = {"settings": Measurement(levels=3), "model": model, "replay": False}
    measure(None, **options)
    whole = len(calls)
    with pytest.raises(Interrupted):
        measure(tmp_path / "state", 5, **options)
    calls.clear()
    measure(tmp_path / "state", **options)
    assert len(calls) < whole / 2


def test_correlations_that_take_several_passes_go_on_too(tmp_path: Path):
    settings = Measurement(levels=2)
    for stop_after in (3, 8, 12):
        with pytest.raises(Interrupted):
            measure(tmp_path / "state", stop_after, settings=settings, memory=1)
        assert measure(tmp_path / "state", settings=settings, memory=1) == measure(None, settings=settings, memory=1)


def test_another_interruption_does_no_harm(tmp_path: Path):
    settings = SETTINGS[2]
    for stop_after in (3, 2, 5):
        with pytest.raises(Interrupted):
            measure(tmp_path / "state", stop_after, settings=settings)
    assert measure(tmp_path / "state", settings=settings) == measure(None, settings=settings)


def test_a_part_goes_on_too(tmp_path: Path):
    settings = Measurement(levels=3, activations=30)
    parts = []
    for number in (1, 2):
        with pytest.raises(Interrupted):
            measure(tmp_path / "state", 1, settings=settings, part=(number, 2), batch_size=5)
        parts.append(measure(tmp_path / "state", settings=settings, part=(number, 2), batch_size=5))
    whole = measure(None, settings=settings)
    assert Profile.merge(parts).ablation.equals(whole.ablation)


def test_the_state_of_another_measurement_is_refused(tmp_path: Path):
    file = tmp_path / "state"
    settings = Measurement(levels=3)
    with pytest.raises(Interrupted):
        measure(file, 2, settings=settings)
    other = network()
    other[0].weight.data[0, 0] += 1
    cases = {
        "another network": {"model": other},
        "another setting": {"settings": Measurement(levels=4)},
        "another seed": {"seed": 1},
        "another selection of layers": {"layers": "1"},
        "another number of examples": {"batches": [inputs()[:60]]},
        "another batch size": {"batch_size": 20},
        "the examples are not those": {"batches": [inputs().flip(0)]},
    }
    for problem, options in cases.items():
        with pytest.raises(RequestError, match=problem):
            measure(file, **{"settings": settings, **options})
    assert measure(file, settings=settings) == measure(None, settings=settings)


@pytest.mark.parametrize("content", [b"", b"no such thing", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_other_files_are_refused(content: bytes, tmp_path: Path):
    file = tmp_path / "state"
    file.write_bytes(content)
    with pytest.raises(RequestError, match=r"checkpoint: .* is no checkpoint of a measurement"):
        measure(file)
    assert file.read_bytes() == content
    with pytest.raises(RequestError, match="there is no folder"):
        measure(tmp_path / "missing" / "state")


def test_a_large_state_is_written_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 100.0, 103.0, 130.0, 170.0])
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 30.0)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", 0.05)
    written = checkpoints.Checkpoint(tmp_path / "state", {})
    written.save({"number": torch.zeros(3)})  # takes 3 seconds, so that the next is 60 seconds after it
    assert not written.due
    assert written.due


def batches_read_once() -> Iterator[Tensor]:
    yield from inputs().split(10)


def test_inputs_from_an_iterator_can_be_given_anew(tmp_path: Path):
    settings = Measurement(levels=3)
    with pytest.raises(Interrupted):
        measure(tmp_path / "state", 3, settings=settings, batches=batches_read_once())
    resumed = measure(tmp_path / "state", settings=settings, batches=batches_read_once())
    assert resumed == measure(None, settings=settings)
