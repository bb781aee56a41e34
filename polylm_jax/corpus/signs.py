"""Texts folded to what they say: letters, digits, and those signs that change the sense.

1.5 isn't 15, -12 isn't 12, `x < 5` isn't `x > 5`, C isn't C++, and a question isn't its answer; but
quotation marks, brackets, dashes, bullets, full stops and commas say the same thing in many ways.
"""

import functools
import unicodedata

import numpy as np

from polylm_jax.corpus import characters

_SPACE = ord(" ")
_ALWAYS, _POINT, _MINUS, _AFTER_LETTER, _OPERATOR = range(1, 6)
# What each sign stands for, and when it says something; all others are spaces.
_ALIKE = {
    _POINT: {".": ".", ",": ".", "٫": ".", "٬": ".", "’": ".", "'": ".", ":": ":", "/": "/"},
    _MINUS: {"-": "-", "−": "-", "–": "-", "‐": "-", "‑": "-"},
    _AFTER_LETTER: {"#": "#", "♯": "#"},
    _OPERATOR: {"*": "*", "\\": "\\", "^": "^"},
    _ALWAYS: {"?": "?", "؟": "?", "፧": "?", "%": "%", "٪": "%", "‰": "‰", "&": "&", "@": "@"},
}
# Symbols that decorate: parts of tables, bullets, marks of rights, and accents without a letter.
_DECORATE = (0x7C, 0x7E, 0xA6, 0xA9, 0xAE, *range(0x2500, 0x2600), 0x27A4)


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """(when a sign says something uint8 [1114112], what it becomes uint32 [1114112])."""
    folding = characters.folding(digits=True)
    when, becomes = np.zeros(len(folding), np.uint8), np.arange(len(folding), dtype=np.uint32)
    symbols = np.flatnonzero(characters.classes() & characters.SYMBOL)
    said = [p for p in symbols if unicodedata.category(chr(p)) != "Sk"]
    when[said] = _ALWAYS
    when[list(_DECORATE)] = 0
    for kind, alike in _ALIKE.items():
        for sign, meant in alike.items():
            when[ord(sign)], becomes[ord(sign)] = kind, ord(meant)
    when[folding == 0] = 0
    return when, becomes


def folded(text: str) -> np.ndarray:
    """uint32: the text without case and mere punctuation, a single space between words.

    >>> "".join(map(chr, folded("“C++”, 1.5 or  −12? (Yes!)")))
    'c++ 1.5 or -12? yes'
    """
    table = characters.folding(digits=True)
    points = characters.code_points(unicodedata.normalize("NFKC", text).casefold())
    points = points[table[points] > 0]
    if not len(points):
        return points
    base, (when, becomes) = table[points], _tables()
    kinds = when[points]
    signs = np.flatnonzero(kinds)
    if len(signs):
        said = signs[_says(points, base, kinds, signs)]
        base[said] = becomes[points[said]]
    space = base == _SPACE
    keep = ~space
    keep[1:] |= ~space[:-1]  # of spaces in a row the first, of those at the start none
    base = base[keep]
    return base[:-1] if len(base) and base[-1] == _SPACE else base


def _says(points: np.ndarray, base: np.ndarray, kinds: np.ndarray, at: np.ndarray) -> np.ndarray:
    """bool [signs]: which of the signs at these places say something beside their neighbours."""
    edge = np.array([_SPACE], np.uint32)
    around, raw = (np.concatenate([edge, a, edge]) for a in (base, points))
    before, after, kind = around[at], around[at + 2], kinds[at]
    digits = [(side >= ord("0")) & (side <= ord("9")) for side in (before, after)]
    letter = (before != _SPACE) & ~digits[0]
    alone = (raw[at] == _SPACE) & (raw[at + 2] == _SPACE)
    inside = (before != _SPACE) & (after != _SPACE)
    return (
        (kind == _ALWAYS)
        | ((kind == _POINT) & digits[0] & digits[1])
        | ((kind == _POINT) & alone & (points[at] == ord("/")))
        | ((kind == _MINUS) & digits[1] & ~letter)
        | ((kind == _AFTER_LETTER) & letter)
        | ((kind == _OPERATOR) & (alone | inside))
    )


def without_spaces(points: np.ndarray) -> np.ndarray:
    """Folded text of a script without spaces between words: they stay between two numbers alone."""
    digit = (points >= ord("0")) & (points <= ord("9"))
    between = np.zeros(len(points), bool)
    between[1:-1] = digit[:-2] & digit[2:]
    return points[(points != _SPACE) | between]


def words(points: np.ndarray) -> np.ndarray:
    """Of folded text its letters, and 0 for each number: what texts share that differ in numbers alone."""
    digit = (points >= ord("0")) & (points <= ord("9"))
    number = digit.copy()
    number[1:-1] |= (points[1:-1] != _SPACE) & digit[:-2] & digit[2:]
    first = number.copy()
    first[1:] &= ~number[:-1]
    letter = (characters.classes()[points] & characters.LETTER) > 0
    return np.where(number, np.uint32(ord("0")), points)[letter | first]
