"""The rules of Gopher and BLOOM, each a measure of a text; `corpus.limits` has the range that it must stay in.

Every measure is between 0 and 1
unless its name says otherwise.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from polylm_jax.corpus import (
    characters,
    dates,
    furniture,
    language_id,
    layout,
    machine_text,
    repetition,
    shingles,
    stop_words,
    stuffing,
)
from polylm_jax.corpus.encoding import UTF_8
from polylm_jax.corpus.limits import SHORT, TABLE, USUAL, Range
from polylm_jax.languages.registry import Language

ELLIPSES = ("...", "…", "。。。", "・・・")
BULLETS = ("•", "‣", "◦", "▪", "●", "○", "■", "□", "-", "–", "*", "·", "・", "►", "➤", "※")
STOP_WORD_UNITS = 100  # a text of fewer units may lack them: a heading, a list of commands
LIST_UNITS = 25  # of a text without an end mark, before it must have one
KEYWORD_UNITS = 20  # words; of fewer one is easily a quarter
FEW_DIGITS = 0.04
SEVERAL_COMMON = (
    0.12  # the share of three words, before it is asked how much they make of its lines
)
SOME = 0.1  # of a share, before it is asked whether the text is a table
SHORT_UNITS = 400  # words; a shorter text repeats a share of itself sooner
_LATIN_1 = re.compile(
    "[\x80-\xff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013\u2014\u2018-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]{2,}"
)
FEW = 0.1  # at most what any rule of duplicate n-grams allows


class Profile:
    """A text as the rules see it; each part is made when the first rule asks for it."""

    def __init__(self, text: str, language: Language):
        self.text, self.language = text, language
        self.classes = characters.classes()[characters.code_points(text)]
        self.size = int(np.count_nonzero((self.classes & characters.SPACE) == 0))

    def share(self, flag: int) -> float:
        """Characters of a class / characters that are no space."""
        return np.count_nonzero(self.classes & flag) / max(1, self.size)

    @functools.cached_property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        return shingles.units(self.text, self.language.spaces)

    @functools.cached_property
    def words(self) -> tuple[np.ndarray, np.ndarray]:
        """The units that are no numbers; where digits are few they can't be what repeats."""
        few = self.share(characters.DIGIT) < FEW_DIGITS
        return self.units if few else shingles.without_numbers(*self.units)

    @functools.cached_property
    def prose(self) -> list[str]:
        """The lines without code in backticks, placeholders and addresses."""
        return [line for line in language_id.lines_without_code(self.text) if line]

    @functools.cached_property
    def lines(self) -> list[str]:
        return repetition.lines(self.text)

    @functools.cached_property
    def repeated_lines(self) -> tuple[float, float]:
        return repetition.repeated_parts(self.lines)

    @functools.cached_property
    def repeated_paragraphs(self) -> tuple[float, float]:
        return repetition.repeated_parts(repetition.paragraphs(self.text))

    @functools.cached_property
    def table(self) -> bool:
        return layout.is_table(self.lines)

    @functools.cached_property
    def word(self) -> int:
        return repetition.word_size(self.language)

    @functools.cached_property
    def short(self) -> bool:
        return len(self.units[0]) < SHORT_UNITS * self.word

    def top(self, n: int) -> float:
        return repetition.top_ngram(*self.words, n * self.word)

    @functools.cached_property
    def shortest_duplicates(self) -> float:
        return repetition.duplicate_ngrams(*self.units, repetition.DUPLICATE[0] * self.word)

    def duplicate(self, n: int) -> float:
        """Of longer n-grams never more than of the shortest, which are inside them: so where those
        are few, theirs is given for all."""
        if n == repetition.DUPLICATE[0] or self.shortest_duplicates < FEW:
            return self.shortest_duplicates
        return repetition.duplicate_ngrams(*self.units, n * self.word)


def _word_length(p: Profile) -> float | None:
    return float(p.units[1].mean()) if p.language.spaces and len(p.units[1]) else None


def _script(p: Profile) -> float | None:
    letters = p.classes & characters.LETTER > 0
    ours = p.classes & characters.script_bits(p.language.script) > 0
    marks = letters & (p.classes >> characters.SCRIPT_SHIFT == 0)  # of whatever they stand on
    count = np.count_nonzero(letters & ~marks)
    return np.count_nonzero(letters & ours) / count if count else None


def mojibake(text: str) -> int:
    """Characters that are UTF-8 read as Latin-1 or Windows-1252 ('Ã©' for 'é')."""
    runs = b" ".join(b"".join(map(_byte, run)) for run in _LATIN_1.findall(text))
    return sum(map(len, UTF_8.findall(runs)))


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1", "replace")


def _dates(p: Profile) -> float:
    """Looked for only where there are enough digits for the limit to be near: the search is slow."""
    if p.share(characters.DIGIT) < 0.04 and "年" not in p.text and "月" not in p.text:
        return 0.0
    return dates.characters_in_dates(p.text, p.language.code) / max(1, p.size)


def _stop_words(p: Profile) -> float | None:
    units = len(p.units[0]) / p.word
    if units >= STOP_WORD_UNITS:
        return stop_words.different(p.text, p.units[0], p.language)
    # A shorter one must have one where nothing else says that it is more than a list of words.
    if units < LIST_UNITS or p.table or layout.has_ends(p.text):
        return None
    return 1 + stop_words.different(p.text, p.units[0], p.language)


def _keywords(p: Profile) -> float:
    """The commonest word's share; of a table's words a town's name may be it."""
    if len(p.units[0]) < KEYWORD_UNITS * p.word:
        return 0.0
    share = stop_words.keyword_share(p.units[0], p.language, p.word)
    return 0.0 if share > SOME and p.table else share


def _furniture(p: Profile) -> float:
    if p.size > furniture.SIZE or layout.is_manual(p.text):
        return 0.0
    return furniture.share("\n".join(p.prose or p.lines), p.language.code)


def _stuffing(p: Profile) -> float:
    spaced = p.language.spaces and p.language.script not in stuffing.SPACED_STEMS
    if spaced and stop_words.commonest(p.units[0], p.language) < SEVERAL_COMMON:
        return 0.0
    return stuffing.stuffed(p.prose, p.language, stop_words.of(p.language.code))


def _labels(p: Profile) -> float:
    if layout.has_ends(p.text):
        return 0.0
    little, text = stop_words.of(p.language.code), "\n".join(p.prose or p.lines)
    share = max(
        layout.label_share(text, p.word, p.language.spaces, little),
        stop_words.spaced_labels(text, p.language.code),
    )
    return 0.0 if share > SOME and p.table else share


def _code(p: Profile) -> float:
    """Looked for only where there are as many of its signs as the limit asks for."""
    signs = sum(map(p.text.count, "{};=()<>"))
    return machine_text.code_share(p.prose) if 20 * signs > len(p.text) else 0.0


def _is_item(line: str) -> bool:
    """Whether a line is an item of a list; what somebody says with a dash before it is none, nor is a sentence."""
    return line.startswith(BULLETS) and not (layout.is_speech(line) or layout.is_sentence(line))


def _lines_that(p: Profile, says: Callable[[str], bool]) -> float:
    return sum(map(says, p.lines)) / max(1, len(p.lines))


MEASURES: dict[str, Callable[[Profile], float | None]] = {
    "characters": lambda p: p.size,
    "garbled": lambda p: p.share(characters.GARBLED),
    "mojibake": lambda p: mojibake(p.text) / max(1, p.size),
    "letters": lambda p: p.share(characters.LETTER),
    "digits": lambda p: p.share(characters.DIGIT),
    "symbols": lambda p: p.share(characters.SYMBOL),
    "punctuation": lambda p: p.share(characters.PUNCTUATION),
    "script": _script,
    "dates": _dates,
    "ellipsis_lines": lambda p: _lines_that(p, lambda line: line.endswith(ELLIPSES)),
    "bullet_lines": lambda p: _lines_that(p, _is_item),
    "menu": lambda p: layout.menu_share(p.text, p.language.code),
    "furniture": _furniture,
    "labels": _labels,
    "notices": lambda p: machine_text.notices(p.text, p.language.code),
    "log_lines": lambda p: machine_text.log_share(p.lines),
    "code": _code,
    "keywords": _keywords,
    "stuffing": _stuffing,
    "unpunctuated": lambda p: stuffing.longest_run(p.text, p.classes, p.language),
    "duplicate_lines": lambda p: p.repeated_lines[0],
    "duplicate_line_characters": lambda p: p.repeated_lines[1],
    "duplicate_paragraphs": lambda p: p.repeated_paragraphs[0],
    "duplicate_paragraph_characters": lambda p: p.repeated_paragraphs[1],
    "word_length": _word_length,
    "stop_words": _stop_words,
    **{f"top_{n}_gram": functools.partial(Profile.top, n=n) for n in repetition.TOP},
    **{
        f"duplicate_{n}_grams": functools.partial(Profile.duplicate, n=n)
        for n in repetition.DUPLICATE
    },
}


def violations(text: str, language: Language, limits: Mapping[str, Range]) -> Iterator[str]:
    """The rules that a text breaks, one after another; the first is its reason to go."""
    return (name for name, _, broken in judged(text, language, limits) if broken)


def judged(
    text: str, language: Language, limits: Mapping[str, Range]
) -> Iterator[tuple[str, float, bool]]:
    """(rule, its measure of the text, whether that is out of its range) for each rule that is asked."""
    profile = Profile(text, language)
    for name, measure in MEASURES.items():
        value = measure(profile)
        if value is None:
            continue
        low, high = limits[name]
        if low is not None and value < low:
            low = _of_shape(profile, name, 0, low)
        if high is not None and value > high:
            high = _of_shape(profile, name, 1, high)
        yield (
            name,
            float(value),
            bool((low is not None and value < low) or (high is not None and value > high)),
        )


def _of_shape(profile: Profile, name: str, end: int, limit: float) -> float | None:
    """The limit for a short text or a table, where the usual one holds and is broken."""
    if limit not in USUAL[name]:
        return limit  # the user's own
    if name in TABLE and profile.table:
        return TABLE[name][end]
    return SHORT[name][1] if name in SHORT and end == 1 and profile.short else limit
