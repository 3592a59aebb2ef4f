"""The runner: a sweep's trials into a store, those that are missing alone, cohort by cohort."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from types import ModuleType

from widthwise.errors import TrialError
from widthwise.experiments.environment import environment
from widthwise.experiments.store import Store
from widthwise.experiments.trial import Trial


@dataclass(frozen=True)
class Step:
    """Where the runner is: trials done and in all, and in words the cohorts that are being trained."""

    done: int
    total: int
    running: tuple[str, ...] = ()


@dataclass
class RunResult:
    """What a call of `run_trials` did: trials trained in it, finished before it, and damaged ones that were redone."""

    trained: int = 0
    found: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run_trials(
    trials: Sequence[Trial],
    store: Store,
    workers: int | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_damage: Callable[[str, str], None] = lambda identity, reason: None,
) -> RunResult:
    """Train and measure every trial that `store` does not hold finished and whole.

    Args:
        workers: processes to train in, one cohort each at a time; as many as there are processors by default, and
            with 0 in this process. The results do not depend on it.
        on_step: told of each beginning and end of work.
        on_damage: told of each damaged trial, which is done again: its id and what is wrong with it.

    Raises:
        TrialError: a trial could not be trained or kept.
    """
    started = time.perf_counter()
    inspection = store.inspect(trials)
    for identity, reason in inspection.damaged.items():
        on_damage(identity, reason)
        store.discard(identity)
    unique = {trial.id: trial for trial in trials}
    missing = [trial for identity, trial in unique.items() if identity not in inspection.finished]
    result = RunResult(found=len(inspection.finished), damaged=inspection.damaged)
    if missing:
        from widthwise.experiments.cohort import cohorts  # PyTorch, which a finished sweep does not need

        stacks = cohorts(missing)
        execute = _in_this_process if workers == 0 else _in_processes
        count = min(len(stacks), workers or os.cpu_count() or 1)
        on_step(Step(result.found, len(unique)))
        for running, ended in execute(stacks, store, count):
            result.trained += ended
            names = tuple(describe(stack) for stack in running)
            on_step(Step(result.found + result.trained, len(unique), running=names))
    result.seconds = time.perf_counter() - started
    return result


def describe(stack: Sequence[Trial]) -> str:
    """A cohort in words."""
    first = stack[0]
    recipe = first.training
    network = f"{first.network.name} {first.network.width_factor:g}x"
    return f"{len(stack)} × {network}, {recipe.optimizer} {recipe.learning_rate:g}"


Progress = Iterator[tuple[Sequence[Sequence[Trial]], int]]
"""The stacks in work, and how many trials have ended since the last time."""


def _in_this_process(stacks: Sequence[Sequence[Trial]], store: Store, workers: int) -> Progress:
    for stack in stacks:
        yield [stack], 0
        _run_and_save(stack, store.location)
        yield [], len(stack)


def _in_processes(stacks: Sequence[Sequence[Trial]], store: Store, workers: int) -> Progress:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin_worker)
    try:
        waiting = iter(stacks)
        running: dict[Future, Sequence[Trial]] = {}
        while True:
            ended = 0
            for future in [future for future in running if future.done()]:
                future.result()
                ended += len(running.pop(future))
            while len(running) < workers and (stack := next(waiting, None)) is not None:
                with _main_hidden():
                    running[pool.submit(_run_and_save, stack, store.location)] = stack
            yield list(running.values()), ended
            if not running:
                return
            wait(running, return_when=FIRST_COMPLETED)
    except BrokenProcessPool as error:
        raise TrialError("a training process was killed; the same command continues") from error
    finally:
        processes = list((pool._processes or {}).values())  # the pool offers no way to stop work in progress
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Start processes that do not run the caller's script again, which they have no use for.

    Without it, a script that calls `run` would have to be guarded against being imported.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _run_and_save(stack: Sequence[Trial], location: str) -> None:
    from widthwise.experiments.cohort import one_thread, run_cohort

    store = Store(location)
    try:
        with one_thread():
            for trial, outcome in run_cohort(stack):
                store.save(trial, outcome, environment())
    except (ValueError, RuntimeError) as error:
        raise TrialError(f"{describe(stack)} could not be trained and measured: {error}") from error
    except OSError as error:
        raise TrialError(
            f"the store {location} could not be written to ({error.strerror or error}); "
            "what was finished is kept, and the same command continues"
        ) from None


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
