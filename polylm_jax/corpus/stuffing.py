"""Text for search engines and no readers: a few keywords over and over, words in a row that nothing parts.

Both show in any script without a list of bad words. Of running text three words that are no little
ones make a tenth to a quarter, and beside them stand little words; of 'cheap flights London cheap
flights Paris' three make half, and hardly one is little. And nobody who writes goes on for fifty
words without a mark: words drawn at random, and search terms in a row, do.
"""

from collections import Counter
from collections.abc import Container, Sequence

import numpy as np
import regex

from polylm_jax.corpus import characters, repetition
from polylm_jax.languages.registry import Language

LINE_WORDS, LINE_CHARACTERS = 12, 40  # of a line that is running text
LEAST_WORDS = 20  # in all such lines; of fewer three are easily a quarter
COMMONEST = 3
LITTLE = 0.5  # of the words, at which even the densest keywords are prose
LEAST_PIECES, PIECE = 12, 12  # what spaces part in a line of search terms, and its mean characters
RUN = 40  # characters, or words where none are spaced: shorter runs aren't counted
STEM = 2  # characters that most of them share
SPACED_STEMS = ("Kore",)  # spaces stand between words, and keywords are parts of longer words
_WORD = regex.compile(r"[^\W\d_]+(?:['’׳״][^\W\d_]+)*")
_STEM = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]{2}"
)
# Their phrases end with a space or with nothing, and much of Arabic is written without commas.
_SPARSE = {"Thai": None, "Laoo": None, "Khmr": None, "Mymr": None, "Tibt": None, "Arab": 1.2}
_BRIEF = {"vi": 0.7}  # two syllables to a word are many


def stuffed(lines: Sequence[str], language: Language, little: Container[str]) -> float:
    """How much three keywords make of the running text of some lines, 0 to 1.

    Their share of the words, times what is missing of the little words that prose has. Where words
    aren't spaced, or are compounds, of the pieces in a line those that share two characters.

    >>> from polylm_jax.languages.registry import LANGUAGES
    >>> stuffed(["cheap flights London cheap flights Paris cheap flights " * 4], LANGUAGES["en"], ())
    1.0
    """
    distinct = [line for line in dict.fromkeys(lines) if len(line) >= LINE_CHARACTERS]
    if not language.spaces or language.script in SPACED_STEMS:
        return max(map(_shared_stem, distinct), default=0.0)
    words: list[str] = []
    for line in distinct:
        found = _WORD.findall(line.lower())
        words += found if len(found) >= LINE_WORDS else []
    if len(words) < LEAST_WORDS:
        return 0.0
    counts = Counter(word for word in words if word not in little and len(word) > 1)
    common = sum(n for _, n in counts.most_common(COMMONEST) if n > 2)
    few = 1 - sum(word in little for word in words) / (LITTLE * len(words))
    return max(0.0, common / len(words) * few)


def _shared_stem(line: str) -> float:
    """Of the short pieces between spaces, those that have the commonest two characters."""
    pieces = [piece for piece in line.split() if _STEM.search(piece)]
    if len(pieces) < LEAST_PIECES or sum(map(len, pieces)) > PIECE * len(pieces):
        return 0.0
    counts: Counter[str] = Counter()
    for piece in pieces:
        pairs = {piece[n : n + STEM] for n in range(len(piece) - STEM + 1)}
        counts.update(pair for pair in pairs if _STEM.fullmatch(pair))
    return max(counts.values(), default=0) / len(pieces)


def longest_run(text: str, classes: np.ndarray, language: Language) -> float:
    """The most words in a row that no mark, no digit and no line's end parts, in words of a language.

    Less where little punctuation is written, nothing where there is none: Thai.
    classes: of the text's characters, as `characters.classes` has them.
    """
    weight = _SPARSE.get(language.script, _BRIEF.get(language.code, 1.0))
    if weight is None:
        return 0.0
    marks = classes & (characters.PUNCTUATION | characters.SYMBOL | characters.DIGIT) > 0
    ends = characters.code_points(text) == ord("\n")
    edges = np.flatnonzero(np.concatenate([[True], marks | ends, [True]]))
    gaps = np.diff(edges)
    least = RUN * (1 if language.spaces else repetition.word_size(language))
    runs = (text[edges[n] : edges[n + 1] - 1] for n in np.flatnonzero(gaps > least).tolist())
    return max((_words(run, language) for run in runs), default=0.0) / weight


def _words(run: str, language: Language) -> float:
    count = len(run.split()) if language.spaces else sum(map(str.isalpha, run))
    return count / repetition.word_size(language)
