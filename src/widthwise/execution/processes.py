"""Several processes that train one network together: their start, their progress, their errors."""

import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from widthwise.errors import RequestError, TrialError
from widthwise.execution.machine import Machine
from widthwise.progress import OnProgress, Progress
from widthwise.spawning import main_hidden

SECONDS_BETWEEN_LOOKS = 0.1


def fabric_on(machine: Machine, precision: Literal["32-true", "bf16-mixed"]) -> Fabric:
    """Lightning Fabric for a precision on the machine's device or devices."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every process
    device = torch.device(machine.device)
    several = machine.processes > 1
    devices = [device.index] if device.index is not None and not several else machine.processes
    return Fabric(
        accelerator=device.type,
        devices=devices,
        strategy="ddp_spawn" if several else "auto",
        precision=precision,
    )


def launch(fabric: Fabric, function: Callable[[Fabric, Connection], None], on_progress: OnProgress) -> None:
    """Call a function in each of the processes of `fabric`, and wait for them.

    Args:
        fabric: not launched yet.
        function: can be pickled. Its arguments are the process's own `fabric`, and a connection to send `Progress` to.
        on_progress: receives, in this process, the events that are sent.

    Raises:
        RequestError, TrialError: a process raised it, or was killed.
        RuntimeError: a process raised another error, whose last line this is.
    """
    sent: list[RequestError | TrialError] = []
    try:
        with main_hidden(), _received(on_progress, sent) as connection:
            fabric.launch(partial(_sending_errors, function), connection)  # pyright: ignore[reportArgumentType] further arguments are passed on
    except (ProcessRaisedException, ProcessExitedException) as error:
        if sent:
            raise sent[0] from None
        if isinstance(error, ProcessRaisedException):
            raise RuntimeError(str(error).rstrip().splitlines()[-1]) from error
        raise TrialError(
            f"one of several training processes was killed, perhaps for want of memory ({error}); the same command "
            "continues"
        ) from None


def _sending_errors(function: Callable[[Fabric, Connection], None], fabric: Fabric, connection: Connection) -> None:
    """Call a function in one of the processes, and send the parent what it raises, of which PyTorch sends the text."""
    try:
        function(fabric, connection)
    except (RequestError, TrialError) as error:
        connection.send(error)
        raise
    fabric.barrier()  # a process that ends while another still listens to it would abort that one
    torch.distributed.destroy_process_group()


@contextmanager
def _received(on_progress: OnProgress, sent: list[RequestError | TrialError]) -> Iterator[Connection]:
    """A connection whose events are passed to `on_progress`, in a thread; an error in it is raised at the end.

    Errors that come through it are added to `sent`.
    """
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    ended = threading.Event()
    errors: list[BaseException] = []

    def receive() -> None:
        while receiver.poll(SECONDS_BETWEEN_LOOKS) or not ended.is_set():
            if receiver.poll():
                event: Progress | RequestError | TrialError = receiver.recv()
                if not isinstance(event, Progress):
                    sent.append(event)
                    continue
                try:
                    if not errors:  # and after one go on receiving, or the processes would wait
                        on_progress(event)
                except BaseException as error:
                    errors.append(error)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    try:
        yield sender
    finally:
        ended.set()
        thread.join(timeout=10 * SECONDS_BETWEEN_LOOKS)  # a killed process may have sent half an event
    if errors:
        raise errors[0]
