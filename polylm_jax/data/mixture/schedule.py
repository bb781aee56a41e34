"""Which component each row of a run comes from: a schedule of phases, answered for any row at once.

Shares are shares of tokens: all rows are equally long. Within a phase the realised rows of each
component stay less than one row from the plan, after every row, and each answer takes the same few
integer operations at row 10 and at row 10**12 (apportionment.py has the order within a period).

Shapes: C components, sorted by name.
"""

import dataclasses
import functools
import hashlib
import json
import math
import operator
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from polylm_jax.data.mixture.apportionment import (
    RESOLUTION,
    build_table,
    largest_remainder,
    staircase,
)
from polylm_jax.errors import InputError

FORMAT = 1  # raised when the same phases would give other rows: part of the fingerprint


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of the run: `shares` of tokens per component, for `rows` rows.

    The first `ramp_rows` of them go linearly from the previous phase's shares to these.
    Raises InputError for shares that are negative or don't sum to 1 (1e-6), or impossible rows.
    """

    name: str
    shares: Mapping[str, float]
    rows: int
    ramp_rows: int = 0

    def __post_init__(self):
        for component, share in self.shares.items():
            if not (math.isfinite(share) and share >= 0):
                raise InputError(
                    f"phase {self.name!r}: the share of {component!r} is {share}; "
                    "give a number from 0 to 1."
                )
        total = math.fsum(self.shares.values())
        if abs(total - 1) > 1e-6:
            raise InputError(
                f"phase {self.name!r}: its shares sum to {total:.9g}; make them sum to 1."
            )
        if operator.index(self.rows) < 1:
            raise InputError(f"phase {self.name!r}: rows is {self.rows}; give 1 or more.")
        if not 0 <= operator.index(self.ramp_rows) <= self.rows:
            raise InputError(
                f"phase {self.name!r}: ramp_rows is {self.ramp_rows}; "
                f"give 0 to {self.rows}, the phase's rows."
            )

    def share(self, component: str) -> float:
        """The component's share in this phase, 0 where the phase doesn't name it."""
        return float(self.shares[component]) if component in self.shares else 0.0

    def quotas(self, components: Sequence[str]) -> tuple[int, ...]:
        """The shares over RESOLUTION; raises InputError for a positive one that rounds to nothing."""
        quotas = largest_remainder([self.share(component) for component in components])
        for component, quota in zip(components, quotas):
            if self.share(component) and not quota:
                raise InputError(
                    f"phase {self.name!r}: the share of {component!r} is "
                    f"{self.share(component):.3g}, less than a schedule resolves "
                    f"(1/{RESOLUTION}); raise it or set it to 0."
                )
        return quotas


@dataclasses.dataclass(frozen=True)
class Segment:
    """`rows` rows from `start` on, under constant quotas (their sum is the period)."""

    phase: int
    start: int
    rows: int
    quotas: np.ndarray  # int64 [C]
    before: np.ndarray  # int64 [C]: rows of each component before `start`

    @functools.cached_property
    def period(self) -> int:
        return int(self.quotas.sum())

    def table(self):
        """The order of the period, no longer than the segment needs."""
        return build_table(tuple(self.quotas.tolist()), min(self.period, self.rows))

    def counts(self, row: int) -> np.ndarray:
        """int64 [C]: rows of each component in rows [0, row), for a row of this segment or its end."""
        periods, slot = divmod(row - self.start, self.period)
        counts = self.before + periods * self.quotas
        return counts + self.table().counts(slot) if slot else counts

    def lookup(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(component int32 [n], ordinal int64 [n]) of rows int64 [n] of this segment."""
        table = self.table()
        offset = rows - self.start
        periods = offset // self.period
        slot = offset - periods * self.period
        component = table.order[slot].astype(np.int32)
        periods *= self.quotas[component]
        return component, self.before[component] + periods + table.rank[slot]


def _segments(phases: Sequence[Phase], phase_quotas: Sequence[Sequence[int]]) -> list[Segment]:
    """The constant stretches of a run, in order."""
    segments, end = [], 0
    before = np.zeros(len(phase_quotas[0]), np.int64)
    for number, phase in enumerate(phases):
        steps: list[tuple[int, np.ndarray]] = []
        if phase.ramp_rows:
            steps += staircase(phase_quotas[number - 1], phase_quotas[number], phase.ramp_rows)
        if rest := phase.rows - sum(rows for rows, _ in steps):
            steps.append((rest, np.array(phase_quotas[number], np.int64)))
        for rows, quotas in steps:
            segment = Segment(number, end, rows, quotas // np.gcd.reduce(quotas), before)
            segments.append(segment)
            end += rows
            before = segment.counts(end)
    return segments


class Schedule:
    """The phases of a run, one after another; every answer is a function of the row number.

    `components` are all that a phase names, sorted; `boundaries` the rows at which phases begin,
    and the end; `quotas` each phase's shares over RESOLUTION. Raises InputError where a share
    can't be represented or the first phase has a ramp.
    """

    def __init__(self, phases: Sequence[Phase]):
        if not phases:
            raise InputError("phases is empty; give at least one phase.")
        if phases[0].ramp_rows:
            raise InputError(
                f"phase {phases[0].name!r}: ramp_rows is {phases[0].ramp_rows}, but no phase comes "
                "before the first; set it to 0."
            )
        self.phases = tuple(phases)
        self.components = tuple(sorted(set().union(*(phase.shares for phase in phases))))
        self.quotas = tuple(phase.quotas(self.components) for phase in phases)
        self.boundaries = tuple(np.cumsum([0] + [phase.rows for phase in phases]).tolist())
        self.total_rows = self.boundaries[-1]
        self._segments = _segments(self.phases, self.quotas)
        self._starts = np.array([segment.start for segment in self._segments], np.int64)

    def _segment(self, row: int) -> Segment:
        if not 0 <= row <= self.total_rows:
            raise IndexError(f"row {row} of a schedule of {self.total_rows} rows")
        return self._segments[int(np.searchsorted(self._starts, row, side="right")) - 1]

    @functools.cached_property
    def trained(self) -> tuple[str, ...]:
        """The components that have a share in some phase."""
        return tuple(c for c, shares in zip(self.components, zip(*self.quotas)) if any(shares))

    def stretches(self) -> list[tuple[int, np.ndarray]]:
        """(rows, quotas int64 [C]) of each stretch of constant shares, in order."""
        return [(segment.rows, segment.quotas) for segment in self._segments]

    def phase_at(self, row: int) -> int:
        """The number of the phase that a row belongs to (the last one at the end of the run)."""
        return self._segment(row).phase

    def lookup(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(component int32 [n], ordinal int64 [n]) of any rows int64 [n].

        The ordinal is the number of rows of that component before this one, over the whole run.
        """
        rows = np.asarray(rows, np.int64)
        if rows.size and not (0 <= rows.min() and rows.max() < self.total_rows):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {self.total_rows}")
        places = np.searchsorted(self._starts, rows, side="right") - 1
        component, ordinal = np.empty(rows.shape, np.int32), np.empty(rows.shape, np.int64)
        by_place = np.argsort(places, kind="stable")
        for here in np.split(by_place, np.flatnonzero(np.diff(places[by_place])) + 1):
            if here.size:
                segment = self._segments[places[here[0]]]
                component[here], ordinal[here] = segment.lookup(rows[here])
        return component, ordinal

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """(component int32 [n], ordinal int64 [n]) of rows [start, stop)."""
        return self.lookup(np.arange(start, stop, dtype=np.int64))

    def counts(self, row: int) -> np.ndarray:
        """int64 [C]: realised rows of each component among the first `row` rows of the run."""
        return self._segment(row).counts(row).copy()

    def _plan_of_phase(self, number: int, row: int) -> np.ndarray:
        """Fraction [C]: rows planned from the start of a phase to one of its rows or its end."""
        first, end = self.boundaries[number], self.boundaries[number + 1]
        segment = self._segment(min(row, end - 1))
        rows = Fraction(row - segment.start, segment.period)
        ramped = (segment.before - self.counts(first)).tolist()
        return np.array([r + rows * q for r, q in zip(ramped, segment.quotas.tolist())], object)

    def planned(self, row: int) -> np.ndarray:
        """Fraction [C]: rows of each component planned for the first `row` rows, unrounded.

        The sum of the phases' plans. From any phase's start on, realised rows stay less than one
        from it; the starts themselves may be a fraction of a row apart.
        """
        phases = range(self.phase_at(row) + 1)
        plans = (self._plan_of_phase(n, min(row, self.boundaries[n + 1])) for n in phases)
        return functools.reduce(operator.add, plans)

    def fingerprint(self) -> str:
        """sha256, in hex, of what decides the rows: components, lengths and integer shares."""
        lengths = [[phase.rows, phase.ramp_rows] for phase in self.phases]
        facts = [FORMAT, RESOLUTION, self.components, lengths, self.quotas]
        return hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()

    def rounding(self) -> float:
        """The largest |share - quota / RESOLUTION| of any phase and component."""
        return max(self._share_rounding(number) for number in range(len(self.phases)))

    def _share_rounding(self, number: int) -> float:
        pairs = zip(self.components, self.quotas[number])
        return max(abs(self.phases[number].share(c) - quota / RESOLUTION) for c, quota in pairs)

    def _distance(self, number: int) -> float:
        """Rows between a phase's plan and the user's own shares and line, at the farthest.

        Looked for at the ends and the middles of its constant stretches.
        """
        phase, start = self.phases[number], self.boundaries[number]
        steps = [segment for segment in self._segments if segment.phase == number]
        ends = np.array([segment.start - start for segment in steps] + [phase.rows], float)
        plans = [segment.before - steps[0].before for segment in steps]
        plan_KC = np.array([*plans, self._plan_of_phase(number, start + phase.rows)], float)
        rows = np.concatenate([ends, (ends[1:] + ends[:-1]) / 2])[:, None]
        plan_KC = np.concatenate([plan_KC, (plan_KC[1:] + plan_KC[:-1]) / 2])
        new = np.array([phase.share(component) for component in self.components])
        wished_KC = rows * new
        if phase.ramp_rows:
            old = [self.phases[number - 1].share(component) for component in self.components]
            climbed = np.minimum(rows, phase.ramp_rows)
            wished_KC += (old - new) * (climbed - climbed**2 / (2 * phase.ramp_rows))
        return float(np.abs(plan_KC - wished_KC).max())

    def describe(self) -> dict:
        """What JSON can hold of the schedule, with how far integers are from the user's numbers.

        `share_rounding` is a share, `distance_rows` rows of the phase's plan, both at the farthest.
        """
        phases = []
        for number, phase in enumerate(self.phases):
            steps = sum(segment.phase == number for segment in self._segments)
            phases.append(
                {
                    "name": phase.name,
                    "start_row": self.boundaries[number],
                    "rows": phase.rows,
                    "ramp_rows": phase.ramp_rows,
                    "constant_stretches": steps,
                    "shares": {
                        component: quota / RESOLUTION
                        for component, quota in zip(self.components, self.quotas[number])
                        if quota
                    },
                    "share_rounding": self._share_rounding(number),
                    "distance_rows": self._distance(number),
                }
            )
        return {
            "total_rows": self.total_rows,
            "components": list(self.components),
            "phases": phases,
            "fingerprint": self.fingerprint(),
        }
