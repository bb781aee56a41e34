"""Packing: every example once, no row too full, little left empty."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylm_jax.data.packing import pack


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), max_size=200), st.integers(40, 60))
def test_every_example_once_and_no_row_too_full(lengths, capacity):
    starts, examples = pack(lengths, capacity)
    assert sorted(examples.tolist()) == list(range(len(lengths)))
    rows = [examples[slice(*starts[r : r + 2])] for r in range(len(starts) - 1)]
    sizes = [sum(lengths[e] for e in row) for row in rows]
    assert all(0 < size <= capacity for size in sizes)
    if lengths:
        # No two rows could have been one.
        assert sum(sorted(sizes)[:2]) > capacity or len(sizes) == 1


@pytest.mark.parametrize("lengths", [[0], [3, 11]])
def test_an_example_that_fits_no_row_is_refused(lengths):
    with pytest.raises(ValueError, match="rows of 10"):
        pack(lengths, 10)


def test_real_instructions_fill_their_rows(data_dir):
    with open(data_dir / "multialpaca" / "ja.jsonl", encoding="utf-8") as lines:
        sizes = [len(line) // 2 for line in lines]
    sizes = [size for size in sizes if size <= 2049]
    starts, _ = pack(sizes, 2049)
    assert sum(sizes) / (2049 * (len(starts) - 1)) > 0.95
