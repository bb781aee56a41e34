"""What a model pays for each byte of a text, and what kind of text it pays for.

Two models cut a text at different places, so their tokens can't be compared; their bytes can. A
token's nats are shared out evenly over its bytes. They are whole numbers of 2^-32 nats, so that sums
over parts of a text, in any order, are the sum over the whole, to the last bit.
"""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import regex

from polylm_jax.languages import scripts

UNIT = 2.0**-32  # nats
KINDS = ("letters", "digits", "punctuation", "spaces", "code", "other")
COMMON = ("Latn", "Cyrl", "Arab", "Hebr", "Thai", "Hani", "Hira", "Kana", "Hang", "Deva", "Grek")
UNSCRIPTED = "Zyyy"  # ISO 15924: no script of its own


class Token(NamedTuple):
    """UTF-8 bytes [start, end) of a text that a token stands for, and its -log p in nats."""

    start: int
    end: int
    nats: float


class Part(NamedTuple):
    """A language, a script and a kind of character."""

    language: str
    script: str
    kind: str


def per_byte(size: int, tokens: Sequence[Token]) -> np.ndarray:
    """int64 [size], in `UNIT`: what each byte cost; the sum is that of all tokens.

    A token without bytes (the first bytes of a character that several tokens spell) is paid by the
    next one that has some, or the last.
    """
    costs = np.zeros(size, np.int64)
    waiting, last = 0, (0, size)
    for token in tokens:
        waiting += round(token.nats / UNIT)
        if token.end > token.start:
            last = (token.start, token.end)
            _share(costs, *last, waiting)
            waiting = 0
    _share(costs, *last, waiting)
    return costs


def _share(costs: np.ndarray, start: int, end: int, units: int) -> None:
    each, rest = divmod(units, end - start)
    costs[start:end] += each
    costs[start : start + rest] += 1


def parts(text: str, language: str) -> Iterator[tuple[Part, int, int]]:
    """Runs of one part: (part, first byte, end). Signs without a script have their neighbour's."""
    place, begun, current, script = 0, 0, None, UNSCRIPTED
    for character in text:
        kind = kind_of(character, language)
        own = script_of(character)
        script = own if own != UNSCRIPTED else script if kind == "other" else UNSCRIPTED
        part = Part(language, script, kind)
        if part != current:
            if current:
                yield current, begun, place
            current, begun = part, place
        place += len(character.encode())
    if current:
        yield current, begun, place


def kind_of(character: str, language: str) -> str:
    """Of KINDS. Marks are letters, symbols punctuation; all of a program's text is code."""
    if language == "code":
        return "code"
    category = unicodedata.category(character)
    if category[0] in "LM":
        return "letters"
    if category[0] == "N":
        return "digits"
    if category[0] in "PS":
        return "punctuation"
    return "spaces" if character.isspace() else "other"


@functools.lru_cache(maxsize=65_536)
def script_of(character: str) -> str:
    """ISO 15924's code of a character's script; Zyyy for digits, punctuation and spaces."""
    return next((code for code, found in _scripts() if found.match(character)), UNSCRIPTED)


@functools.cache
def _scripts() -> list[tuple[str, regex.Pattern]]:
    patterns = []
    for code in (*COMMON, *sorted(scripts.SCRIPTS - {*COMMON, "Zyyy", "Zinh", "Zzzz"})):
        try:
            patterns.append((code, regex.compile(rf"\p{{Script={code}}}")))
        except regex.error:  # a code for a way to write, or one of no character
            continue
    return patterns


class Totals:
    """Bytes and both models' costs by part, in whole units."""

    def __init__(self):
        self.of: dict[Part, list[int]] = {}

    def add(self, text: str, language: str, costs: Sequence[np.ndarray]) -> None:
        """A text with what each model paid for its bytes."""
        for part, start, end in parts(text, language):
            found = self.of.setdefault(part, [0] * (1 + len(costs)))
            found[0] += end - start
            for number, paid in enumerate(costs, 1):
                found[number] += int(paid[start:end].sum())

    def by(self, field: str) -> dict[str, list[int]]:
        """Sums over the parts that have the same language, script or kind; '' for the whole."""
        sums: dict[str, list[int]] = {}
        for part, values in self.of.items():
            key = getattr(part, field) if field else ""
            known = sums.setdefault(key, [0] * len(values))
            for number, value in enumerate(values):
                known[number] += value
        return sums


def bits_per_byte(units: int, size: int) -> float:
    """Of a sum of `UNIT`s over so many bytes."""
    return units * UNIT / float(np.log(2)) / size if size else float("nan")
