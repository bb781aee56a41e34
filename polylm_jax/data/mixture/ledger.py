"""How many tokens of what: planned and realised, per component and per language, at any row.

A row stands for L tokens, its labels. Nothing needs to be trained or read: realised counts follow
from the schedule, or come from the rows that were delivered (`recount`), which must agree.

    row 8, L = 100, components en 0.75 and en-th 0.25 (its store: 60 % Thai, 40 % English)
    component en  600 tokens, en-th 200        language en  600 + 80, th 120
"""

import dataclasses
import types
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from polylm_jax.data.mixture.row_ranges import NONE, RowRanges
from polylm_jax.data.mixture.schedule import Schedule
from polylm_jax.data.stores.store import TokenStore

TRAIN = "train"
UNKNOWN = "und"  # the language of a component whose store isn't there


@dataclasses.dataclass(frozen=True)
class ComponentLine:
    """One component: tokens planned and realised; its store's tokens, rows, and times it is read.

    skipped_tokens: of the planned ones, those of rows that are left out.
    read_rows: those that an epoch reads, all of the store unless the run repeats as a longer one.
    The last four are None without a store, `epochs` also for a store shorter than one row.
    """

    component: str
    language: str
    planned_tokens: float
    tokens: int
    skipped_tokens: int
    stored_tokens: int | None
    stored_rows: int | None
    read_rows: int | None
    epochs: float | None


@dataclasses.dataclass(frozen=True)
class LanguageLine:
    """One language: tokens planned and realised, and the realised ones from pairs.

    A pair's component, or any of several languages, counts for each by its part of the store's
    tokens; the words of a pair's template count for the pair ('en-th').
    """

    language: str
    planned_tokens: float
    tokens: float
    from_pairs: float


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The ledger of the first `row` rows of a run, of `length` tokens each."""

    row: int
    length: int
    components: tuple[ComponentLine, ...]
    languages: tuple[LanguageLine, ...]

    @property
    def tokens(self) -> int:
        """All realised tokens."""
        return sum(line.tokens for line in self.components)

    @property
    def skipped_tokens(self) -> int:
        """All of rows that are left out."""
        return sum(line.skipped_tokens for line in self.components)

    def as_dict(self) -> dict:
        """The same for JSON."""
        return dataclasses.asdict(self)

    def as_line(self) -> dict:
        """The same by name: a line of ledger.jsonl, whose numbers are curves in TensorBoard."""

        def by(field: str, lines: Sequence) -> dict[str, dict]:
            numbers = [dataclasses.asdict(line) for line in lines]
            if not self.skipped_tokens:
                numbers = [
                    {n: v for n, v in line.items() if n != "skipped_tokens"} for line in numbers
                ]
            return {line.pop(field): line for line in numbers}

        components, languages = by("component", self.components), by("language", self.languages)
        return {"rows": self.row, "components": components, "languages": languages}


def ledger(
    schedule: Schedule,
    stores: Mapping[str, TokenStore],
    length: int,
    row: int,
    realised: Sequence[int] | None = None,
    epoch_rows: Mapping[str, int] = types.MappingProxyType({}),
    skipped: RowRanges = NONE,
) -> Ledger:
    """The ledger at a row; for step s of batch size B that is row s * B.

    stores: those that are there; a component may lack one. realised [C]: rows of each component
    as counted from batches (`recount`); by default what the schedule says. epoch_rows: component ->
    rows that an epoch reads; by default those of its store. skipped: rows that are left out.
    """
    planned, left_out = schedule.planned(row), left_out_rows(schedule, skipped, row)
    counted = schedule.counts(row) - left_out if realised is None else realised
    components = []
    numbers = zip(schedule.components, planned, counted, left_out, strict=True)
    for name, planned_rows, rows, left in numbers:
        store = stores.get(name)
        stored_rows = store.num_rows(TRAIN, length) if store else None
        read_rows = epoch_rows.get(name, stored_rows)
        components.append(
            ComponentLine(
                component=name,
                language=store.language if store else UNKNOWN,
                planned_tokens=float(planned_rows * length),
                tokens=int(rows) * length,
                skipped_tokens=int(left) * length,
                stored_tokens=store.num_tokens(TRAIN) if store else None,
                stored_rows=stored_rows,
                read_rows=read_rows,
                epochs=int(rows) / read_rows if read_rows else None,
            )
        )
    return Ledger(row, length, tuple(components), _by_language(components, stores))


def _by_language(
    components: Sequence[ComponentLine], stores: Mapping[str, TokenStore]
) -> tuple[LanguageLine, ...]:
    sums: dict[str, np.ndarray] = {}  # planned, realised, realised from components of several
    for line in components:
        parts = _parts(line.language, stores.get(line.component))
        for language, part in parts.items():
            pairs = line.tokens if len(parts) > 1 else 0
            tokens = part * np.array([line.planned_tokens, line.tokens, pairs])
            sums[language] = sums.get(language, 0) + tokens
    return tuple(LanguageLine(name, *sums[name].tolist()) for name in sorted(sums))


def _parts(language: str, store: TokenStore | None) -> dict[str, float]:
    """Language -> its part of a store's training tokens; '' (a template's words) is the store's."""
    if store is None or not store.num_tokens(TRAIN):
        return {language: 1.0}
    counts = store.manifest.splits[TRAIN].tokens_by_language
    total = sum(counts.values())
    return {name or language: count / total for name, count in counts.items()}


def left_out_rows(schedule: Schedule, skipped: RowRanges, row: int) -> np.ndarray:
    """int64 [C]: of the first `row` rows of each component, those that are left out."""
    counts = np.zeros(len(schedule.components), np.int64)
    for first, stop in skipped.up_to(row).ranges:
        counts += schedule.counts(stop) - schedule.counts(first)
    return counts


def recount(schedule: Schedule, components: Iterable[np.ndarray]) -> np.ndarray:
    """int64 [C]: rows of each component in the `component` arrays of delivered batches."""
    counts = np.zeros(len(schedule.components), np.int64)
    for component in components:
        counts += np.bincount(np.asarray(component), minlength=len(counts))
    return counts


def epochs(
    schedule: Schedule, num_rows: Mapping[str, int], row: int | None = None
) -> dict[str, float]:
    """Component -> how often its store is read in the first `row` rows (by default in all).

    num_rows: component -> rows of its store; a component that lacks one, or has 0, is left out.
    """
    counts = schedule.counts(schedule.total_rows if row is None else row)
    return {
        name: int(count) / num_rows[name]
        for name, count in zip(schedule.components, counts)
        if num_rows.get(name)
    }


def warnings(epochs: Mapping[str, float], limit: float) -> list[str]:
    """A sentence for each component that is read more than `limit` times, the most read first."""
    return [
        f"{name} is read {times:.1f} times, more than {limit:g}: lower its share or add text."
        for name, times in sorted(epochs.items(), key=lambda item: -item[1])
        if times > limit
    ]
