"""Rows of pairs: one question with a chosen and a rejected answer, whole pairs packed into each row.

Both answers of a pair stand in one row, each after its question, as two segments that don't see each
other, so that a row's loss needs no other row: shares, microbatches and resumption are as always.

Shapes: n rows asked for, L labels of a row (it has L + 1 tokens), E pairs, R packed rows.
"""

import dataclasses
from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from polylm_jax.data.packed_rows import Arrays, Packed, PackedRows
from polylm_jax.data.stores.store import BEGINS, REJECTED
from polylm_jax.errors import InputError

# (component, split) -> float32 [E]: log p(chosen) - log p(rejected) of the reference, in nats.
References = Callable[[str, str], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Pairs(Packed):
    """The pairs of one split of a store, in rows: each is an example of two answers.

    rejected int64 [E]: where the rejected answer's question begins.
    """

    rejected: np.ndarray

    @classmethod
    def found(cls, marks: np.ndarray, task: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        first = (marks & BEGINS > 0) & (marks & REJECTED == 0)
        second = (marks & BEGINS > 0) & (marks & REJECTED > 0)
        if first.sum() != second.sum():
            raise InputError(
                f"task {task!r} is no pairs of answers: register it with "
                "tasks.instructions.preferences."
            )
        return np.flatnonzero(first), {"rejected": np.flatnonzero(second)}

    def __len__(self) -> int:
        """Pairs of the split, also those that no row holds."""
        return len(self.rejected)

    def rows(
        self, rows: np.ndarray, length: int, padding: int, reference_E: np.ndarray | None = None
    ) -> Arrays:
        """What the train step takes of packed rows [n]: tokens int32 [n, L+1], and [n, L] of each label

        weights      1 in a chosen answer, -1 in a rejected one, else 0
        pair_BL      which of the row's pairs it is of, from 1; 0 where nothing stands
        reference_BL the reference's margin, at the first label of its pair, else 0
        positions_BT, segment_ids_BT   as of packed conversations: two segments to a pair
        """
        n = len(rows)
        tokens = np.full((n, length + 1), padding, np.int32)
        segments, positions, pair = (np.zeros((n, length + 1), np.int32) for _ in range(3))
        sign, reference = (np.zeros((n, length + 1), np.float32) for _ in range(2))
        for number, row in enumerate(np.asarray(rows).tolist()):
            at = 0
            for count, example in enumerate(self.examples[slice(*self.starts[row : row + 2])], 1):
                begin, middle, end = self.begins[example], self.rejected[example], self.begins[example + 1]  # fmt: skip
                if reference_E is not None:
                    reference[number, at + 1] = reference_E[example]
                pair[number, at : at + end - begin] = count
                for segment, value, start, stop in (
                    (2 * count - 1, 1.0, begin, middle), (2 * count, -1.0, middle, end),
                ):  # fmt: skip
                    here = np.s_[number, at : at + stop - start]
                    tokens[here], segments[here] = self.tokens[start:stop], segment
                    positions[here] = np.arange(stop - start)
                    sign[here] = value * self.answer[start:stop]
                    at += stop - start
        same = segments[:, 1:] == segments[:, :-1]
        return {
            "tokens": tokens,
            "weights": sign[:, 1:] * same,
            "pair_BL": pair[:, 1:],
            "reference_BL": reference[:, 1:],
            "positions_BT": positions[:, :-1],
            "segment_ids_BT": segments[:, :-1],
        }


@dataclasses.dataclass(frozen=True)
class PreferenceRows(PackedRows):
    """`PackedRows` of pairs. references: the reference's margins, read when they are needed."""

    references: References | None = None

    packing = MappingProxyType(
        {
            "weights": np.float32,
            "pair_BL": np.int32,
            "reference_BL": np.float32,
            "positions_BT": np.int32,
            "segment_ids_BT": np.int32,
        }
    )

    what = "pairs"
    kept = Pairs

    def learned(self, packed: Packed) -> str:
        return ""

    def held_out(self, component: str, max_rows: int) -> dict[str, np.ndarray]:
        """The first `max_rows` packed rows of a component's held-out pairs; chosen answers count."""
        found = self._held_out(component, max_rows)
        return {"counted": found["weights"] > 0, **found}

    def _step_inputs(
        self, component: str, split: str, packed: Pairs, rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        assert self.references is not None  # given with what reads rows
        margins = self.references(component, split)
        return dict(packed.rows(rows, self.length, self.padding, margins))
