"""What trials are run on, and with which files: nothing here decides what a trial gives, but for the last digits."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from widthwise.data.source import KNOWN_AS
from widthwise.errors import RequestError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
WHATEVER = ""
EACH_BY_NAME = " or ".join(f"{name}=DIR" for name in KNOWN_AS)


@dataclass(frozen=True)
class Machine:
    """Files and devices.

    data: where the images are: a folder, a file or `hub:OWNER/NAME` for whatever is needed, and `cifar10=` or
        `imagenet=` with one of these for that data set alone.
    device: `cpu`, `cuda` or `cuda:1`; `auto` is a GPU where there is one.
    processes: each trial on images is trained by so many processes, on a GPU each.
    threads: of a process that trains on images; none: as many as PyTorch would use.
    decoders: processes that decode photographs.
    checkpoint_epochs, checkpoint_minutes: a checkpoint is written after so many, whichever comes first.

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
        places: dict[str, str] = {}
        for name, place in map(_named, self.data):
            if name in places:
                both = f"{places[name]} and {place}"
                raise RequestError(
                    f"--data names {KNOWN_AS[name]} twice, {both}; name it once"
                    if name
                    else f"--data names {both} and not which data set each is; write {EACH_BY_NAME}"
                )
            places[name] = place

    def location_of(self, name: str) -> str | None:
        """Where the images of the data set `name` are, if that is known."""
        places = dict(map(_named, self.data))
        return places.get(name, places.get(WHATEVER))


def _named(word: str) -> tuple[str, str]:
    """A data set's name, empty for whatever is needed, and its place, of a word such as `imagenet=DIR`.

    Raises:
        RequestError: the name is unknown, and it is no path either.
    """
    name, equals, place = word.partition("=")
    if name in KNOWN_AS and place:
        return name, place
    if equals and not Path(word).exists():
        raise RequestError(
            f"--data {word} is neither a path that exists nor a data set and its place; write {EACH_BY_NAME}"
        )
    return WHATEVER, word


def chosen_device(name: str, processes: int = 1) -> str:
    """A device by its name, with its number; `auto` is a GPU where there is one.

    Raises:
        RequestError: there is no such device, or not one for each process.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if processes > 1 and name.startswith("cuda"):
        if ":" in name:
            raise RequestError(f"{processes} processes take a GPU each: name the device cuda, not {name}")
        if torch.cuda.device_count() < processes:
            raise RequestError(f"there are {torch.cuda.device_count()} GPUs for {processes} processes")
    if name == "cuda":
        name = "cuda:0"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise RequestError(f"the device {name!r} cannot be used: {str(error).splitlines()[0]}") from None
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
    """Compute on so many threads, with memory kept from one step to the next.

    Sums on several threads depend on how the work was split, so the same numbers come only with the same number of
    threads. The C library by default gives large blocks back to the system after each step, and getting them again
    costs more than a small network's arithmetic.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # the GNU C library
            library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
            library.mallopt(M_MMAP_THRESHOLD, 2**25)
    try:
        yield
    finally:
        torch.set_num_threads(before)
