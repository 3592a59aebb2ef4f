"""The choice of units to drop: random draws that do not depend on how the examples are batched.

The draw for an example (for whole channels: for all examples) gives every unit a random key; at a level where c units
are to be dropped, the c units with the smallest keys are. So what is dropped at one level is dropped at the higher ones
too. At the levels p of `numpy.linspace(0, 1, levels)`, c = round(p * n) of n units are dropped. With granularity
`application` the "units" are all of an example's values, counted position by position with the layer's units last.

On a CPU the keys come from `numpy.random.PCG64(SeedSequence([seed, 1, layer, 0, sampling]))`, where `layer` is the
index of the layer among those measured. Each draw takes w of the generator's 64-bit words, the first example's the
first w, and so on.

- Up to 2,048 units: w = ceil(n / 2). Unit u's key is the (u mod 2)-th 32-bit half, low half first, of word u div 2; its
  lowest b bits are replaced by u, where b is the bit length of n - 1, but at least 1. So no two keys are equal.
- More units: w = ceil(n / 4) + 1. Unit u's key is the (u mod 4)-th 16-bit quarter, low first, of word u div 4. Of equal
  keys, that of the unit with the smaller (u - t) mod n counts as smaller, where t is the last of the w words mod n.

On another device, the keys of examples 64 k to 64 k + 63 are `torch.randint(2**62, (64, n))` from a generator on that
device, with the lowest b bits replaced as above. Its seed is the first 64-bit word of
`SeedSequence([seed, 1, layer, 0, sampling, k])`, shifted right by 1.

A value whose rows are tokens that a router chose has a draw for each of them in place of one for each example. Those of
a batch are numbered from 2**20 times the index of its first example on, in the order of its rows. So they depend on how
the examples are batched.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

ABLATION_STREAM, RANDOM_SHARES = 1, 0
"""The parts of a seed that keep these draws apart from others."""
ROWS_OF_AN_EXAMPLE = 1 << 20
"""How many draws each example has where a row is a token."""
NARROW_UNITS = 2048
"""Up to this many units a key of 32 bits holds the unit's index and 21 random bits; more units get keys of 16 bits,
which are sorted several times as fast but are not all different."""
BLOCK_KEYS = 1 << 20
"""Number of keys in memory at a time."""
DEVICE_BLOCK_ROWS = 64


def draw_seed(seed: int, layer: int, sampling: int) -> np.random.SeedSequence:
    """The seed of the draws for one sampling of the layer with that index."""
    return np.random.SeedSequence([seed, ABLATION_STREAM, layer, RANDOM_SHARES, sampling])


def dropped_counts(units: int, levels: int) -> list[int]:
    """Number of n `units` that are dropped at each of `levels` equally spaced shares from 0 to 1: round(share * n)."""
    return [round(share * units) for share in np.linspace(0, 1, levels).tolist()]


def random_levels(counts: list[int], units: int) -> list[int]:
    """Indices of the levels that need a random draw: some but not all units are dropped."""
    return [level for level, count in enumerate(counts) if 0 < count < units]


def levels_survived(
    seed: np.random.SeedSequence, first: int, rows: int, units: int, counts: list[int], device: torch.device
) -> UInt8[Tensor, "rows units"]:
    """For each unit, the number of random levels of `counts` that it survives.

    At the k-th random level, counted from 0, the units that survive at most k levels are dropped: in every row exactly
    the number in `counts`.

    Args:
        seed: see `draw_seed`.
        first, rows: the draws of this many examples, from the one with index `first` on. Each depends on the example's
            index alone.
        units: the number of units in a row.
        counts: the number of units to drop at each level.
        device: the device to draw on.
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

    starts = range(0, rows, block)
    threads = min(torch.get_num_threads(), os.cpu_count() or 1)
    if threads == 1 or len(starts) == 1 or units > NARROW_UNITS:  # many short calls, for which threads wait in turn
        for start in starts:
            draw_block(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw_block, starts))
    return torch.from_numpy(survived)


def _draw_narrow(seed: np.random.SeedSequence, first: int, survived: np.ndarray, drawn: list[int]) -> None:
    """Fill `survived` by random keys that are all different, since their lowest bits hold the unit's index."""
    rows, units = survived.shape
    words = -(-units // 2)
    keys = _random_words(seed, first, rows, words).view(np.uint32)[:, :units]
    bits = np.uint32(max(units - 1, 1).bit_length())
    keys = (keys >> bits << bits) | np.arange(units, dtype=np.uint32)
    ordered = np.sort(keys, axis=1)
    for count in drawn:
        survived += keys >= ordered[:, count : count + 1]


def _draw_wide(seed: np.random.SeedSequence, first: int, survived: np.ndarray, drawn: list[int]) -> None:
    """Fill `survived` by random keys, some of them equal.

    Of the units whose key is exactly at the limit, the first are dropped, counting around from a random unit, so that
    each is as likely as any other.
    """
    rows, units = survived.shape
    words = -(-units // 4) + 1
    random = _random_words(seed, first, rows, words)
    keys = random.view(np.uint16)[:, :units]
    turns = random[:, -1] % np.uint64(units)
    stays = np.empty(units, dtype=bool)
    for row in range(rows):
        high = (keys[row] >> np.uint16(8)).astype(np.uint8)
        for count in drawn:
            limit, tied, missing = _limit(keys[row], high, count)
            np.greater_equal(keys[row], limit, out=stays)
            survived[row] += stays.view(np.uint8)
            start = np.searchsorted(tied, turns[row])
            survived[row, tied[(start + np.arange(missing)) % len(tied)]] -= 1


def _limit(keys: np.ndarray, high: np.ndarray, count: int) -> tuple[np.uint16, np.ndarray, int]:
    """The largest of the `count` + 1 smallest keys, the units that have it, and how many of them are to be counted.

    Looking for the keys with its `high` byte, which is likely to be near its share of all, is faster than sorting.
    """
    byte = count * 256 // len(keys)
    while (before := count - np.count_nonzero(high < byte)) < 0:
        byte -= 1
    while before >= len(members := np.flatnonzero(high == byte)):
        before -= len(members)
        byte += 1
    ordered = np.sort(keys[members])
    limit = ordered[before]
    return limit, members[keys[members] == limit], int(before - np.count_nonzero(ordered < limit))


def _random_words(seed: np.random.SeedSequence, first: int, rows: int, words: int) -> np.ndarray:
    """The random 64-bit words of the rows from index `first` on."""
    generator = np.random.PCG64(seed)
    generator.advance(first * words)
    return generator.random_raw(rows * words).reshape(rows, words)


def drawn_on_device(
    seed: np.random.SeedSequence, first: int, rows: int, units: int, drawn: list[int], device: torch.device
) -> UInt8[Tensor, "rows units"]:
    """`levels_survived` drawn on the model's device, so that nothing waits for the CPU, in whole blocks of rows."""
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
    survived: UInt8[Tensor, "rows units"], value: Tensor, unit_dimension: int, example_dimension: int = 0
) -> Float[Tensor, "..."]:
    """The draws in the shape and type of a layer's value, or in a shape that is broadcast to it.

    Args:
        survived: a row for each example, with all its values position by position, units last; or one row with the
            layer's units, for all examples and positions.
        value: the layer's value.
        unit_dimension, example_dimension: the value's dimensions of units and examples.
    """
    order = [each for each in range(value.dim()) if each not in (example_dimension, unit_dimension)]
    order = [example_dimension, *order, unit_dimension]
    sizes = [value.shape[each] for each in order]
    if len(survived) == 1 and survived.shape[1] == sizes[-1]:
        sizes[:-1] = [1] * (len(sizes) - 1)
    return survived.to(value.dtype).reshape(sizes).permute([order.index(each) for each in range(value.dim())])


def stays(
    survived: Float[Tensor, "..."], least: int | Float[Tensor, "..."], into: Tensor | None = None
) -> Float[Tensor, "..."]:
    """1 for each value that survives at least that many random levels, and so stays; 0 for the others.

    `least` may be broadcast to the draws, with one for each example. The result has a floating-point type: comparing
    into it and multiplying by it are several times as fast as with booleans. It is written `into` the given memory, if
    it has the shape, since allocating new memory takes as long as the comparison.
    """
    shape = survived.shape
    if isinstance(least, Tensor):
        shape = torch.broadcast_shapes(shape, least.shape)
    if into is None or into.shape != shape:
        into = torch.empty_like(survived) if shape == survived.shape else survived.new_empty(shape)
    return torch.ge(survived, least, out=into)
