"""Which rows of a run each of its steps takes: the one place where steps and rows are counted.

A step takes the next rows that aren't left out, as many as a batch has in the phase of its first
row; a phase may end within it. The last step is the last whole one.

    batches of 4, and of 2 in the phase that begins at row 10; rows 5 and 6 are left out

    step     0           1           2         3         4
    rows     0 1 2 3     4 7 8 9     10 11     12 13     14 15
    pace     0           1           2.5       3         4

A step's pace is where its learning rate lies: the step that its first row would belong to if nothing
were left out and the run had always had these batches (steps 1 and 2 are then rows 4 to 7 and 8 to
11). So a rate belongs to a place in the data, and with rows that are left out their piece of the
curve is; a rate's curve counts the steps of its own phase.
"""

import bisect
import dataclasses
import functools
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from polylm_jax.data.mixture.row_ranges import NONE, RowRanges


class Piece(NamedTuple):
    """`length` steps of `size` rows each, from `step` on; `place`: rows before them, see `RowRanges`."""

    step: int
    place: int
    length: int
    size: int
    phase: int


@dataclasses.dataclass(frozen=True)
class Steps:
    """The steps of a run from the one numbered `first` on, before which it has come to `row`.

    boundaries: the rows at which phases begin, and the end. sizes: rows of a batch, of each phase.
    skipped: rows that are left out.
    """

    boundaries: tuple[int, ...]
    sizes: tuple[int, ...]
    skipped: RowRanges = NONE
    first: int = 0
    row: int = 0

    @functools.cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The stretches of equal steps, in order; a phase that no step begins in has none."""
        step, place = self.first, self.skipped.place(self.row)
        end = self.skipped.place(self.boundaries[-1])
        found = []
        for phase, (size, boundary) in enumerate(zip(self.sizes, self.boundaries[1:], strict=True)):
            wanted = -(-(self.skipped.place(boundary) - place) // size)
            count = min(wanted, (end - place) // size)
            if count > 0:
                found.append(Piece(step, place, count, size, phase))
                step, place = step + count, place + count * size
            if count < wanted:  # its next batch isn't whole
                break
        return tuple(found)

    @functools.cached_property
    def total(self) -> int:
        """The number of the step after the last one."""
        return self.pieces[-1].step + self.pieces[-1].length if self.pieces else self.first

    @functools.cached_property
    def _firsts(self) -> list[int]:
        return [piece.step for piece in self.pieces]

    @property
    def of_phases(self) -> list[int]:
        """Steps of each phase with nothing left out; the last one's last needn't be whole."""
        place, counts = 0, []
        for size, boundary in zip(self.sizes, self.boundaries[1:], strict=True):
            counts.append(max(0, -(-(boundary - place) // size)))
            place += counts[-1] * size
        return counts

    def _piece(self, step: int) -> Piece:
        if not self.first <= step < self.total:
            raise IndexError(f"step {step} of {self.first} to {self.total}")
        return self.pieces[bisect.bisect_right(self._firsts, step) - 1]

    def size(self, step: int) -> int:
        """Rows of a step."""
        return self._piece(step).size

    def sizes_from(self, step: int) -> list[int]:
        """The sizes of the steps from one on, in their order, each once."""
        return list(dict.fromkeys(p.size for p in self.pieces if p.step + p.length > step))

    def phase(self, step: int) -> int:
        """The phase that a step belongs to, its first row's."""
        return self._piece(step).phase

    def place(self, step: int) -> int:
        """Rows that are trained on before a step, or before the end."""
        if not self.pieces or step < self.total:
            return (
                self._place(self._piece(step), step)
                if self.pieces
                else self.skipped.place(self.row)
            )
        return self._place(self.pieces[-1], step)

    @staticmethod
    def _place(piece: Piece, step: int) -> int:
        return piece.place + (step - piece.step) * piece.size

    def rows(self, step: int) -> np.ndarray:
        """The rows of a step, int64 [B]."""
        piece = self._piece(step)
        return self.skipped.rows(self._place(piece, step) + np.arange(piece.size))

    def done(self, step: int) -> int:
        """The row that the run has come to before a step (or the end): one after its newest."""
        if step == self.first:
            return self.row
        return int(self.skipped.rows(np.array([self.place(step) - 1]))[0]) + 1

    def begin(self, step: int) -> int:
        """The first row of a step."""
        return int(self.skipped.rows(np.array([self.place(step)]))[0])

    def since(self, row: int) -> int:
        """The first step that begins at a row or after it, or the end."""
        place = self.skipped.place(row)
        for piece in self.pieces:
            number = max(0, -(-(place - piece.place) // piece.size))
            if number < piece.length:
                return piece.step + number
        return self.total

    def trained(self, row: int) -> int:
        """How many of the first `row` rows are trained on."""
        return self.skipped.place(row)

    def at(self, step: int, row: int) -> "Steps":
        """The steps of a run that has come to this place: these, where they pass it.

        So that a run that goes on computes with the same numbers wherever it was stopped.
        """
        passes = self.first <= step <= self.total and self.place(step) == self.skipped.place(row)
        return self if passes else dataclasses.replace(self, first=step, row=row)

    @functools.cached_property
    def plain(self) -> "Steps":
        """From row 0 on with nothing left out."""
        return Steps(self.boundaries, self.sizes)

    def pace(self, row: int) -> Fraction:
        """The step, with its fraction, that a row belongs to if nothing is left out."""
        pieces = self.plain.pieces
        places = [piece.place for piece in pieces]
        piece = pieces[max(bisect.bisect_right(places, row) - 1, 0)]
        return piece.step + Fraction(row - piece.place, piece.size)

    @functools.cached_property
    def offsets(self) -> tuple[tuple[int, Fraction], ...]:
        """What to add to a step for its pace: (step, offset from there on), the first one first."""
        found: list[tuple[int, Fraction]] = []
        for step in sorted(self._turns()):
            offset = self.pace(self.begin(step)) - step
            if not found or offset != found[-1][1]:
                found.append((step, offset))
        return tuple(found) or ((self.first, Fraction(0)),)

    def _turns(self) -> set[int]:
        """The steps from which on the offset may be another: it changes at no other."""
        pieces = self.plain.pieces
        kinks = [stop for _, stop in self.skipped.ranges] + [piece.place for piece in pieces]
        turns = {self.first, *map(self.since, kinks)}
        # Steps of a phase that begin where the plain run's last one of the phase before still is.
        ends = [piece.place for piece in pieces[1:]] + [self.boundaries[-1]]
        for piece, end in zip(pieces, ends, strict=True):
            turns |= set(range(self.since(self.boundaries[piece.phase + 1]), self.since(end)))
        return {step for step in turns if step < self.total}

    def alike(self, other: "Steps", paces: float) -> int:
        """How many of the first steps have the same size and the same pace, which is below `paces`."""
        steps = np.arange(min(self.total, other.total))
        sizes, paced = (
            np.not_equal(*(find(one, steps) for one in (self, other)))
            for find in (Steps._sizes, Steps.paces)
        )
        differs = sizes | paced | (self.paces(steps) >= paces)
        return int(np.argmax(differs)) if differs.any() else len(steps)

    def _sizes(self, steps: np.ndarray) -> np.ndarray:
        sizes = np.array([piece.size for piece in self.pieces])
        return sizes[np.searchsorted(self._firsts, steps, side="right") - 1]

    def paces(self, steps: np.ndarray) -> np.ndarray:
        """float64 [n]: the paces of steps [n]."""
        firsts, offsets = zip(*self.offsets, strict=True)
        which = np.searchsorted(firsts, steps, side="right") - 1
        return steps + np.array(offsets, float)[which]
