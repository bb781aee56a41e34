"""Test sets of benchmarks: what of them stands in a text, by n-grams, is refused and listed.

Windows of 8 words are looked up, of as many characters as 8 words have where no spaces stand; a text
goes when windows in a row cover 13 words of an item, or all of an item that is shorter. Items under 8
words can't be told from chance: each is tried together with the item's next field, and counted where
that is short, too.
"""

import csv
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylm_jax.corpus import repetition, shingles
from polylm_jax.corpus.sources import Source, files_of
from polylm_jax.errors import InputError
from polylm_jax.languages.registry import LANGUAGES, Language

WORDS, LEAST_WORDS = 13, 8  # GPT-3's 13; the least that is looked for


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's files: JSONL, or TSV without a header.

    Attributes:
        name: what reports call it.
        files: paths or globs.
        fields: whose texts are looked for: names of a JSONL record, column numbers of a TSV.
    """

    name: str
    files: tuple[str, ...]
    fields: tuple[str | int, ...]

    def items(self) -> Iterator[list[str]]:
        """The texts of each record, in the order of `fields`."""
        for path, _ in files_of(Source(f"BENCHMARKS {self.name}", self.files)):
            with open(path, encoding="utf-8", newline="") as file:
                tsv = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                for number, row in enumerate(tsv if path.endswith(".tsv") else file):
                    yield self._texts(path, number, row)

    def _texts(self, path: str, number: int, row) -> list[str]:
        try:
            record = row if isinstance(row, list) else json.loads(row)
            return [str(record[name]) for name in self.fields]
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(
                f"BENCHMARKS[{self.name!r}]: record {number + 1} of {os.path.basename(path)} lacks "
                f"a field of {self.fields} ({error})."
            ) from error


def benchmarks_of(given: Mapping[str, Mapping], data_dir: str) -> list[Benchmark]:
    """{'xcopa': {'files': glob, 'fields': [...]}} -> the benchmarks."""
    found = []
    for name, what in given.items():
        if set(what) != {"files", "fields"} or not what["fields"]:
            raise InputError(f"BENCHMARKS[{name!r}] needs 'files' and 'fields', and nothing else.")
        files = (what["files"],) if isinstance(what["files"], str) else what["files"]
        paths = tuple(os.path.join(data_dir, path) for path in files)
        found.append(Benchmark(name, paths, tuple(what["fields"])))
    return found


class Index:
    """The windows of all test items, with words and with characters as units.

    Attributes:
        skipped: benchmark -> items that are too short to be told from chance.
    """

    def __init__(self, benchmarks: Sequence[Benchmark]):
        self.names, self.skipped = [], {b.name: 0 for b in benchmarks}
        self.items = {b.name: 0 for b in benchmarks}
        kinds = dict.fromkeys(_kind(language) for language in LANGUAGES.values())
        found: dict[Kind, list[tuple[np.ndarray, int, int]]] = {kind: [] for kind in kinds}
        for number, benchmark in enumerate(benchmarks):
            self.names.append(benchmark.name)
            for texts in benchmark.items():
                self.items[benchmark.name] += 1
                if not self._add(texts, number, found):
                    self.skipped[benchmark.name] += 1
        self._tables = {kind: _table(entries) for kind, entries in found.items()}

    @staticmethod
    def _add(texts: list[str], number: int, found: dict) -> bool:
        added = False
        for (spaces, word), entries in found.items():
            least, most = LEAST_WORDS * word, WORDS * word
            for text in _long_enough(texts, spaces, least):
                units = shingles.units(text, spaces)[0]
                grams = shingles.ngrams(units, least)
                needed = min(most, len(units)) - least + 1  # windows in a row
                entries.append((grams, needed, number))
                added = True
        return added

    def search(self, text: str, language: Language) -> str | None:
        """The benchmark that stands in a text, or None."""
        spaces, word = _kind(language)
        hashes, needed, owner = self._tables[spaces, word]
        if not len(hashes):
            return None
        grams = shingles.ngrams(shingles.units(text, spaces)[0], LEAST_WORDS * word)
        place = np.minimum(np.searchsorted(hashes, grams), len(hashes) - 1)
        hit = hashes[place] == grams
        if not hit.any():
            return None
        edges = np.flatnonzero(np.diff(np.concatenate([[0], hit.astype(np.int8), [0]])))
        for start, end in zip(edges[::2], edges[1::2]):
            wanted = needed[place[start:end]]
            if end - start >= wanted.min():
                return self.names[owner[place[start + int(wanted.argmin())]]]
        return None


Kind = tuple[bool, int]  # whether spaces stand between words, units of a word


def _kind(language: Language) -> Kind:
    return language.spaces, repetition.word_size(language)


def _long_enough(texts: list[str], spaces: bool, least: int) -> Iterator[str]:
    """Each text, with those after it as long as it is too short by itself."""
    for first in range(len(texts)):
        for last in range(first + 1, len(texts) + 1):
            joined = " ".join(texts[first:last])
            if len(shingles.units(joined, spaces)[0]) >= least:
                yield joined
                break


def _table(entries: list[tuple[np.ndarray, int, int]]) -> tuple[np.ndarray, ...]:
    """(sorted hashes, windows in a row that are needed, benchmark's number), the least needed first."""
    if not entries:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    hashes = np.concatenate([grams for grams, _, _ in entries])
    needed = np.repeat([n for _, n, _ in entries], [len(grams) for grams, _, _ in entries])
    owner = np.repeat([o for _, _, o in entries], [len(grams) for grams, _, _ in entries])
    order = np.lexsort((needed, hashes))
    hashes, needed, owner = hashes[order], needed[order], owner[order]
    first = np.concatenate([[True], hashes[1:] != hashes[:-1]])
    return hashes[first], needed[first], owner[first]


@functools.lru_cache(maxsize=1)
def index_of(benchmarks: tuple[Benchmark, ...]) -> Index:
    """The index of some benchmarks, made once in a process."""
    return Index(benchmarks)
