"""The machine that trials are run on, and their files: nothing here affects a result, except for the last digits."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from widthwise.errors import RequestError
from widthwise.execution.data_words import WHATEVER, locations


@dataclass(frozen=True)
class Machine:
    """Files and devices.

    data: the location of the images: a folder, a file or `hub:OWNER/NAME` for any data set that is needed, and
        `cifar10=`, `imagenet=` or `images=` followed by one of these for that data set alone.
    device: `cpu`, `cuda` or `cuda:1`; `auto` is a GPU if there is one.
    processes: the number of processes that share each batch of a network trained by itself, on a GPU each.
    threads: the threads of a process that trains networks by themselves; None: as many as PyTorch would use.
    decoders: the number of processes that decode photographs.
    checkpoint_epochs, checkpoint_minutes: a checkpoint is written after these, whichever come first.

    Raises:
        RequestError: `data` has an unknown name, or the same name twice.
    """

    data: tuple[str, ...] = ()
    device: str = "cpu"
    processes: int = 1
    threads: int | None = None
    decoders: int = 2
    checkpoint_epochs: int = 1
    checkpoint_minutes: float = 5.0

    def __post_init__(self):
        locations(self.data)

    def location_of(self, name: str) -> str | None:
        """The location of the images of the data set `name`, if it is known."""
        known = locations(self.data)
        return known.get(name, known.get(WHATEVER))


def chosen_device(name: str, processes: int = 1) -> str:
    """A device by its name, with its number; `auto` is a GPU if there is one.

    Raises:
        RequestError: there is no such device, or not one for each process.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if processes > 1 and name.startswith("cuda"):
        if ":" in name:
            raise RequestError(f"{processes} processes take a GPU each: name it cuda, not {name}", field="device")
        if torch.cuda.device_count() < processes:
            count = torch.cuda.device_count()
            raise RequestError(f"there are {count} GPUs for {processes} processes", field="processes")
    if name == "cuda":
        name = "cuda:0"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        problem = f"the device {name!r} cannot be used: {str(error).splitlines()[0]}"
        raise RequestError(problem, field="device") from None
    return name


def available_memory(device: str) -> int:
    """Bytes that are free on a device."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()  # what PyTorch keeps for itself counts as taken
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    except (OSError, StopIteration):
        return sys.maxsize


@contextmanager
def computing(threads: int | None) -> Iterator[None]:
    """Compute on this number of threads; None: as many as before.

    Sums on several threads depend on how the work was split, so the same numbers come only with the same number of
    threads.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
