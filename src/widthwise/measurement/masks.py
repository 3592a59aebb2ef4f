"""Which units are dropped: random draws that do not depend on how the examples are batched."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

NARROW_KEY_UNITS = 2048
"""Keys of 32 bits are found several times as fast; up to so many units they still hold 21 random bits."""
BLOCK_KEYS = 1 << 20
"""So many keys are held at a time."""
DEVICE_BLOCK_ROWS = 64


def dropped_counts(units: int, levels: int) -> list[int]:
    """How many of n `units` are dropped at each of `levels` equally spaced shares from 0 to 1: round(share * n)."""
    return [round(share * units) for share in np.linspace(0, 1, levels).tolist()]


def random_levels(counts: list[int], units: int) -> list[int]:
    """The levels at which which units are dropped is left to chance: some but not all are."""
    return [level for level, count in enumerate(counts) if 0 < count < units]


def levels_survived(
    seed: np.random.SeedSequence, first: int, rows: int, units: int, counts: list[int], device: torch.device
) -> UInt8[Tensor, "rows units"]:
    """For each unit of the rows from number `first` on, how many of the random levels of `counts` it survives.

    At the k-th random level, of c units to be dropped, the units with at most k are dropped: in every row exactly c, a
    random choice, which includes those of the levels below. A row's draw depends on its number alone.
    """
    drawn = [counts[level] for level in random_levels(counts, units)]
    if device.type != "cpu":
        return drawn_on_device(seed, first, rows, units, drawn, device)
    survived = np.zeros((rows, units), dtype=np.uint8)
    if not drawn:
        return torch.from_numpy(survived)
    block = max(1, BLOCK_KEYS // units)

    def draw(start: int) -> None:
        part = survived[start : start + block]
        keys = drop_keys(seed, first + start, len(part), units)
        ordered = np.partition(keys, drawn, axis=1)
        for count in drawn:
            part += keys >= ordered[:, count : count + 1]

    threads = min(torch.get_num_threads(), os.cpu_count() or 1)
    starts = range(0, rows, block)
    if threads == 1 or len(starts) == 1:
        for start in starts:
            draw(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, starts))
    return torch.from_numpy(survived)


def drop_keys(seed: np.random.SeedSequence, first: int, rows: int, units: int) -> np.ndarray:
    """Distinct random keys, `rows units`, for the units of the rows from number `first` on.

    The units with a row's k smallest keys are a random choice of exactly k units. A key is random but for its lowest
    bits, which hold the unit's number, so that no two are alike.
    """
    key = np.uint32 if units <= NARROW_KEY_UNITS else np.uint64
    per_word = 8 // np.dtype(key).itemsize
    words = -(-units // per_word)
    generator = np.random.PCG64(seed)
    generator.advance(first * words)
    keys = generator.random_raw(rows * words).view(key).reshape(rows, words * per_word)[:, :units]
    bits = key(max(units - 1, 1).bit_length())
    keys &= ~((key(1) << bits) - key(1))
    keys |= np.arange(units, dtype=key)
    return keys


def drawn_on_device(
    seed: np.random.SeedSequence, first: int, rows: int, units: int, drawn: list[int], device: torch.device
) -> UInt8[Tensor, "rows units"]:
    """The same, drawn where the model is, so that nothing waits for the processor: whole blocks of rows, by number."""
    generator = torch.Generator(device)
    blocks = []
    for number in range(first // DEVICE_BLOCK_ROWS, -(-(first + rows) // DEVICE_BLOCK_ROWS)):
        state = np.random.SeedSequence([*seed.entropy, number]).generate_state(1, np.uint64)  # type: ignore[misc]
        generator.manual_seed(int(state[0] >> np.uint64(1)))
        shape = (DEVICE_BLOCK_ROWS, units)
        keys = torch.randint(2**62, shape, generator=generator, device=device, dtype=torch.int64)
        bits = max(units - 1, 1).bit_length()
        keys = (keys >> bits << bits) | torch.arange(units, device=device)
        ordered = keys.sort(1).values
        survived = torch.zeros(shape, dtype=torch.uint8, device=device)
        for count in drawn:
            survived += keys >= ordered[:, count : count + 1]
        blocks.append(survived)
    start = first % DEVICE_BLOCK_ROWS
    return torch.cat(blocks)[start : start + rows]


def laid_out(survived: UInt8[Tensor, "rows units"], shape: torch.Size, unit_dimension: int) -> UInt8[Tensor, "..."]:
    """What was drawn for each example in the layout of a value of `shape`: position by position, units last.

    The rows are the value's examples, whose units are all its values; or one row for all examples and positions.
    """
    moved = [*shape[:unit_dimension], *shape[unit_dimension + 1 :], shape[unit_dimension]]
    if len(survived) == 1 and survived.shape[1] == shape[unit_dimension]:
        moved = [1] * (len(shape) - 1) + [shape[unit_dimension]]
    return survived.reshape(moved).movedim(-1, unit_dimension)


def stays(survived: UInt8[Tensor, "..."], number: int) -> Bool[Tensor, "..."]:
    """Which values stay at the random level of that number, counted from 0."""
    return survived > number
