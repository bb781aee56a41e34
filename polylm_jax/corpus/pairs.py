"""Faults of parallel text: what shows that two sentences are no translation of each other."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import regex
from rapidfuzz import fuzz

from polylm_jax.corpus import characters, language_id, quantities, rules, signs, stop_words
from polylm_jax.languages.registry import LANGUAGES

# Characters of Latin text that one character of a script says; measured on the aligned sentences of
# tldr-pages against English (medians).
DENSITY = {"Hans": 2.6, "Hant": 2.6, "Jpan": 1.9, "Kore": 1.9, "Arab": 1.15, "Hebr": 1.25,
           "Thai": 1.05}  # fmt: skip
MAX_RATIO = 3.0  # of the lengths so weighed
SLACK = 15  # characters that either side may have more: a short sentence needs room
SHARE_OF_SCRIPT = (
    0.3  # of the letters beside quoted code, in a language of another script than Latin
)
LEAST_LETTERS = 50  # weighed by script; a shorter side is not asked what language it is in
SURE = 0.95
MOJIBAKE = 2  # letters of UTF-8 read as Latin-1; too few for a text's bytes to tell
COPIED, COPIED_LETTERS = 0.9, 30  # of the letters in their order; a shorter side may be a name
_CODE = regex.compile(
    r"`[^`\n]*`|\{\{.*?\}\}|\[[^\]\s]*\]|https?://\S+|\"[^\"\n]*\"|'[^'\n]*'|«[^»\n]*»|\([^)\n]*\)"
    r"|[\w.~*-]*[/_=\\][\w./~*=\\-]*|--?\w[\w-]*"
)


def fault(sides: Sequence[str], codes: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Why a pair of sentences goes, or None.

    Args:
        sides: two sentences.
        codes: the languages that they are said to be in.
        wanted: the languages that may occur, for the identification.
    """
    first, second = (unicodedata.normalize("NFKC", side).strip() for side in sides)
    if not first or not second:
        return "empty side"
    if copied(first, second):
        return "identical sides"
    if lengths_differ(first, second, codes):
        return "length ratio"
    if any(rules.mojibake(side) >= MOJIBAKE for side in sides):
        return "mojibake"
    for side, code in zip((first, second), codes):
        if wrong_language(side, code, tuple(wanted)):
            return f"side not {code}"
    if quantities.differ((first, second), codes):
        return "numbers disagree"
    return None


def lengths_differ(first: str, second: str, codes: Sequence[str]) -> bool:
    """Whether one side says over three times as much, each weighed by its script."""
    a, b = (
        len(side) * DENSITY.get(LANGUAGES[code].script, 1.0)
        for side, code in zip((first, second), codes)
    )
    return max(a, b) > MAX_RATIO * min(a, b) + SLACK


def wrong_language(side: str, code: str, wanted: tuple[str, ...]) -> bool:
    """Whether a side is in another script or, if long enough to tell, surely in another language."""
    text = " ".join(_CODE.sub(" ", side).split())
    kinds = characters.classes()[characters.code_points(text)]
    letters = int(np.count_nonzero(kinds & characters.LETTER))
    if letters < 3:
        return False
    if letters < LEAST_LETTERS and _little_words_say(text, code, wanted):
        return True
    script = LANGUAGES[code].script
    ours = int(np.count_nonzero(kinds & characters.script_bits(script)))
    if script == "Latn":
        if ours < 0.5 * letters:
            return True
    elif ours == 0 or (letters >= 20 and ours < SHARE_OF_SCRIPT * letters):
        return True
    if letters * DENSITY.get(script, 1.0) < LEAST_LETTERS:
        return False
    if not language_id.sentence_known(code):
        return False
    guess, sure = language_id.lingua(tuple(dict.fromkeys((*wanted, code))))(text)
    return language_id.canonical(guess) != code and sure > SURE


def _little_words_say(text: str, code: str, wanted: tuple[str, ...]) -> bool:
    """Whether a short side's little words are another language's, and lingua says so too."""
    other = stop_words.more_like(text, code, wanted)
    if not other or not language_id.sentence_known(other):
        return False
    guess, _ = language_id.lingua(tuple(dict.fromkeys((*wanted, code))))(text)
    return language_id.canonical(guess) == other


def copied(first: str, second: str) -> bool:
    """Whether a side is the other one untranslated, but for case, punctuation and a word or two."""
    one, other = (signs.words(signs.folded(side)) for side in (first, second))
    if np.array_equal(one, other):
        return True
    if min(len(one), len(other)) < COPIED_LETTERS:
        return False
    # rapidfuzz reads arrays as they lie in memory; its stubs know sequences alone.
    return fuzz.ratio(one, other, score_cutoff=100 * COPIED) > 0  # type: ignore[call-overload]
