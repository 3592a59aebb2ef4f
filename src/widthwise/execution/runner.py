"""The runner: trains and measures the trials that a store lacks, cohort by cohort."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from widthwise.errors import RequestError, TrialError
from widthwise.execution.counting import counted, is_counted
from widthwise.execution.executors.local import in_processes, in_this_process
from widthwise.execution.machine import Machine, chosen_device
from widthwise.execution.trainer import Cohort, by_trainer, cohorts, describe, trainer_for
from widthwise.experiments.store import Outcome, Store
from widthwise.experiments.trial import Trial
from widthwise.networks.user_function import UserFunction
from widthwise.progress import OnProgress, Progress, unseen
from widthwise.wording import one_line

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""PyTorch's words on GPUs, on Linux and on Windows."""


@dataclass
class RunResult:
    """The result of a call of `run_trials`.

    trained: the number of trials that it trained.
    found: the number of trials that the store held finished.
    damaged: trials that were damaged and are run again: by id, what was wrong with each.
    seconds: the time that it took.
    """

    trained: int = 0
    found: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def run_trials(
    trials: Sequence[Trial],
    store: Store,
    workers: int | None = None,
    machine: Machine = Machine(),
    on_progress: OnProgress = unseen,
) -> RunResult:
    """Train and measure every trial that `store` does not hold finished and whole.

    Args:
        trials: the trials; each is run once.
        store: keeps the trials. It must be ready to be written to.
        workers: processes to train in, one cohort each at a time; None: as many as there are processors, or one on a
            GPU; 0: train in this process. The results of stacks do not depend on it; a network by itself is trained on
            the threads that each worker has, and its last digits depend on their number.
        machine: files and devices.
        on_progress: receives `damage` for each damaged trial, `trials` at each beginning and end of work, and
            `training` within the training of a network by itself, whose subject is the cohort.

    Raises:
        RequestError: files are missing, damaged, or not those of the store's other trials, or there is too little
        memory.
        TrialError: a trial could not be trained or kept.
    """
    started = time.perf_counter()
    inspection = store.inspect(trials)
    for identity, reason in inspection.damaged.items():
        on_progress(Progress("damage", 0, subject=f"trial {identity} is damaged ({reason})"))
        store.discard(identity)
    unique = {trial.id: trial for trial in trials}
    missing = [trial for identity, trial in unique.items() if identity not in inspection.finished]
    result = RunResult(found=len(inspection.finished), damaged=inspection.damaged)

    def report(subject: str = "") -> None:
        on_progress(Progress("trials", result.found + result.trained, len(unique), "trials", subject))

    if missing:
        machine = replace(machine, device=chosen_device(machine.device, machine.processes))
        report()
        for running, ended in _progress_of(missing, store, workers, machine, on_progress):
            result.trained += ended
            report(describe(running[0]) if running else "")
    result.seconds = time.perf_counter() - started
    return result


def _progress_of(
    missing: Sequence[Trial], store: Store, workers: int | None, machine: Machine, on_progress: OnProgress
) -> Iterator[tuple[list[Cohort], int]]:
    """Run trials; yield the cohorts that are running, and the number of trials that have ended since."""
    for trial in filter(is_counted, missing):
        _save(store, trial, counted(trial, machine), machine)
        yield [], 1
    to_train = [trial for trial in missing if not is_counted(trial)]
    for trainer, theirs in by_trainer(to_train).items():
        trainer.check(theirs, machine, store)
    stacks = cohorts(to_train, machine)
    workers = default_workers(machine) if workers is None else workers
    if workers:
        machine = replace(machine, threads=machine.threads or max(1, (os.cpu_count() or 1) // workers))
    work = partial(_run_and_save, location=store.location, machine=machine)
    if workers and stacks:
        yield from in_processes(stacks, work, on_progress, min(len(stacks), workers))
    else:
        yield from in_this_process(stacks, work, on_progress)


def default_workers(machine: Machine) -> int:
    """Number of cohorts to train at a time: one for each processor, but only one if it takes several processes or a
    GPU."""
    return 1 if machine.device.startswith("cuda") or machine.processes > 1 else os.cpu_count() or 1


def _run_and_save(cohort: Cohort, on_progress: OnProgress, location: str, machine: Machine) -> None:
    """Train and measure a cohort, and keep each outcome as soon as it is there."""
    store, subject = Store(location), describe(cohort)

    def about_this_cohort(progress: Progress) -> None:
        on_progress(replace(progress, subject=subject))

    try:
        for trial, outcome in trainer_for(cohort[0]).train(cohort, machine, store, about_this_cohort):
            _save(store, trial, outcome, machine)
    except RequestError:
        raise
    except Exception as error:
        own = any(isinstance(part, UserFunction) for part in (cohort[0].network, cohort[0].data))
        if not own and not isinstance(error, (ValueError, RuntimeError, OSError, MemoryError)):
            raise  # a user's own code raises anything; what else this code raises is a mistake of its own
        reason = str(error).splitlines()[0] if str(error) and not own else one_line(error)
        if isinstance(error, MemoryError) or any(words in reason for words in OUT_OF_MEMORY):
            raise TrialError(
                f"{subject} does not fit in memory ({reason}); a training.micro_batch_size computes a batch in pieces"
            ) from error
        raise TrialError(f"{subject} could not be trained and measured: {reason}") from error


def _save(store: Store, trial: Trial, outcome: Outcome, machine: Machine) -> None:
    try:
        store.save(trial, outcome, trainer_for(trial).environment(trial, machine))
    except OSError as error:
        raise TrialError(
            f"the store {store.location} could not be written to ({error.strerror or error}); "
            "what was finished is kept, and the same command continues"
        ) from None
