"""The time before anything happens: importing the package, and the command's help.

    python -m benchmarks.startup

Each is a new Python process; the two imports take turns, and medians are compared.
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 7
IMPORT_BAR, HELP_BAR = 1.5, 1.0


def seconds(*words: str) -> float:
    """The wall time of a new Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Time and print."""
    programs = {
        "import torch": ("-c", "import torch"),
        "import widthwise": ("-c", "import widthwise"),
        "from widthwise import profile": ("-c", "from widthwise import profile"),
        "widthwise --help": ("-m", "widthwise", "--help"),
    }
    for words in programs.values():
        seconds(*words)  # from disk into memory
    taken = {name: statistics.median(seconds(*words) for _ in range(ROUNDS)) for name, words in programs.items()}
    for name, median in taken.items():
        ratio = median / taken["import torch"]
        bar = f"(bar: {IMPORT_BAR})" if name == "import widthwise" else ""
        bar = f"(bar: {HELP_BAR} s)" if name == "widthwise --help" else bar
        print(f"{name:30} {median:6.2f} s  {ratio:5.2f} times import torch  {bar}")


if __name__ == "__main__":
    main()
