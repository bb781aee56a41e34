"""Shares in whole numbers: quotas, the order in which they take turns, and the steps of a ramp.

A period of P slots gives each component its quota, in the earliest-deadline-first order of unit
jobs: job j of a component opens when j - 1 of its rows are planned and is due when j are.

    quotas (2, 1), P = 3    slot           0    1    2  |  0    1    2
                            component      0    1    0  |  0    1    0
                            planned of 0   2/3  4/3  2  |  8/3  10/3 4     after the slot
                            realised       1    1    2  |  3    3    4     never a whole row away

Rounding prefix sums takes rows back and "largest deficit first" drifts past one row; this order
does neither: unit jobs whose plan fits fractionally also fit in whole, and earliest deadline first
finds such a fit. Integers only, so the same on every platform.

Shapes: C components, T slots of a table, K steps of a ramp.
"""

import dataclasses
import functools
import heapq
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

RESOLUTION = 1 << 20  # a share is a whole number of 1/RESOLUTION
RAMP_STEPS = 1 << 10  # a ramp has at most as many; its chords then stay within 1.2e-7 of its rows
MARK_SLOTS = 1 << 10  # a table keeps the counts before every MARK_SLOTS-th slot


def largest_remainder(shares: Sequence[float]) -> tuple[int, ...]:
    """Shares [C] of any positive sum as integers that sum to RESOLUTION; exact arithmetic.

    Ties go to the component that comes first.
    """
    exact = [Fraction(float(share)) for share in shares]
    total = sum(exact)
    scaled = [share * RESOLUTION / total for share in exact]
    whole = [math.floor(value) for value in scaled]
    by_remainder = sorted(range(len(whole)), key=lambda c: (whole[c] - scaled[c], c))
    for c in by_remainder[: RESOLUTION - sum(whole)]:
        whole[c] += 1
    return tuple(whole)


@dataclasses.dataclass(frozen=True)
class Table:
    """The order of a period's first T slots: component [T], rank [T] (its slots before), marks."""

    order: np.ndarray  # unsigned [T]
    rank: np.ndarray  # int32 [T]
    marks: np.ndarray  # int32 [T // MARK_SLOTS + 1, C]: counts before each MARK_SLOTS-th slot

    def counts(self, slot: int) -> np.ndarray:
        """int64 [C]: slots of each component among the first `slot`."""
        mark = slot // MARK_SLOTS
        since = np.bincount(self.order[mark * MARK_SLOTS : slot], minlength=self.marks.shape[1])
        return self.marks[mark] + since


def _jobs(period_quotas: Sequence[int], slots: int) -> tuple[np.ndarray, np.ndarray]:
    """The unit jobs that open in the first `slots` slots: (opens, key = due * C + component).

    Sorted by the slot in which they open. With j from 0, a component of q slots in P opens its job
    at floor(jP / q) and must have done it by slot ceil((j + 1)P / q) - 1.
    """
    period, components = sum(period_quotas), len(period_quotas)
    opening, dues = [], []
    for component, quota in enumerate(period_quotas):
        if quota:
            job = np.arange(-(-slots * quota // period), dtype=np.int64)
            opening.append(job * period // quota)
            dues.append((-(-(job + 1) * period // quota) - 1) * components + component)
    opens, keys = np.concatenate(opening), np.concatenate(dues)
    by_opening = np.argsort(opens, kind="stable")
    return opens[by_opening], keys[by_opening]


def _earliest_deadline_first(period_quotas: Sequence[int], slots: int) -> np.ndarray:
    """int64 [slots]: the component of each slot."""
    opens, keys = _jobs(period_quotas, slots)
    opening = np.bincount(opens, minlength=slots).tolist()
    upcoming = iter(keys.tolist())
    waiting: list[int] = []
    order = []
    for number in opening:
        if number == 1:
            order.append(heapq.heappushpop(waiting, next(upcoming)))
            continue
        for _ in range(number):
            heapq.heappush(waiting, next(upcoming))
        order.append(heapq.heappop(waiting))
    return np.array(order, np.int64) % len(period_quotas)


@functools.lru_cache(maxsize=32)  # 5 MB each at most
def build_table(period_quotas: tuple[int, ...], slots: int) -> Table:
    """The first `slots` slots of the period that gives each component its quota."""
    order = _earliest_deadline_first(period_quotas, slots)
    components = len(period_quotas)
    totals = np.bincount(order, minlength=components)
    by_component = np.argsort(order, kind="stable")
    rank = np.empty(slots, np.int32)
    firsts = np.repeat(np.cumsum(totals) - totals, totals)
    rank[by_component] = np.arange(slots) - firsts
    marks = np.zeros((slots // MARK_SLOTS + 1, components), np.int32)
    for mark in range(1, len(marks)):
        block = order[(mark - 1) * MARK_SLOTS : mark * MARK_SLOTS]
        marks[mark] = marks[mark - 1] + np.bincount(block, minlength=components)
    return Table(order.astype(np.min_scalar_type(components)), rank, marks)


def round_plan(plan: np.ndarray, unit: int) -> np.ndarray:
    """Whole numbers near a rising plan: int64 [K + 1, C] less than 1 from plan / unit.

    `plan` (Python integers [K + 1, C]) starts at 0 and each of its rows sums to a multiple of
    `unit`, which stays the row's sum. Columns never fall: what must be whole by now comes first,
    then what is due soonest, as between the slots of a table.
    """
    floor = (plan // unit).astype(np.int64)
    broken = (plan % unit != 0).astype(bool)
    due = np.stack([np.searchsorted(column, column, side="right") for column in floor.T], axis=1)
    sums = (plan.sum(axis=1) // unit).astype(np.int64)
    whole = np.zeros_like(floor)
    for k in range(1, len(plan)):
        whole[k] = np.maximum(whole[k - 1], floor[k])
        may = np.flatnonzero(broken[k] & (whole[k] == floor[k]))
        soonest = may[np.argsort(due[k, may], kind="stable")]
        whole[k, soonest[: sums[k] - whole[k].sum()]] += 1
    return whole


def staircase(
    old: Sequence[int], new: Sequence[int], rows: int
) -> Iterator[tuple[int, np.ndarray]]:
    """The steps of a ramp from shares `old` to `new` (over RESOLUTION): (rows, quotas [C]) each.

    A step spans 2 sqrt(rows), so that its chord stays within half a row of the line, unless that
    makes more than RAMP_STEPS of them. Above 2**30 rows each step's period comes `repeat` times,
    and the last rows % repeat rows (fewer than 1 in 2**30) are left to the phase after the ramp.
    """
    repeat = -(-rows // (RESOLUTION * RAMP_STEPS))
    rows //= repeat
    steps = min(RAMP_STEPS, -(-rows // (2 * math.isqrt(rows))))
    ends = np.array([rows * k // steps for k in range(steps + 1)], object)[:, None]
    from_C, to_C = np.array(old, object), np.array(new, object)
    # Rows planned, times 2 rows RESOLUTION.
    plan = 2 * rows * from_C * ends + (to_C - from_C) * ends**2
    for quotas_k in np.diff(round_plan(plan, 2 * rows * RESOLUTION), axis=0):
        yield repeat * int(quotas_k.sum()), quotas_k
