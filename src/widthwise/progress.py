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
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("runs"),
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
        shown = step.running[0] if step.running else "starting"
        others = f" and {len(step.running) - 1} more" if len(step.running) > 1 else ""
        bar.update(task, completed=step.done, total=step.total, description=shown + others)

    try:
        yield on_step
    finally:
        bar.stop()
