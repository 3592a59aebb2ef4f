"""Runs cohorts in this process, or in worker processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from multiprocessing.queues import SimpleQueue

from widthwise.errors import TrialError
from widthwise.execution.allocator import keep_freed_memory
from widthwise.execution.trainer import Cohort
from widthwise.progress import OnProgress, Progress
from widthwise.spawning import main_hidden

SECONDS_BETWEEN_LOOKS = 1.0

Work = Callable[[Cohort, OnProgress], None]
"""Trains, measures and keeps a cohort."""

_events: SimpleQueue[Progress] | None = None
"""In a worker: the queue that its progress goes to."""


def in_this_process(
    cohorts: Sequence[Cohort], work: Work, on_progress: OnProgress
) -> Iterator[tuple[list[Cohort], int]]:
    """Run cohorts one after the other."""
    for cohort in cohorts:
        yield [cohort], 0
        work(cohort, on_progress)
        yield [], len(cohort)


def in_processes(
    cohorts: Sequence[Cohort], work: Work, on_progress: OnProgress, workers: int
) -> Iterator[tuple[list[Cohort], int]]:
    """Run cohorts in worker processes, each one cohort at a time.

    Args:
        cohorts: the first ones begin first.
        work: can be pickled.
        on_progress: receives the workers' progress in this process.
        workers: the number of processes.

    Raises:
        TrialError: a worker was killed.
        Exception: as `work` raised it.
    """
    context = multiprocessing.get_context("spawn")
    events: SimpleQueue[Progress] = context.SimpleQueue()
    pool = ProcessPoolExecutor(workers, context, initializer=_begin_worker, initargs=(events,))
    try:
        waiting = iter(cohorts)
        running: dict[Future[None], Cohort] = {}
        while True:
            ended = 0
            for future in [future for future in running if future.done()]:
                future.result()
                ended += len(running.pop(future))
            while len(running) < workers and (cohort := next(waiting, None)) is not None:
                with main_hidden():
                    running[pool.submit(_work_in_worker, work, cohort)] = cohort
            while not events.empty():
                on_progress(events.get())
            yield list(running.values()), ended
            if not running:
                return
            wait(running, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
    except BrokenProcessPool as error:
        raise TrialError(
            "a training process was killed, perhaps for want of memory; the same command continues, and fewer workers "
            "or a training.micro_batch_size take less"
        ) from error
    finally:
        processes = list((pool._processes or {}).values())  # the pool offers no way to stop work in progress
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _work_in_worker(work: Work, cohort: Cohort) -> None:
    assert _events is not None
    work(cohort, _events.put)


def _begin_worker(events: SimpleQueue[Progress]) -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    global _events
    _events = events
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
