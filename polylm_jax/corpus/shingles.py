"""Words, characters and their n-grams as 64-bit hashes, whole texts at a time.

A unit is a word where spaces stand between words; elsewhere it is a character, and a word of
another script quoted there ('docker') is one unit still. The hash of a window is a difference of two prefix sums of a polynomial modulo 2**64, so no window is ever made.
"""

import functools

import numpy as np

from polylm_jax.corpus import characters, signs

_P = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2**64
_P_INVERSE = pow(_P, -1, 1 << 64)
_SPACE = ord(" ")


@functools.lru_cache(maxsize=2)
def _powers(base: int, size: int) -> np.ndarray:
    """base**0 .. base**(size-1) modulo 2**64."""
    powers = np.full(size, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


def _power(base: int, size: int) -> np.ndarray:
    return _powers(base, 1 << max(12, (size - 1).bit_length()))[:size]


def mixed(hashes: np.ndarray) -> np.ndarray:
    """splitmix64's finish: every bit of the sum reaches every bit of the hash."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def _sums(values: np.ndarray) -> np.ndarray:
    """uint64 [values + 1]: the polynomial of what stands before each place."""
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum((values + np.uint64(1)) * _power(_P, len(values)), out=sums[1:])
    return sums


def spans(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The hash of values[start:end] for each pair: equal values give equal hashes anywhere."""
    sums = _sums(values)
    shift = _power(_P_INVERSE, len(values) + 1)
    lengths = (ends - starts).astype(np.uint64)
    return mixed((sums[ends] - sums[starts]) * shift[starts] + lengths)


def units(text: str, spaces: bool) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64 [units], their lengths in characters int64 [units]) of a text, folded."""
    return units_of(characters.folded(text), spaces)


def units_of(points: np.ndarray, spaces: bool) -> tuple[np.ndarray, np.ndarray]:
    """`units` of a text that is folded."""
    if not len(points):
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    inside = np.concatenate([[False], points != _SPACE, [False]])
    alone = np.zeros(len(inside), bool)
    if not spaces:
        alone[1:-1] = (characters.classes()[points] & characters.unspaced_bits()) > 0
    cut = (inside[1:] != inside[:-1]) | alone[1:] | alone[:-1]
    edges = np.flatnonzero(cut)
    starts, ends = edges[:-1][inside[1:][edges[:-1]]], edges[1:][inside[:-1][edges[1:]]]
    return spans(points.astype(np.uint64), starts, ends), ends - starts


def without_numbers(hashes: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`units` without those that are numbers: folded, all of as many digits are one word."""
    words = ~np.isin(hashes, np.fromiter(numbers(), np.uint64))
    return hashes[words], lengths[words]


@functools.cache
def numbers() -> frozenset[int]:
    """The hashes of numbers of up to 12 digits."""
    return frozenset(int(units("0" * digits, True)[0][0]) for digits in range(1, 13))


def ngrams(hashes: np.ndarray, n: int) -> np.ndarray:
    """uint64 [max(0, units - n + 1)]: a hash for every window of n units."""
    count = len(hashes) - n + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    sums = _sums(hashes)
    return mixed((sums[n:] - sums[:count]) * _power(_P_INVERSE, count) + np.uint64(n))


def whole(text: str, spaces: bool = True) -> int:
    """One hash for all that a text says, as `signs.folded` has it: what exact duplicates share."""
    points = signs.folded(text)
    return hash_of(points if spaces else signs.without_spaces(points))


def hash_of(values: np.ndarray) -> int:
    """One hash for all of an array; 0 for an empty one."""
    if not len(values):
        return 0
    return int(spans(values.astype(np.uint64), np.array([0]), np.array([len(values)]))[0])
