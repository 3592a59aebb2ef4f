"""How much of a measurement is done, and how long the rest will take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from widthwise.progress import OnProgress, Progress

SECONDS_BETWEEN_EVENTS = 0.1


@dataclass
class _Kind:
    """One kind of work; guess: its cost for each example, relative to that of other kinds."""

    guess: float
    total: int | float
    done: int | float = 0.0
    seconds: float = 0.0


class Work:
    """Work of several kinds, counted in examples; the time that each takes is measured as it is done.

    The time left of a kind follows from its own time for an example once there is one, before that from its guessed
    cost and the others' times.

    examples: the number of examples that all passes go over.

    Args:
        examples: see above.
        on_progress: called at the end of each batch, and in between not more often than every tenth of a second.
    """

    def __init__(self, examples: int | float, on_progress: OnProgress):
        self.examples, self._on_progress = examples, on_progress
        self._kinds: dict[str, _Kind] = {}
        self._done = self._batch = self._cost = 0.0
        self._last = time.monotonic()

    def expect(self, kind: str, examples: int | float, guess: float = 1.0) -> None:
        """Expect a kind of work for this many examples in all, or correct what was expected."""
        known = self._kinds.setdefault(kind, _Kind(guess, examples))
        known.total = max(examples, known.done)

    def expect_more(self, examples: int | float) -> None:
        """Expect this many examples in batches to come, in place of what was expected."""
        self.examples = self._done + examples

    @contextmanager
    def doing(self, kind: str, examples: int | float, subject: str = "") -> Iterator[None]:
        """Time the work in the block."""
        started = time.perf_counter()
        yield
        known = self._kinds[kind]
        known.seconds += time.perf_counter() - started
        known.done += examples
        known.total = max(known.total, known.done)
        self._cost += known.guess * examples
        if time.monotonic() - self._last >= SECONDS_BETWEEN_EVENTS:
            expected = sum(each.guess * each.total for each in self._kinds.values()) * self._batch / self.examples
            self._report(self._done + self._batch * min(1.0, self._cost / expected), subject)

    @contextmanager
    def batch(self, examples: int | float) -> Iterator[None]:
        """Report in the end that a batch of a pass is done."""
        self._batch, self._cost = examples, 0.0
        yield
        self._done += examples
        self._batch = 0.0
        self.examples = max(self.examples, self._done)
        self._report(self._done, "")

    def finish(self) -> None:
        """Report that nothing is left."""
        self.examples = self._done
        for kind in self._kinds.values():
            kind.total = kind.done
        self._report(self._done, "")

    @property
    def seconds_left(self) -> float | None:
        """An estimate; None before any work was timed."""
        cost = sum(kind.guess * kind.done for kind in self._kinds.values())
        seconds = sum(kind.seconds for kind in self._kinds.values())
        if not cost:
            return None
        left = 0.0
        for kind in self._kinds.values():
            one = kind.seconds / kind.done if kind.done else kind.guess * seconds / cost
            left += one * (kind.total - kind.done)
        return left

    def _report(self, done: float, subject: str) -> None:
        self._last = time.monotonic()
        left = self.seconds_left
        self._on_progress(
            Progress("measuring", float(done), float(self.examples), "examples", subject, seconds_left=left)
        )
