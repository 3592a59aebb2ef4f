"""What a running sweep shows on the terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from widthwise.experiments.runner import Step


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
