"""What a running sweep shows on the terminal."""

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
