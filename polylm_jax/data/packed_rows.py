"""Rows of whole conversations: which example stands where, and what of it is learned.

A component's examples are packed into rows once, when its store is opened; the mixture then draws
rows as in pretraining, so that shares are shares of rows of equal length.

Shapes: n rows asked for, L labels of a row (it has L + 1 tokens), E examples, R packed rows.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from polylm_jax.data.packing import in_rows
from polylm_jax.data.rows import TRAIN, VALIDATION, Rows
from polylm_jax.data.stores.store import ANSWER, BEGINS, MARKS, REJECTED, TokenStore
from polylm_jax.errors import InputError

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Packed:
    """The examples of one split of a store, in rows.

    tokens int32, answer bool: the store's, one after the other. begins int64 [E + 1].
    starts [R + 1], examples: row r holds examples[starts[r]:starts[r + 1]].
    too_long: examples that no row holds; they are left out.
    """

    tokens: np.ndarray
    answer: np.ndarray
    begins: np.ndarray
    starts: np.ndarray
    examples: np.ndarray
    too_long: int

    @classmethod
    def read(
        cls,
        store: TokenStore,
        split: str,
        length: int,
        together: bool = True,
        most: int | None = None,
    ) -> Self:
        """The split's examples in rows of `length` + 1 tokens; one to a row unless `together`.

        most: so many of them at most, spread over the split.
        """
        tokens, marks = (whole(store, name) for name in (split, split + MARKS))
        firsts, own = cls.found(marks, store.manifest.task)
        begins = np.append(firsts, len(tokens))
        starts, order, too_long = in_rows(np.diff(begins), length + 1, together, most)
        return cls(tokens, (marks & ANSWER) > 0, begins, starts, order, too_long, **own)

    @classmethod
    def found(cls, marks: np.ndarray, task: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(where examples begin, what else a subclass keeps); InputError for other data than these."""
        if np.any(marks & REJECTED):
            raise InputError(
                f"task {task!r} is pairs of answers, of which one is rejected: tune on it with "
                "`run.py dpo`."
            )
        return np.flatnonzero(marks & BEGINS), {}

    @property
    def num_rows(self) -> int:
        return len(self.starts) - 1

    def fill(self, length: int) -> float:
        """The share of all places that hold a token."""
        sizes = np.diff(self.begins)[self.examples]
        return float(sizes.sum() / max(self.num_rows * (length + 1), 1))

    def rows(self, rows: np.ndarray, length: int, padding: int) -> Arrays:
        """Packed rows [n]: `tokens` int32 [n, L+1], `segments`, `positions` and `answer` likewise.

        segments count a row's examples from 1 and are 0 where nothing stands; positions begin at 0
        in each example.
        """
        shape = (len(rows), length + 1)
        tokens = np.full(shape, padding, np.int32)
        segments, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        answer = np.zeros(shape, bool)
        for number, row in enumerate(np.asarray(rows).tolist()):
            at = 0
            for segment, example in enumerate(self.examples[slice(*self.starts[row : row + 2])], 1):
                begin, end = self.begins[example : example + 2]
                here = np.s_[number, at : at + end - begin]
                tokens[here], answer[here] = self.tokens[begin:end], self.answer[begin:end]
                segments[here], positions[here] = segment, np.arange(end - begin)
                at += end - begin
        return {"tokens": tokens, "segments": segments, "positions": positions, "answer": answer}


def model_inputs(rows: Arrays, on_all: bool = False) -> Arrays:
    """What the train step takes beside tokens [n, L+1]: weights and packing, [n, L].

    A label counts where it is of the same example as the token before it and, unless `on_all`,
    part of an answer.
    """
    segments = rows["segments"]
    same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
    learned = same if on_all else same & rows["answer"][:, 1:]
    return {
        "weights": learned.astype(np.float32),
        "positions_BT": rows["positions"][:, :-1],
        "segment_ids_BT": segments[:, :-1],
    }


@dataclasses.dataclass(frozen=True)
class PackedRows(Rows):
    """`data.Rows` of packed conversations.

    padding: the token where nothing stands. on_all: questions are learned too. together: several
    conversations to a row. also: stores that are validated beside those that are trained on.
    held_out_examples: of each component at most, that are validated.
    """

    padding: int = 0
    on_all: bool = False
    together: bool = True
    also: Mapping[str, TokenStore] = dataclasses.field(default_factory=dict)
    held_out_examples: int = 500

    what: ClassVar[str] = "conversations"
    kept: ClassVar[type[Packed]] = Packed
    packing = MappingProxyType(
        {"weights": np.float32, "positions_BT": np.int32, "segment_ids_BT": np.int32}
    )

    def __post_init__(self):
        for name, store in self.validated.items():
            if not store.num_tokens(TRAIN + MARKS):
                raise InputError(
                    f"task {name!r} is no conversations: its store says of no token whether it is "
                    "part of an answer; register it with tasks.instructions.tuning."
                )
        for name in self.stores:
            if not self.stored_rows(name):
                raise InputError(
                    f"task {name!r} has no conversation that fits a row of {self.length} + 1 "
                    "tokens: lengthen the rows or set its share to 0."
                )
        super().__post_init__()

    @property
    def validated(self) -> Mapping[str, TokenStore]:
        return {**self.stores, **self.also}

    def held_out(self, component: str, max_rows: int) -> dict[str, np.ndarray]:
        """The first `max_rows` packed rows of a component's held-out conversations."""
        found = self._held_out(component, max_rows)
        return {"counted": found.pop("weights") > 0, **found}

    def _held_out(self, component: str, max_rows: int) -> dict[str, np.ndarray]:
        packed = self.kept.read(
            self.validated[component], VALIDATION, self.length, self.together,
            most=self.held_out_examples,
        )  # fmt: skip
        rows = np.arange(min(packed.num_rows, max_rows))
        return self._step_inputs(component, VALIDATION, packed, rows)

    def _step_inputs(
        self, component: str, split: str, packed: Any, rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        """What the train step takes of packed rows [n] of a component: tokens [n, L+1] and `packing`."""
        found = packed.rows(rows, self.length, self.padding)
        return {"tokens": found["tokens"], **model_inputs(found, self.on_all)}

    def notes(self) -> Iterator[str]:
        for name, packed in sorted(self.packed.items()):
            line = (
                f"{name}: {len(packed.examples):,} {self.what} in {packed.num_rows:,} rows, "
                f"{packed.fill(self.length):.1%} full{self.learned(packed)}"
            )
            if packed.too_long:
                line += f"; {packed.too_long:,} longer than a row, left out"
            yield line
            yield from self._left_out(name)

    def learned(self, packed: Packed) -> str:
        """How many tokens are learned, where that is worth a word."""
        return f", {'all' if self.on_all else f'{packed.answer.mean():.0%}'} of the tokens learned"

    def _left_out(self, name: str) -> Iterator[str]:
        """Sentences about what of a component's data was left out, or isn't read."""
        for reason, count in sorted(self.stores[name].manifest.refused.items()):
            yield f"{name}: {count:,} left out, {reason}"
        for what, count in sorted(self.stores[name].manifest.unread.items()):
            yield f"{name}: {count:,} have {what}, which isn't read"

    @functools.cached_property
    def packed(self) -> Mapping[str, Any]:
        """The packed examples of each component, in memory: of the class `kept`."""
        return {
            name: self.kept.read(store, TRAIN, self.length, self.together)
            for name, store in self.stores.items()
        }

    def stored_rows(self, component: str) -> int:
        return self.packed[component].num_rows

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens int32 [n, L+1], component int32 [n]) of any rows int64 [n] of the run."""
        inputs = self.inputs(rows)
        return inputs["tokens"], inputs["component"]

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Tokens and component, and the `packing` of each label or token, [n, L]."""
        component, _, store_row = self.located(rows)
        arrays: dict[str, np.ndarray] = {}
        for number in np.unique(component).tolist():
            here = np.flatnonzero(component == number)
            name = self.schedule.components[number]
            found = self._step_inputs(name, TRAIN, self.packed[name], store_row[here])
            for key, values in found.items():
                shape = (len(component), *values.shape[1:])
                arrays.setdefault(key, np.zeros(shape, values.dtype))[here] = values
        return {"tokens": arrays.pop("tokens"), "component": component, **arrays}


def whole(store: TokenStore, split: str) -> np.ndarray:
    """All tokens of a split, int32."""
    count = store.num_tokens(split)
    if count < 2:
        return np.zeros(0, np.int32)
    return store.read_rows(split, np.zeros(1, np.int64), count - 1)[0]
