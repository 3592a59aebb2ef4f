"""Progress on the terminal and elsewhere: bars that go, lines that stay."""

import io

import pytest
from rich.console import Console

from widthwise.commands import progress as shown
from widthwise.commands.progress import shown_progress
from widthwise.progress import Progress

EPOCH = {"train_loss": 2.2731, "train_accuracy": 0.126, "validation_accuracy": 0.1758, "examples_per_second": 320.4}
WITHIN = {"train_loss": 2.2731, "train_accuracy": 0.126, "examples_per_second": 1320.4}


def printed(*events: Progress, terminal: bool = False, **options: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, highlight=False, soft_wrap=True)
    with shown_progress(console, **options) as on_progress:
        for event in events:
            on_progress(event)
    return file.getvalue()


def test_a_training_shows_a_line_for_each_epoch():
    events = [
        Progress("trials", 0, 1, "trials"),
        Progress("training", 0.5, 2, "epochs", numbers=WITHIN, seconds_left=9.0),
        Progress("training", 1, 2, "epochs", numbers=EPOCH, seconds_left=6.2),
        Progress("training", 2, 2, "epochs", numbers=EPOCH, seconds_left=100_000.0),
    ]
    assert printed(*events, every_epoch=True).splitlines() == [
        "epoch       loss  accuracy  validation   images/s       left",
        "1/2       2.2731    0.1260      0.1758        320    0:00:06",
        "2/2       2.2731    0.1260      0.1758        320   1.2 days",
    ]


def test_on_a_terminal_it_shows_where_it_is_within_an_epoch():
    within = Progress("training", 1.5, 2, "epochs", numbers=WITHIN, seconds_left=9.0)
    assert "epoch 2/2, loss 2.273, accuracy 0.126, 1,320/s, 0:00:09 left" in printed(
        within, terminal=True, every_epoch=True
    )


def test_without_a_terminal_a_long_epoch_shows_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shown, "SECONDS_BETWEEN_LINES", -1.0)
    within = Progress("training", 1.5, 2, "epochs", numbers=WITHIN, seconds_left=9.0)
    lines = printed(within, every_epoch=True).splitlines()
    assert lines[1] == "epoch 2/2, loss 2.273, accuracy 0.126, 1,320/s, 0:00:09 left"


SWEEP = [
    Progress("trials", 1_000, 1_002, "trials"),
    Progress("training", 1.4, 3, "epochs", "1 × alexnet 1x, momentum 0.01", WITHIN),
    Progress("trials", 1_000, 1_002, "trials", "1 × alexnet 1x, momentum 0.01"),
    Progress("trials", 1_002, 1_002, "trials"),
]


def test_a_sweep_shows_a_bar_with_what_is_trained_on_a_terminal():
    text = printed(*SWEEP[:3], terminal=True)
    assert "1000/1002" in text
    assert "1 × alexnet 1x, momentum 0.01, epoch 2 of 3, accuracy 0.126" in text
    assert "writing the report" in printed(*SWEEP, terminal=True)


def test_without_a_terminal_a_sweep_shows_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch):
    assert printed(*SWEEP) == ""
    monkeypatch.setattr(shown, "SECONDS_BETWEEN_LINES", -1.0)
    assert printed(*SWEEP).splitlines() == [
        "1,000 of 1,002 trials",
        "1,000 of 1,002 trials: 1 × alexnet 1x, momentum 0.01, epoch 2 of 3, accuracy 0.126",
    ]


def test_a_measurement_shows_its_examples(monkeypatch: pytest.MonkeyPatch):
    events = [Progress("measuring", done, 20_000, "examples") for done in (0, 10_000, 20_000)]
    assert "10000/20000" in printed(*events[:2], terminal=True)
    assert printed(*events) == ""
    monkeypatch.setattr(shown, "SECONDS_BETWEEN_LINES", -1.0)
    assert printed(*events).splitlines() == ["0 of 20,000 examples", "10,000 of 20,000 examples"]


def test_a_damaged_trial_is_named_wherever_it_is_shown():
    damage = Progress("damage", 0, subject="trial abc is damaged (outcome.json is not readable)")
    for terminal in (False, True):
        assert "trial abc is damaged (outcome.json is not readable); it is run again" in printed(
            damage, terminal=terminal
        )
