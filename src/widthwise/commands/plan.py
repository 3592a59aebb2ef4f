"""`--dry-run`: what trainings would cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from widthwise.commands.terminal import messages, print_json, results, scaled
from widthwise.wording import counted, duration

if TYPE_CHECKING:
    from widthwise.execution.machine import Machine
    from widthwise.experiments.trial import Trial


def show_plan(
    trials: "Sequence[Trial]",
    store: str,
    workers: int | None,
    machine: "Machine",
    as_json: bool,
    title: str,
    note: str = "",
) -> None:
    """Count the trainings, time each kind of network, and print what they would cost."""
    from widthwise.execution.plan import plan

    with messages.status("timing each kind of network on this machine"):
        planned = plan(trials, store, workers, machine)
    if as_json:
        print_json(vars(planned))
        return
    results.print(title, style="bold", markup=False)
    if note:
        results.print(note, markup=False)
    stacks = f", in {counted(planned.stacks, 'stack')}" if planned.stacks < planned.missing else ""
    results.print(
        f"{counted(planned.trials, 'training run')}, {planned.finished} of them finished in {store}; "
        f"{planned.missing} to run{stacks}.",
        markup=False,
    )
    results.print(f"Parameters of a network  {_range(planned.parameters)}")
    results.print(f"FLOPs to predict one     {_range(planned.forward_flops)}")
    results.print(f"FLOPs to train on one    {_range(planned.training_flops)}")
    results.print(f"Memory to train          {_range(planned.memory, 'B')}, beside the data")
    if planned.missing:
        most = "At most" if planned.stops_early else "About"
        processes = "one process" if planned.workers == 1 else counted(planned.workers, "process", "processes")
        early = " (training stops early when it no longer gets better)" if planned.stops_early else ""
        results.print(f"{most} {duration(planned.seconds)} on this machine, in {processes}{early}.")


def _range(pair: tuple[int, int], unit: str = "") -> str:
    low, high = (scaled(number, unit) for number in pair)
    return low if low == high else f"{low} to {high}"
