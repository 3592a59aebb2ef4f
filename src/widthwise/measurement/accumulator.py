"""The one contract of everything that adds up numbers over the data."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from torch import Tensor

State = dict[str, Tensor]
"""All that an accumulator has gathered, by name; a number is a tensor without dimensions."""


class Accumulator(Protocol):
    """Gathers numbers from the data part by part, in memory that does not grow with the data.

    Parts can be gathered apart and merged: the result is that of all parts gathered by one accumulator, exactly where
    things are counted, and up to rounding in double precision elsewhere. An accumulator that has loaded the state of
    another goes on as the other would have, to the bit.
    """

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add the next part of the data."""
        ...

    def merge(self, other: Any) -> None:
        """Add what another accumulator of the same kind and size gathered from other data."""
        ...

    def compute(self) -> object:
        """The result so far."""
        ...

    def state_dict(self) -> State:
        """All that was gathered. The tensors are the accumulator's own and change with the next update."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what another accumulator of the same kind and size gathered."""
        ...


def joined(states: Iterable[tuple[str, Mapping[str, Tensor]]]) -> State:
    """The states of several accumulators as one, each name preceded by its accumulator's and a colon."""
    return {f"{owner}:{name}": value for owner, state in states for name, value in state.items()}


def part_of(state: Mapping[str, Tensor], owner: str) -> State:
    """The state that `joined` was given under one name."""
    start = f"{owner}:"
    return {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}
