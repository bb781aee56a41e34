"""How much of a text says again what it said before: lines, paragraphs and n-grams (Gopher, table A1).

Where spaces stand between words an n-gram is of words; elsewhere it is of characters, n times as
many as a word has in that script, so that the same thresholds mean about the same.
"""

import re

import numpy as np

from polylm_jax.corpus import shingles
from polylm_jax.languages.registry import Language

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
# Units of a word where a unit isn't one: about 1.6 characters in Chinese, 3 in Japanese, 4 in Thai.
# Khmer, Lao and Burmese after Thai, by the characters per English word of the Declaration of Human
# Rights' first article: Thai 5.1 (all of it), Khmer 6.0, Lao 4.3, Burmese 7.8.
UNITS_OF_A_WORD = {"Hans": 2, "Hant": 2, "Jpan": 3, "Thai": 4, "Khmr": 5, "Laoo": 4, "Mymr": 6}
SYLLABLES_APART = {"vi": 2}  # spaces stand between syllables
_BLANK = re.compile(r"\n\s*\n")


def word_size(language: Language) -> int:
    """Units of an n-gram per word: 1 where a unit is a word."""
    if language.spaces:
        return SYLLABLES_APART.get(language.code, 1)
    return UNITS_OF_A_WORD.get(language.script, 3)


def repeated_parts(parts: list[str]) -> tuple[float, float]:
    """(share of parts that stood before, share of their characters), each 0 to 1."""
    seen, again, characters = set(), 0, 0
    for part in parts:
        again, characters = (
            (again + 1, characters + len(part)) if part in seen else (again, characters)
        )
        seen.add(part)
    total = sum(map(len, parts))
    return (again / len(parts), characters / total) if total else (0.0, 0.0)


def lines(text: str) -> list[str]:
    """The lines that say something, without the space around them."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def paragraphs(text: str) -> list[str]:
    """What blank lines part."""
    return [part.strip() for part in _BLANK.split(text) if part.strip()]


def top_ngram(hashes: np.ndarray, lengths: np.ndarray, n: int) -> float:
    """Characters in the commonest n-gram's occurrences / all characters; 0 if it stands but once."""
    grams = shingles.ngrams(hashes, n)
    if len(grams) < 2:
        return 0.0
    ordered, edge = np.sort(grams), np.ones(len(grams) + 1, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=edge[1:-1])
    edges = np.flatnonzero(edge)
    counts = edges[1:] - edges[:-1]
    top = int(counts.argmax())
    if counts[top] < 2:
        return 0.0
    first = int((grams == ordered[edges[top]]).argmax())
    size = lengths[first : first + n].sum()
    return min(1.0, float(size * counts[top] / lengths.sum()))


def duplicate_ngrams(hashes: np.ndarray, lengths: np.ndarray, n: int) -> float:
    """Characters inside n-grams that stood before / all characters, none counted twice."""
    grams = shingles.ngrams(hashes, n)
    if len(grams) < 2:
        return 0.0
    ordered = np.sort(grams)
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(several):
        return 0.0
    # np.unique(grams, return_index=True) says the same; few stand twice, so few are sorted by place.
    place = np.searchsorted(several, grams)
    at = np.flatnonzero(several[np.minimum(place, len(several) - 1)] == grams)
    again = np.zeros(len(grams), bool)
    again[at] = True
    again[at[np.unique(grams[at], return_index=True)[1]]] = False
    edges = np.zeros(len(hashes) + 1, np.int64)
    starts = np.flatnonzero(again)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + n, -1)
    covered = np.cumsum(edges[:-1]) > 0
    return float(lengths[covered].sum() / lengths.sum())
