"""Progress on the terminal: of sweeps, trainings, measurements and reports."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from rich import progress as rich
from rich.console import Console

from widthwise.errors import TrialError
from widthwise.progress import OnProgress, Progress

SECONDS_BETWEEN_LINES = 20.0
"""Without a terminal, a line appears when this many seconds have passed since the last one."""
HEADING = "epoch       loss  accuracy  validation   images/s       left"


@contextmanager
def shown_progress(
    console: Console, *, every_epoch: bool = False, interrupted: str = "nothing was written"
) -> Iterator[OnProgress]:
    """Show the progress of the work in the `with` block: a bar on a terminal, otherwise a line from time to time.

    It appears with the first event and is gone at the end; lines stay.

    Args:
        console: where to show it.
        every_epoch: print a table with a line for each epoch, as fits a single training. Otherwise a training shows
            beside the trials of its sweep.
        interrupted: what is true when the user has interrupted the work, for the error.

    Raises:
        TrialError: the user interrupted the work.
    """
    shown = _ShownProgress(console, every_epoch)
    try:
        yield shown
    except KeyboardInterrupt:
        raise TrialError(f"interrupted; {interrupted}") from None
    finally:
        shown.close()


class _ShownProgress:
    """The progress on the terminal: one bar at a time, for the latest kind of activity."""

    def __init__(self, console: Console, every_epoch: bool):
        self._console, self._every_epoch = console, every_epoch
        self._bar: rich.Progress | None = None
        self._activity = ""
        self._trainings: dict[str, str] = {}
        """Progress of the training of each cohort, in words."""
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Show an event."""
        match progress.activity:
            case "damage":
                self._console.print(f"{progress.subject}; it is run again", markup=False)
            case "trials" if not self._every_epoch:
                self._show_trials(progress)
            case "training" if self._every_epoch:
                self._show_epoch(progress)
            case "training":
                self._trainings[progress.subject] = (
                    f", epoch {_epoch(progress)} of {progress.total:g}, "
                    f"accuracy {progress.numbers['train_accuracy']:.3f}"
                )
            case "measuring" | "compressing" | "drawing":
                self._show_counted(progress)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()

    def _show_trials(self, progress: Progress) -> None:
        """Trials done, time passed, time left, and the cohort in training."""
        waiting = "writing the report" if progress.done == progress.total else "starting"
        subject = progress.subject + self._trainings.get(progress.subject, "")
        columns = (
            rich.BarColumn(bar_width=10),
            rich.MofNCompleteColumn(),
            rich.TimeElapsedColumn(),
            rich.TextColumn("left"),
            rich.TimeRemainingColumn(),
            rich.TextColumn("{task.description}", style="dim"),
        )
        self._update(progress, columns, subject or waiting)
        if progress.done != progress.total:
            self._line(f"{_of_total(progress)}{f': {subject}' if subject else ''}")

    def _show_counted(self, progress: Progress) -> None:
        """Examples or figures done, time passed and time left."""
        columns = (
            rich.BarColumn(bar_width=30),
            rich.MofNCompleteColumn(),
            rich.TextColumn(progress.unit),
            rich.TimeElapsedColumn(),
            rich.TextColumn("left"),
            rich.TimeRemainingColumn() if progress.seconds_left is None else rich.TextColumn("{task.description}"),
        )
        left = "" if progress.seconds_left is None else _time_left(progress.seconds_left)
        whole = replace(progress, done=int(progress.done), total=progress.total and int(progress.total))
        self._update(whole, columns, left)
        if progress.done != progress.total:
            self._line(f"{_of_total(progress)}{f', {left} left' if left else ''}")

    def _show_epoch(self, progress: Progress) -> None:
        """A line for each epoch and, on a terminal, the progress within the epoch."""
        if self._activity != "training":
            self._console.print(HEADING, style="bold")
        numbers = progress.numbers
        loss, accuracy = numbers["train_loss"], numbers["train_accuracy"]
        speed, left = f"{numbers['examples_per_second']:,.0f}", _time_left(progress.seconds_left or 0.0)
        epoch = f"{_epoch(progress)}/{progress.total:g}"
        in_words = f"epoch {epoch}, loss {loss:.3f}, accuracy {accuracy:.3f}, {speed}/s, {left} left"
        columns = (rich.BarColumn(bar_width=20), rich.TextColumn("{task.description}"))
        self._update(replace(progress, done=progress.done % 1, total=1), columns, in_words)
        if "validation_accuracy" in numbers:
            validation = numbers["validation_accuracy"]
            self._print(f"{epoch:<9}{loss:>7.4f}{accuracy:>10.4f}{validation:>12.4f}{speed:>11}{left:>11}")
        else:
            self._line(in_words)

    def _update(self, progress: Progress, columns: tuple[rich.ProgressColumn, ...], description: str) -> None:
        """Show a bar for this activity, replacing that of another."""
        if self._activity != progress.activity:
            self.close()
            self._activity = progress.activity
            self._bar = rich.Progress(
                *columns, console=self._console, transient=True, disable=not self._console.is_terminal
            )
            self._bar.add_task(description, total=progress.total, completed=int(progress.done))
            self._bar.start()
        assert self._bar is not None
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=progress.done, total=progress.total, description=description)

    def _line(self, text: str) -> None:
        """Print a line where there is no terminal, if the last one was long ago."""
        if not self._console.is_terminal and time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._print(text)

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(text, markup=False)


def _epoch(progress: Progress) -> int:
    """The epoch that a training is in, or has just ended, counted from 1."""
    return max(1, math.ceil(progress.done))


def _of_total(progress: Progress) -> str:
    total = "" if progress.total is None else f" of {progress.total:,.0f}"
    return f"{progress.done:,.0f}{total} {progress.unit}"


def _time_left(seconds: float) -> str:
    """Hours, minutes and seconds; for more than a day, days."""
    return str(timedelta(seconds=round(seconds))) if seconds < 86_400 else f"{seconds / 86_400:.1f} days"
