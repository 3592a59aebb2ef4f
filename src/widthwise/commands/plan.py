"""`--dry-run`: what runs would cost."""

from collections.abc import Sequence
from typing import Any

from widthwise.commands.terminal import duration, messages, print_json, results


def show_plan(
    trials: Sequence[Any], store: str, workers: int | None, machine: Any, as_json: bool, title: str, note: str = ""
) -> None:
    """Count and time, and print what comes of it."""
    from widthwise.execution.plan import plan

    with messages.status("timing each kind of network on this machine"):
        planned = plan(trials, store, workers, machine)
    if as_json:
        print_json(planned.as_dict())
        return
    results.print(title, style="bold", markup=False)
    if note:
        results.print(note, markup=False)
    stacks = f", in {planned.stacks} stacks" if planned.stacks < planned.missing else ""
    runs = "run" if planned.trials == 1 else "runs"
    results.print(
        f"{planned.trials} training {runs}, {planned.finished} of them finished in {store}; "
        f"{planned.missing} to run{stacks}.",
        markup=False,
    )
    results.print(f"Parameters of a network  {_range(planned.parameters)}")
    results.print(f"FLOPs to predict one     {_range(planned.forward_flops)}")
    results.print(f"FLOPs to train on one    {_range(planned.training_flops)}")
    results.print(f"Memory to train          {_range(planned.memory, 'B')}, beside the data")
    if planned.missing:
        most = "At most" if planned.stops_early else "About"
        processes = "one process" if planned.workers == 1 else f"{planned.workers} processes"
        early = " (training stops early when it no longer gets better)" if planned.stops_early else ""
        results.print(f"{most} {duration(planned.seconds)} on this machine, in {processes}{early}.")


def _range(pair: tuple[int, int], unit: str = "") -> str:
    low, high = (scaled(number, unit) for number in pair)
    return low if low == high else f"{low} to {high}"


def scaled(number: int, unit: str) -> str:
    """In thousands, millions and so on; small counts are exact."""
    if number < 100_000 and not unit:
        return f"{number:,}"
    for power, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= power:
            return f"{number / power:.3g} {prefix}{unit}"
    return f"{number} {unit}"
