"""Test sets of benchmarks: what of them stands in a text, by n-grams, is refused and listed.

Windows of 8 words are looked up, of as many characters as 8 words have where no spaces stand; a text
goes when windows in a row cover 13 words of an item, or all of an item that is shorter. Texts under 8
words can't be told from chance alone, but two of one item can: a premise and its answer, each whole,
with at most 20 words between them. What is too short even for that is counted.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylm_jax.corpus import repetition, shingles
from polylm_jax.corpus.benchmarks import Benchmark
from polylm_jax.languages.registry import LANGUAGES, Language

WORDS, LEAST_WORDS = 13, 8  # GPT-3's 13; the least that is looked for by itself
TOGETHER, ANCHOR = 4.5, 3  # words of two short texts together, of the longer's start
PARTNER = 1.5  # words of the shorter of the two
GAP = 20  # words that may stand between the two: a question, or the wrong answer

Kind = tuple[bool, int]  # whether spaces stand between words, units of a word


class Index:
    """The test items, with words and with characters as units.

    Attributes:
        items: benchmark -> how many it has.
        skipped: benchmark -> items that are too short to be told from chance.
    """

    def __init__(self, benchmarks: Sequence[Benchmark]):
        self.names, self.skipped = [], {b.name: 0 for b in benchmarks}
        self.items = {b.name: 0 for b in benchmarks}
        languages = list(LANGUAGES.values())
        made = {kind: _Builder(kind) for kind in dict.fromkeys(map(_kind, languages))}
        for number, benchmark in enumerate(benchmarks):
            self.names.append(benchmark.name)
            kinds = [_kind(LANGUAGES[benchmark.language])] if benchmark.language else list(made)
            for texts in benchmark.items():
                self.items[benchmark.name] += 1
                added = [made[kind].add(texts, number) for kind in kinds]
                self.skipped[benchmark.name] += not any(added)
        self._tables = {kind: builder.table() for kind, builder in made.items()}

    def search(self, text: str, language: Language) -> str | None:
        """The benchmark that stands in a text, or None."""
        kind = _kind(language)
        windows, pairs = self._tables[kind]
        if not len(windows.hashes) and not len(pairs.starts):
            return None
        units = shingles.units(text, language.spaces)[0]
        owner = windows.search(units)
        owner = pairs.search(units) if owner is None else owner
        return None if owner is None else self.names[owner]


def _kind(language: Language) -> Kind:
    return language.spaces, repetition.word_size(language)


@dataclass(frozen=True)
class _Windows:
    """Windows of 8 words: sorted hashes, how many in a row are needed, whose they are."""

    size: int
    hashes: np.ndarray
    needed: np.ndarray
    owner: np.ndarray

    def search(self, units: np.ndarray) -> int | None:
        """The benchmark whose windows stand in a row in these units as often as needed, or None."""
        grams = shingles.ngrams(units, self.size)
        if not len(self.hashes) or not len(grams):
            return None
        place = np.minimum(np.searchsorted(self.hashes, grams), len(self.hashes) - 1)
        hit = self.hashes[place] == grams
        if not hit.any():
            return None
        edges = np.flatnonzero(np.diff(np.concatenate([[0], hit.astype(np.int8), [0]])))
        for start, end in zip(edges[::2], edges[1::2]):
            wanted = self.needed[place[start:end]]
            if end - start >= wanted.min():
                return int(self.owner[place[start + int(wanted.argmin())]])
        return None


@dataclass(frozen=True)
class _Pairs:
    """Two short texts of an item each: the longer is found by its start, the shorter beside it.

    Attributes:
        anchor, gap: units of a start, and most between the two.
        starts: uint64 [starts], sorted. first: int [starts + 1], whose entries are which.
        entries: int64 [entries, 3] of the longer's and the shorter's length and the benchmark's
            number. hashes: uint64 [entries, 2] of both texts.
    """

    anchor: int
    gap: int
    starts: np.ndarray
    first: np.ndarray
    entries: np.ndarray
    hashes: np.ndarray

    def search(self, units: np.ndarray) -> int | None:
        """The benchmark whose two texts stand near each other in these units, or None."""
        grams = shingles.ngrams(units, self.anchor)
        if not len(self.starts) or not len(grams):
            return None
        found = np.minimum(np.searchsorted(self.starts, grams), len(self.starts) - 1)
        at = np.flatnonzero(self.starts[found] == grams)
        counts = self.first[found[at] + 1] - self.first[found[at]]
        place = np.repeat(at, counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        entry = np.repeat(self.first[found[at]], counts) + within
        ends = place + self.entries[entry, 0]
        fits = ends <= len(units)
        place, entry, ends = place[fits], entry[fits], ends[fits]
        whole = shingles.spans(units, place, ends) == self.hashes[entry, 0]
        for start, number, end in zip(place[whole], entry[whole], ends[whole]):
            if self._beside(units, int(start), int(end), number):
                return int(self.entries[number, 2])
        return None

    def _beside(self, units: np.ndarray, start: int, end: int, number: int) -> bool:
        size = int(self.entries[number, 1])
        before = units[max(0, start - self.gap - size) : start]
        after = units[end : end + self.gap + size]
        return any(
            (shingles.ngrams(u, size) == self.hashes[number, 1]).any() for u in (before, after)
        )


class _Builder:
    """Collects the texts of all items for one kind of units."""

    def __init__(self, kind: Kind):
        self.spaces, self.word = kind
        self.windows: list[tuple[np.ndarray, int, int]] = []  # hashes, needed in a row, owner
        self.pairs: dict[int, list[tuple[int, int, int, int, int]]] = defaultdict(list)

    def add(self, texts: Sequence[str], owner: int) -> bool:
        """Whether anything of an item can be searched for."""
        units = [shingles.units(text, self.spaces)[0] for text in texts]
        size, added = LEAST_WORDS * self.word, False
        for long in (u for u in units if len(u) >= size):
            needed = min(WORDS * self.word, len(long)) - size + 1
            self.windows.append((shingles.ngrams(long, size), needed, owner))
            added = True
        short = [u for u in units if PARTNER * self.word <= len(u) < size]
        for first, one in enumerate(short):
            for other in short[first + 1 :]:
                shorter, longer = sorted((one, other), key=len)
                added |= self._pair(shorter, longer, owner)
        return added

    def _pair(self, shorter: np.ndarray, longer: np.ndarray, owner: int) -> bool:
        if len(longer) < ANCHOR * self.word or len(shorter) + len(longer) < TOGETHER * self.word:
            return False
        start = int(shingles.ngrams(longer, ANCHOR * self.word)[0])
        of_longer, of_shorter = (int(shingles.ngrams(u, len(u))[0]) for u in (longer, shorter))
        self.pairs[start].append((len(longer), len(shorter), owner, of_longer, of_shorter))
        return True

    def table(self) -> tuple[_Windows, _Pairs]:
        return self._windows(), self._pairs()

    def _windows(self) -> _Windows:
        size, nothing = LEAST_WORDS * self.word, np.zeros(0, np.int64)
        if not self.windows:
            return _Windows(size, np.zeros(0, np.uint64), nothing, nothing)
        hashes = np.concatenate([grams for grams, _, _ in self.windows])
        lengths = [len(grams) for grams, _, _ in self.windows]
        needed, owner = (np.repeat([w[n] for w in self.windows], lengths) for n in (1, 2))
        order = np.lexsort((needed, hashes))
        hashes, needed, owner = hashes[order], needed[order], owner[order]
        first = np.concatenate([[True], hashes[1:] != hashes[:-1]])
        return _Windows(size, hashes[first], needed[first], owner[first])

    def _pairs(self) -> _Pairs:
        starts = sorted(self.pairs)
        rows = [row for start in starts for row in sorted(set(self.pairs[start]))]
        counts = [len(set(self.pairs[start])) for start in starts]
        return _Pairs(
            ANCHOR * self.word,
            GAP * self.word,
            np.array(starts, np.uint64),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.array([row[:3] for row in rows], np.int64).reshape(-1, 3),
            np.array([row[3:] for row in rows], np.uint64).reshape(-1, 2),
        )


@functools.lru_cache(maxsize=1)
def index_of(benchmarks: tuple[Benchmark, ...]) -> Index:
    """The index of some benchmarks, made once in a process."""
    return Index(benchmarks)
