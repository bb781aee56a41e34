"""How alike instructions are: ROUGE-L's F, and a pool that is asked without being read through.

For texts of m and n segments whose longest common subsequence has L, F = 2 L / (m + n). L is no more
than the segments that both have, in whatever order: an index of who has what counts those for the
whole pool at once, and only where they would be enough is L itself computed.
"""

from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel, LCSseq

from polylm_jax.languages.words import segments

_SURROGATES, _SURROGATE_COUNT, _POINTS = 0xD800, 0x800, 0x110000


def rouge_l(first: str, second: str, language: str = "en") -> float:
    """ROUGE-L's F of two texts, 0 to 1; 0 where one has no segments."""
    one, other = segments(first, language), segments(second, language)
    return similarity(one, other)


def similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """The same of segments."""
    if not one or not other:
        return 0.0
    return 2 * LCSseq.similarity(one, other) / (len(one) + len(other))


class Pool:
    """Texts of one language that a new one is compared with.

    threshold: the F from which on two texts are alike.
    """

    def __init__(self, language: str, threshold: float = 0.7):
        self.language, self.threshold = language, threshold
        self._letters: dict[str, str] = {}  # a segment -> the character that stands for it
        self._texts: list[str] = []  # a character per segment: what rapidfuzz compares fastest
        self._lengths = array("q")
        self._holders: dict[tuple[str, int], array] = {}  # (segment, its n-th time) -> texts

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """One more text."""
        written, number = self._written(text, True), len(self._texts)
        for item in _items(written):
            self._holders.setdefault(item, array("q")).append(number)
        self._texts.append(written)
        self._lengths.append(len(written))

    def closest(self, text: str) -> tuple[float, int] | None:
        """(F, number) of the text that is most like this one, None where all are below the threshold."""
        written = self._written(text, False)
        numbers = self._possible(written)
        choices = [self._texts[number] for number in numbers]
        best = process.extractOne(
            written,
            choices,
            scorer=Indel.normalized_similarity,  # 1 - (m + n - 2 L) / (m + n): the same F
            # The threshold itself is in, however it rounds: with 1e-9 rapidfuzz still leaves it out
            # at times. Below 100,000 segments no other F is that near.
            score_cutoff=self.threshold - 1e-6,
        )
        return None if best is None else (best[1], int(numbers[best[2]]))

    def _possible(self, written: str) -> np.ndarray:
        """int64: the texts that have enough segments in common with this one, in order."""
        held = [self._holders[item] for item in _items(written) if item in self._holders]
        if not held:
            return np.zeros(0, np.int64)
        numbers = np.concatenate([np.frombuffer(one, np.int64) for one in held])
        common = np.bincount(numbers, minlength=len(self))
        lengths = np.frombuffer(self._lengths, np.int64)
        enough = 2 * common >= self.threshold * (lengths + len(written)) - 1e-9
        return np.flatnonzero(enough & (common > 0))

    def _written(self, text: str, new: bool) -> str:
        """A character per segment; one of a segment that no text has stands for all such."""
        letters, found = self._letters, []
        for segment in segments(text, self.language):
            letter = letters.get(segment)
            if letter is None and new:
                point = len(letters) + 1
                point += _SURROGATE_COUNT * (point >= _SURROGATES)
                if point >= _POINTS:
                    raise OverflowError(f"{len(letters)} different segments in {self.language}")
                letter = letters[segment] = chr(point)
            found.append(letter or "\0")
        return "".join(found)


def _items(written: str) -> list[tuple[str, int]]:
    """Each segment with how often it came before: what two texts share is their common items."""
    seen: Counter[str] = Counter()
    items = []
    for letter in written:
        items.append((letter, seen[letter]))
        seen[letter] += 1
    return items
