"""Ranges of a run's rows that are left out, and what of them is past when they are named.

A range is (first, stop): `stop` is the first row that is read again.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

from polylm_jax.errors import InputError

Range = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class RowRanges:
    """Rows that are left out: `ranges`, sorted, none of which touches another.

    ranges (6, 8)      row     4  5  6  7  8  9
                       place   4  5  6  6  6  7     rows before it that aren't left out
    """

    ranges: tuple[Range, ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[Sequence[int]]) -> "RowRanges":
        """From ranges in any order, which may touch or overlap."""
        joined: list[Range] = []
        for first, stop in sorted((int(first), int(stop)) for first, stop in ranges):
            if joined and first <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(stop, joined[-1][1])
            elif first < stop:
                joined.append((first, stop))
        return cls(tuple(joined))

    @classmethod
    def given(cls, ranges: Sequence[Sequence[int]], rows: int) -> "RowRanges":
        """As a recipe of `rows` rows says them; InputError for what is no range of them."""
        for place, one in enumerate(ranges):
            low, high = min(one), max(one)
            if low < 0 or low == high or high > rows or low != one[0]:
                low, high = (min(max(value, 0), rows) for value in (low, high))
                nearest = f"; the nearest is ({low}, {high})" if low < high else ""
                raise InputError(
                    f"SKIP_ROWS[{place}] = {tuple(one)}: give (first, stop), the first row that is "
                    f"left out and the first that is read again, of the run's rows 0 to {rows}"
                    f"{nearest}."
                )
        return cls.of(ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    @functools.cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Firsts, lengths, and rows left out before each range and after the last one."""
        firsts, stops = np.array(self.ranges, np.int64).reshape(-1, 2).T
        lengths = stops - firsts
        return firsts, lengths, np.concatenate([[0], np.cumsum(lengths)])

    def before(self, row: int) -> int:
        """How many of the first `row` rows are left out."""
        if not self.ranges:  # asked at every step
            return 0
        firsts, lengths, sums = self._ends
        number = int(np.searchsorted(firsts, row, side="left"))
        if not number:
            return 0
        return int(sums[number - 1] + min(row - firsts[number - 1], lengths[number - 1]))

    def place(self, row: int) -> int:
        """How many of the first `row` rows are not."""
        return row - self.before(row)

    def rows(self, places: np.ndarray) -> np.ndarray:
        """The rows int64 [n] at these places [n], counted without those that are left out."""
        places = np.asarray(places, np.int64)
        if not self.ranges:
            return places
        firsts, _, sums = self._ends
        return places + sums[np.searchsorted(firsts - sums[:-1], places, side="right")]

    def up_to(self, row: int) -> "RowRanges":
        """Those among the first `row` rows."""
        return RowRanges.of((first, min(stop, row)) for first, stop in self.ranges if first < row)

    def since(self, row: int) -> "RowRanges":
        """Those from `row` on."""
        return RowRanges.of((max(first, row), stop) for first, stop in self.ranges if stop > row)

    def outside(self, other: "RowRanges") -> "RowRanges":
        """Those that `other` doesn't leave out."""
        left = list(self.ranges)
        for first, stop in other.ranges:
            parts = ((a, b, min(b, first), max(a, stop)) for a, b in left)
            left = [piece for a, b, end, begin in parts for piece in ((a, end), (begin, b))]
            left = [(a, b) for a, b in left if a < b]
        return RowRanges.of(left)

    @property
    def count(self) -> int:
        """How many rows they are."""
        return sum(stop - first for first, stop in self.ranges)

    @property
    def text(self) -> str:
        """'rows 6 to 7 and 20 to 29'."""
        words = [f"{first} to {stop - 1}" for first, stop in self.ranges]
        return "rows " + " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


NONE = RowRanges()


def going_on(was: RowRanges, now: RowRanges, row: int) -> tuple[RowRanges, list[str]]:
    """What a run leaves out that stands at `row` and goes on by another recipe, and sentences of it.

    was, now: of the recipe that it was trained by, and of the one that it goes on with. What is past
    stays as it was.
    """
    trained, left = now.up_to(row).outside(was), was.up_to(row).outside(now)
    notes = []
    if trained:
        notes.append(
            f"SKIP_ROWS: {trained.text} were trained on before they were named and stay so; "
            "--resume_step=STEP, of a checkpoint before them, leaves them out"
        )
    if left:
        notes.append(f"SKIP_ROWS: {left.text} were left out and stay so")
    ahead, dropped = now.since(row).outside(was), was.since(row).outside(now)
    if ahead:
        notes.append(f"SKIP_ROWS: {ahead.text} will be left out")
    if dropped:
        notes.append(f"SKIP_ROWS: {dropped.text} will be read after all")
    return RowRanges.of((*was.up_to(row).ranges, *now.since(row).ranges)), notes
