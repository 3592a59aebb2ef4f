"""The runner: a sweep's trials into a store, those that are missing alone, cohort by cohort."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import connection
from multiprocessing.queues import SimpleQueue
from typing import Any

from widthwise.errors import RequestError, TrialError
from widthwise.execution.environment import environment
from widthwise.execution.machine import Machine, chosen_device
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.spawning import main_hidden

SECONDS_BETWEEN_LOOKS = 1.0
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""What PyTorch says on GPUs, on Linux and on Windows."""


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
    machine: Machine = Machine(),
    on_moment: Callable[[Any], None] | None = None,
) -> RunResult:
    """Train and measure every trial that `store` does not hold finished and whole.

    Args:
        workers: processes to train in, one cohort each at a time; by default as many as there are processors, or one
            on a GPU, and with 0 in this process. The results of stacks do not depend on it; a trial on images is
            trained on the threads that each worker has, and its last digits hang on their number.
        on_step: told of each beginning and end of work.
        on_damage: told of each damaged trial, which is done again: its id and what is wrong with it.
        machine: files and devices for trials on images.
        on_moment: with 0 workers, told of the progress within a training on images (`training.train.Moment`).

    Raises:
        RequestError: images are missing, damaged, or not those of the store's other trials.
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
        from widthwise.execution.cohort import cohorts  # PyTorch, which a finished sweep does not need

        machine = replace(machine, device=chosen_device(machine.device, machine.processes))
        trained = [trial for trial in missing if trial.training.epochs]
        if any(trial.data.name != "teacher" for trial in trained):
            from widthwise.execution.single_networks import check_files

            check_files(trained, machine, store)
        stacks = cohorts(missing)
        processors = os.cpu_count() or 1
        workers = default_workers(machine) if workers is None else workers
        if not trained:
            workers = 0  # counting takes less time than starting a process
        on_step(Step(result.found, len(unique)))
        if workers == 0:
            progress = _in_this_process(stacks, store, machine, on_moment or _unseen)
        else:
            threads = machine.threads or max(1, processors // workers)
            progress = _in_processes(stacks, store, replace(machine, threads=threads), min(len(stacks), workers))
        for running, ended in progress:
            result.trained += ended
            on_step(Step(result.found + result.trained, len(unique), running=tuple(running)))
    result.seconds = time.perf_counter() - started
    return result


def default_workers(machine: Machine) -> int:
    """How many cohorts are trained at a time: one for each processor, but one alone where it takes several processes
    or a GPU."""
    return 1 if machine.device.startswith("cuda") or machine.processes > 1 else os.cpu_count() or 1


def describe(stack: Sequence[Trial]) -> str:
    """A cohort in words."""
    first = stack[0]
    recipe = first.training
    network = f"{first.network.name} {first.network.width_factor:g}x"
    return f"{len(stack)} × {network}, {recipe.optimizer} {recipe.learning_rate:g}"


Progress = Iterator[tuple[Sequence[str], int]]
"""The stacks in work, in words, and how many trials have ended since the last time."""

_moments: SimpleQueue | None = None
"""In a worker: where it tells how far its training is."""


def _in_this_process(
    stacks: Sequence[Sequence[Trial]], store: Store, machine: Machine, on_moment: Callable[[Any], None]
) -> Progress:
    for stack in stacks:
        yield [describe(stack)], 0
        _run_and_save(stack, store.location, machine, on_moment)
        yield [], len(stack)


def _in_processes(stacks: Sequence[Sequence[Trial]], store: Store, machine: Machine, workers: int) -> Progress:
    context = multiprocessing.get_context("spawn")
    moments = context.SimpleQueue()
    pool = ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(moments,))
    try:
        waiting = iter(stacks)
        running: dict[Future, Sequence[Trial]] = {}
        told: dict[str, str] = {}
        while True:
            ended = 0
            for future in [future for future in running if future.done()]:
                future.result()
                ended += len(running.pop(future))
            while len(running) < workers and (stack := next(waiting, None)) is not None:
                with main_hidden():
                    running[pool.submit(_run_and_save, stack, store.location, machine)] = stack
            while not moments.empty():
                identity, moment = moments.get()
                told[identity] = f", epoch {moment.epoch} of {moment.epochs}, accuracy {moment.accuracy:.3f}"
            yield [describe(stack) + told.get(stack[0].id, "") for stack in running.values()], ended
            if not running:
                return
            wait(running, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
    except BrokenProcessPool as error:
        raise TrialError(
            "a training process was killed, perhaps for want of memory; the same command continues, and "
            "--workers 1 or --set training.micro_batch_size=N takes less"
        ) from error
    finally:
        processes = list((pool._processes or {}).values())  # the pool offers no way to stop work in progress
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _run_and_save(
    stack: Sequence[Trial], location: str, machine: Machine, on_moment: Callable[[Any], None] | None = None
) -> None:
    from widthwise.execution.cohort import run_cohort

    store = Store(location)
    tell = on_moment or partial(_tell, stack[0].id)
    try:
        for trial, outcome in run_cohort(stack, machine, store, tell):
            _save(store, trial, outcome, machine)
    except RequestError:
        raise
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, MemoryError) or any(words in said for words in OUT_OF_MEMORY):
            raise TrialError(
                f"{describe(stack)} does not fit in memory ({said}); "
                "--set training.micro_batch_size=N computes a batch in pieces of N examples"
            ) from error
        raise TrialError(f"{describe(stack)} could not be trained and measured: {said}") from error


def _save(store: Store, trial: Trial, outcome: Outcome, machine: Machine) -> None:
    try:
        store.save(trial, outcome, _environment(trial, machine))
    except OSError as error:
        raise TrialError(
            f"the store {store.location} could not be written to ({error.strerror or error}); "
            "what was finished is kept, and the same command continues"
        ) from None


def _unseen(moment: Any) -> None:
    """Show nothing; unlike a lambda it can be sent to another process."""


def _environment(trial: Trial, machine: Machine) -> dict[str, str]:
    import torch

    if trial.data.name == "teacher":
        return environment("cpu", threads=1)
    threads = machine.threads or torch.get_num_threads()
    return environment(machine.device, max(1, threads // machine.processes), machine.processes)


def _tell(identity: str, moment: Any) -> None:
    if _moments is not None:
        _moments.put((identity, moment))


def _begin_worker(moments: SimpleQueue) -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    global _moments
    _moments = moments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
