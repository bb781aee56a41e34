"""The keyed permutation: a bijection for every size, another order for every key, no pattern."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylm_jax.data.permutation import BLOCK, key, permute


def test_bijection_for_every_small_size():
    for size in range(1, 2001):
        permuted = permute(np.arange(size), size, key=size * 977)
        assert permuted.dtype == np.int64
        assert (np.bincount(permuted, minlength=size) == 1).all() and len(permuted) == size


def test_bijection_across_blocks():
    size = 2 * BLOCK + 12345
    permuted = permute(np.arange(size), size, key=5)
    assert (np.bincount(permuted, minlength=size) == 1).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(2001, 1 << 62), st.integers(0, 2**64 - 1), st.integers(0, 2**63))
def test_no_collisions_and_in_range_in_large_sizes(size, one_key, seed):
    numbers = np.unique(np.random.default_rng(seed).integers(0, size, 2000))
    permuted = permute(numbers, size, one_key)
    assert permuted.min() >= 0 and permuted.max() < size
    assert len(np.unique(permuted)) == len(numbers)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**6), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40))
def test_a_key_for_each_number_is_the_same_as_a_key_for_all(size, keys):
    numbers = np.arange(len(keys)) % size
    together = permute(numbers, size, np.array(keys, np.uint64))
    alone = [permute(numbers[i : i + 1], size, one)[0] for i, one in enumerate(keys)]
    assert together.tolist() == alone


def test_keys_differ_by_seed_component_and_epoch():
    keys = {key(s, c, e) for s in range(5) for c in ("en", "th", "e", "0 en") for e in range(40)}
    assert len(keys) == 5 * 4 * 40
    orders = {tuple(permute(np.arange(50), 50, one).tolist()) for one in keys}
    assert len(orders) == len(keys)


def _in_python(number: int, size: int, one_key: int) -> int:
    """The same permutation in Python's own integers."""
    bits = max(6, (size - 1).bit_length())
    low = bits // 2
    while True:
        halves = [number >> low, number & ((1 << low) - 1)]
        for turn in range(6):
            mixed = (one_key + 0x9E3779B97F4A7C15 * (turn + 1)) % 2**64
            mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
            word = halves[1 - turn % 2] ^ (mixed >> 32)
            word = (word ^ (word >> 16)) * 0x7FEB352D % 2**32
            word = (word ^ (word >> 15)) * 0x846CA68B % 2**32
            halves[turn % 2] ^= word >> (32 - (low if turn % 2 else bits - low))
        number = halves[0] << low | halves[1]
        if number < size:
            return number


@pytest.mark.parametrize("size", [1, 5, 64, 65, 1000, 2**31 + 7, 10**12, 2**61 + 1])
def test_equals_pythons_own_integers(size):
    numbers = np.arange(0, size, -(-size // 50))
    for one_key in (0, 2**64 - 1, key(1, "x", 0)):
        expected = [_in_python(number, size, one_key) for number in numbers.tolist()]
        assert permute(numbers, size, one_key).tolist() == expected


def test_orders_never_change():
    """Another answer means that no run that was begun before can go on."""
    assert key(17, "mc4.th", 3) == 6348489178787748621
    assert permute(np.arange(10), 10, key(17, "mc4.th", 3)).tolist() == [
        8,
        1,
        5,
        3,
        7,
        6,
        9,
        0,
        4,
        2,
    ]


def _chi_square(counts: np.ndarray) -> float:
    """In standard deviations from its mean."""
    expected = counts.sum() / counts.size
    freedom = counts.size - 1
    return (((counts - expected) ** 2).sum() / expected - freedom) / (2 * freedom) ** 0.5


@pytest.mark.parametrize("size", [5, 16, 33])
def test_every_place_is_as_likely_for_each_number(size):
    keys = np.array([key(0, "x", epoch) for epoch in range(20_000)], np.uint64)
    places = np.stack([permute(np.full(len(keys), i), size, keys) for i in range(3)])
    for one in places:
        assert abs(_chi_square(np.bincount(one, minlength=size))) < 5
    first, second = places[:2]
    pairs = np.bincount(first * size + second, minlength=size * size).reshape(size, size)
    assert (np.diag(pairs) == 0).all()
    assert abs(_chi_square(pairs[~np.eye(size, dtype=bool)])) < 5


def test_neighbours_are_scattered():
    size = 1_000_003
    permuted = permute(np.arange(200_000), size, key(3, "x", 1))
    steps = np.diff(permuted) % size
    assert abs(_chi_square(np.bincount(steps * 64 // size, minlength=64))) < 5
    assert abs(_chi_square(np.bincount(permuted * 64 // size, minlength=64))) < 5
    assert (permuted == np.arange(200_000)).sum() < 10


def test_refuses_numbers_out_of_range():
    for numbers in ([-1], [7]):
        with pytest.raises(ValueError, match=r"\[0, 7\)"):
            permute(np.array(numbers), 7, 1)
    with pytest.raises(ValueError, match="size 0"):
        permute(np.array([], int), 0, 1)
    assert permute(np.array([], int), 9, 1).shape == (0,)
