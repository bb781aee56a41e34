"""A keyed permutation of row numbers: each epoch's shuffled order, without holding it in memory.

A Feistel network permutes the numbers of b bits, b just enough for `size`; a number that lands at
`size` or above is sent through again until it falls below (cycle walking: under two passes on
average from 33 rows on, since 2**(b - 1) < size). Integers only, so the same on every platform.

    permute([0, 1, 2, 3, 4], size=5, key=7)  ->  each of 0..4 once, in an order that 7 decides
"""

import hashlib

import numpy as np

ROUNDS = 6
MIN_BITS = 6  # at 2 the 120 orders of 5 rows are uneven (chi-square 13 x its degrees of freedom)
# Numbers at a time: the arrays of a block stay in the core's cache; 2**13 halves speed.
BLOCK = 1 << 16
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64's step; the next two are its multipliers
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_ODD = (np.uint32(0x7FEB352D), np.uint32(0x846CA68B))  # a 32-bit hash with little bias


def key(seed: int, component: str, epoch: int) -> int:
    """64 bits that decide the order of one component in one epoch; the same on every platform."""
    words = f"{seed} {epoch} {component}".encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "little")


def _round_keys(keys: np.ndarray) -> list[np.ndarray]:
    """ROUNDS arrays of uint32 [n or 1] from keys uint64 [n or 1], by splitmix64."""
    round_keys = []
    for number in range(1, ROUNDS + 1):
        mixed = keys + _GOLDEN * np.array([number], np.uint64)
        for multiplier, shift in zip(_MIX, (30, 27)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * multiplier
        round_keys.append((mixed >> np.uint64(32)).astype(np.uint32))
    return round_keys


def _pass(numbers: np.ndarray, bits: int, round_keys: list[np.ndarray]) -> np.ndarray:
    """One pass of the network over uint64 [n] numbers of `bits` bits.

    The two halves take turns: even rounds change the left one, odd rounds the right one.
    """
    low = bits // 2
    left = (numbers >> np.uint64(low)).astype(np.uint32)
    right = (numbers & np.uint64((1 << low) - 1)).astype(np.uint32)
    halves = ((left, right, bits - low), (right, left, low))
    for number, round_key in enumerate(round_keys):
        changed, given, width = halves[number % 2]
        mixed = given ^ round_key
        mixed ^= mixed >> np.uint32(16)
        mixed *= _ODD[0]
        mixed ^= mixed >> np.uint32(15)
        mixed *= _ODD[1]
        mixed >>= np.uint32(32 - width)
        changed ^= mixed
    return (left.astype(np.uint64) << np.uint64(low)) | right


def _chosen(round_keys: list[np.ndarray], which: slice | np.ndarray) -> list[np.ndarray]:
    """The round keys of some numbers; a key for all numbers stays as it is."""
    return [keys if keys.size == 1 else keys[which] for keys in round_keys]


def _permute_block(
    numbers: np.ndarray, size: int, bits: int, round_keys: list[np.ndarray]
) -> np.ndarray:
    """uint64 [n] of [0, size) -> uint64 [n] of [0, size)."""
    permuted = _pass(numbers, bits, round_keys)
    outside = np.flatnonzero(permuted >= size)
    while outside.size:
        keys = _chosen(round_keys, outside)
        permuted[outside] = walked = _pass(permuted[outside], bits, keys)
        outside = outside[walked >= size]
    return permuted


def permute(numbers: np.ndarray, size: int, key: int | np.ndarray) -> np.ndarray:
    """Numbers int64 [n] of [0, size) -> int64 [n]: for each key a bijection of [0, size).

    `key` is 64 bits for all numbers or uint64 [n], one for each. Sizes go up to 2**62.
    """
    numbers = np.asarray(numbers, np.int64)
    if not 0 < size <= 1 << 62:
        raise ValueError(f"size {size} is not in 1..2**62")
    if numbers.size and not (0 <= numbers.min() and numbers.max() < size):
        raise ValueError(f"numbers {numbers.min()} to {numbers.max()} are not all in [0, {size})")
    bits = max(MIN_BITS, (size - 1).bit_length())
    round_keys = _round_keys(np.atleast_1d(np.asarray(key, np.uint64)))
    permuted = np.empty(numbers.shape, np.int64)
    for start in range(0, len(numbers), BLOCK):
        block = slice(start, start + BLOCK)
        keys = _chosen(round_keys, block)
        permuted[block] = _permute_block(numbers[block].view(np.uint64), size, bits, keys)
    return permuted
