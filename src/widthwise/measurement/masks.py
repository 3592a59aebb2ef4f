"""Which units are dropped: random draws that do not depend on how the examples are batched."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

NARROW_UNITS = 2048
"""Up to so many units a key of 32 bits holds the unit's number and 21 random bits; more units get keys of 16 bits,
which are sorted several times as fast but are not all different."""
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
    draw = _draw_narrow if units <= NARROW_UNITS else _draw_wide

    def draw_block(start: int) -> None:
        draw(seed, first + start, survived[start : start + block], drawn)

    threads = min(torch.get_num_threads(), os.cpu_count() or 1)
    starts = range(0, rows, block)
    if threads == 1 or len(starts) == 1:
        for start in starts:
            draw_block(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw_block, starts))
    return torch.from_numpy(survived)


def _draw_narrow(seed: np.random.SeedSequence, first: int, survived: np.ndarray, drawn: list[int]) -> None:
    """Distinct random keys: those of a row's units with the k smallest are a random choice of exactly k.

    A key is random but for its lowest bits, which hold the unit's number, so that no two are alike.
    """
    rows, units = survived.shape
    words = -(-units // 2)
    keys = _random_words(seed, first, rows, words).view(np.uint32)[:, :units]
    bits = np.uint32(max(units - 1, 1).bit_length())
    keys = (keys >> bits << bits) | np.arange(units, dtype=np.uint32)
    ordered = np.sort(keys, axis=1)
    for count in drawn:
        survived += keys >= ordered[:, count : count + 1]


def _draw_wide(seed: np.random.SeedSequence, first: int, survived: np.ndarray, drawn: list[int]) -> None:
    """Random keys, some of them alike: of the units whose key is just at the limit, those that come first are dropped,
    counted around from a random unit, so that each is as likely as any other."""
    rows, units = survived.shape
    words = -(-units // 4) + 1
    random = _random_words(seed, first, rows, words)
    keys = random.view(np.uint16)[:, :units]
    turns = random[:, -1] % np.uint64(units)
    for row in range(rows):
        ordered = np.sort(keys[row], kind="stable")
        for count in drawn:
            limit = ordered[count]
            survived[row] += keys[row] >= limit
            tied = np.flatnonzero(keys[row] == limit)
            missing = count - np.searchsorted(ordered, limit)
            start = np.searchsorted(tied, turns[row])
            survived[row, tied[(start + np.arange(missing)) % len(tied)]] -= 1


def _random_words(seed: np.random.SeedSequence, first: int, rows: int, words: int) -> np.ndarray:
    """The random words of the rows from number `first` on."""
    generator = np.random.PCG64(seed)
    generator.advance(first * words)
    return generator.random_raw(rows * words).reshape(rows, words)


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


def laid_out(
    survived: UInt8[Tensor, "rows units"], value: Float[Tensor, "..."], unit_dimension: int, example_dimension: int = 0
) -> Float[Tensor, "..."]:
    """What was drawn for each example in the layout and type of a layer's value: position by position, units last.

    The rows are the value's examples, whose units are all its values; or one row for all examples and positions.
    """
    order = [place for place in range(value.dim()) if place not in (example_dimension, unit_dimension)]
    order = [example_dimension, *order, unit_dimension]
    sizes = [value.shape[place] for place in order]
    if len(survived) == 1 and survived.shape[1] == sizes[-1]:
        sizes[:-1] = [1] * (len(sizes) - 1)
    return survived.to(value.dtype).reshape(sizes).permute([order.index(place) for place in range(value.dim())])


def stays(
    survived: Float[Tensor, "..."], number: int, into: Float[Tensor, "..."] | None = None
) -> Float[Tensor, "..."]:
    """1 for each value that stays at the random level of that number, counted from 0, and 0 for the others.

    Of floating point, since a comparison into it and a product with it are several times as fast as with truth values;
    written `into` memory that is there, since new memory takes as long again.
    """
    if into is None or into.shape != survived.shape:
        into = torch.empty_like(survived)
    return torch.gt(survived, number, out=into)
