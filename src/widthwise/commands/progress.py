"""What a running sweep, training or measurement shows on the terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from widthwise.execution.runner import Step


@contextmanager
def shown_progress(console: Console) -> Iterator[Callable[[Step], None]]:
    """A bar on `console`, if it is a terminal: runs done, time passed, time left, and what is being trained.

    It appears with the first step and is gone when all is done.
    """
    bar = Progress(
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", style="dim"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("starting", total=None)

    def on_step(step: Step) -> None:
        bar.start()
        waiting = "writing the report" if step.done == step.total else "starting"
        shown = step.running[0] if step.running else waiting
        bar.update(task, completed=step.done, total=step.total, description=shown)

    try:
        yield on_step
    finally:
        bar.stop()


SECONDS_BETWEEN_LINES = 20.0


@contextmanager
def shown_examples(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar of the examples measured; where `console` is no terminal, a line every so often."""
    bar = Progress(
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("examples"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("measuring", total=None)
    last = time.monotonic()

    def on_progress(done: int, total: int) -> None:
        nonlocal last
        bar.update(task, completed=done, total=total)
        if not console.is_terminal and done < total and time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            console.print(f"{done:,} of {total:,} examples", markup=False)

    with bar:
        yield on_progress


class ShownTraining:
    """A line for each epoch of a training, and on a terminal where it is within the epoch.

    It opens the terminal when it is first called, so that it can be sent to another process.
    """

    def __init__(self) -> None:
        self._console: Console | None = None
        self._bar: Progress | None = None

    def __call__(self, moment: Any) -> None:
        if self._console is None:
            self._console = Console(stderr=True, highlight=False, soft_wrap=True)
            self._console.print("epoch       loss  accuracy  validation   images/s       left", style="bold")
            if self._console.is_terminal:
                columns = (BarColumn(bar_width=20), TextColumn("{task.description}"))
                self._bar = Progress(*columns, console=self._console, transient=True)
                self._bar.start()
                self._bar.add_task("", total=moment.batches)
        ended = moment.validation_accuracy is not None
        left = _time_left(moment.seconds_left)
        speed, place = f"{moment.images_per_second:,.0f}", f"{moment.epoch}/{moment.epochs}"
        if ended:
            self._console.print(
                f"{place:<9}{moment.loss:>7.4f}{moment.accuracy:>10.4f}{moment.validation_accuracy:>12.4f}"
                f"{speed:>11}{left:>11}"
            )
        if self._bar is not None:
            said = f"epoch {place}, loss {moment.loss:.3f}, accuracy {moment.accuracy:.3f}, {speed}/s, {left} left"
            self._bar.update(self._bar.task_ids[0], completed=0 if ended else moment.batch, description=said)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()


def _time_left(seconds: float) -> str:
    """Hours, minutes and seconds; of more than a day, days."""
    return str(timedelta(seconds=round(seconds))) if seconds < 86_400 else f"{seconds / 86_400:.1f} days"
