"""How much of each store a run reads, so that it repeats text as often as a longer run would.

A short run reads a small store once where the run that it stands for reads it many times, and then
takes repeated text for fresh text. Of a store of n rows a run of P rows that stands for one of T
reads n P / T of them, over and over: rows per epoch and rows in all shrink alike.

    n = 1,000 rows of which 2 % of the run come    T = 100,000: 2,000 rows, read 2.0 times
                                                   P =   5,000:   100 rows, read 0.1 times
    its first 1,000 x 5,000 / 100,000 = 50 rows    P =   5,000:   100 rows, read 2.0 times
"""

import dataclasses
import math

from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.errors import InputError

ROUGH_ROWS = 10  # from fewer on, half a row is more than 5 % of an epoch


@dataclasses.dataclass(frozen=True)
class Repetition:
    """A run of `rows` rows that repeats its text as one of `target` rows of the same mixture."""

    rows: int
    target: int

    @classmethod
    def of(cls, tokens: int, schedule: Schedule, length: int) -> "Repetition":
        """As over `tokens` tokens; InputError where the run itself is longer.

        A phase is a whole number of rows, so a target of the run's own tokens may be short of them
        by less than one row a phase.
        """
        rows = schedule.total_rows
        target = math.ceil(tokens / length)
        if target <= rows - len(schedule.phases):
            raise InputError(
                f"repeat_as_tokens = {tokens} is shorter than the run, which has {rows * length}: "
                "give it the tokens of the longer run that this one stands for, or leave it out."
            )
        return cls(rows, max(target, rows))

    def read(self, component: str, stored: int) -> int:
        """Rows that an epoch reads of a store of `stored` rows: stored * rows / target, rounded.

        InputError where that is less than one row.
        """
        if stored * self.rows < self.target:
            least = -(-self.target // stored) if stored else self.target
            raise InputError(
                f"repeat_as_tokens: of the {stored} rows of task {component!r} less than one would "
                f"be left to a run of {self.rows} rows; lengthen it to {least} rows, shorten the "
                "target, add text or set its share to 0."
            )
        return (2 * stored * self.rows + self.target) // (2 * self.target)

    def notes(self, read: dict[str, int]) -> list[str]:
        """Sentences for the terminal. read: component -> rows that an epoch reads of its store."""
        if self.target == self.rows:
            return []
        times, part = self.target / self.rows, self.rows / self.target
        line = f"repeats text as a run {times:.4g} times as long: it reads {part:.3%} of each store"
        rough = [
            f"{name}: an epoch is {rows} rows, so it may be {0.5 / rows:.0%} off the longer run's"
            for name, rows in sorted(read.items())
            if rows < ROUGH_ROWS
        ]
        return [line, *rough]
